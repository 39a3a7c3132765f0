"""A folder in memory for each test."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def room():
    """A folder on tmpfs, mode 0700, gone with the test."""
    made = Path(tempfile.mkdtemp(prefix="ml-secrets-test-", dir="/dev/shm"))
    held = os.umask(0)
    yield made
    os.umask(held)
    shutil.rmtree(made)
