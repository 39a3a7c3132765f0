"""Guards that are taken off with the test, and a value that nothing else holds."""

import pytest

from ml_secrets import redaction
from ml_secrets.redaction.known import KNOWN

VALUE = "sk-example-4f9d/7+Zq not a key"


@pytest.fixture
def value():
    """A value of the secret "openai", with characters that encoders escape."""
    redaction.know(openai=VALUE)
    yield VALUE
    redaction.uninstall()


@pytest.fixture
def install(value):
    """Put guards on for the test."""
    yield redaction.install
    redaction.uninstall()
    assert not KNOWN.watching
