import pytest

from ml_secrets.storage.memory import MemoryStorage
from tests.unit.storage.exercise import MODEL, Against, Exercise


class TestMemory(Exercise):
    """The contract, in memory."""

    @pytest.fixture
    def storage(self):
        return MemoryStorage()


class MemoryAgainstDictionary(Against):
    def open(self):
        return MemoryStorage()


TestMemoryModel = MemoryAgainstDictionary.TestCase
TestMemoryModel.settings = MODEL
