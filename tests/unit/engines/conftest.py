"""Engines on a mount of their own."""

import pytest

from ml_secrets.engines.cubbyhole import ENGINE
from ml_secrets.engines.kv import KV1, KV2
from ml_secrets.testing.mounted import Mounted


@pytest.fixture
def kv2():
    """A KV version 2 mount."""
    return Mounted(KV2)


@pytest.fixture
def kv1():
    """A KV version 1 mount."""
    return Mounted(KV1)


@pytest.fixture
def cubbyhole():
    """A cubbyhole; `.caller` says whose."""
    return Mounted(ENGINE, path="cubbyhole/")
