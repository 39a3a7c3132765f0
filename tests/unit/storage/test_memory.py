import pytest
from tests.unit.storage.exercise import MODEL, Against, Exercise, Freezing

from ml_secrets.storage.memory import MemoryStorage


class TestMemory(Exercise, Freezing):
    """The contract, in memory."""

    @pytest.fixture
    def storage(self):
        return MemoryStorage()


class MemoryAgainstDictionary(Against):
    def open(self):
        return MemoryStorage()


TestMemoryModel = MemoryAgainstDictionary.TestCase
TestMemoryModel.settings = MODEL
