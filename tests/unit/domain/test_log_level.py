"""Words for how much is logged."""

import logging

import pytest

from ml_secrets.domain.log_level import LEVELS, level_word


@pytest.mark.parametrize(
    ("level", "word"),
    [(0, "debug"), (10, "debug"), (20, "info"), (25, "info"), (30, "warn"), (40, "error"), (50, "error")],
)
def test_every_level_has_a_word(level, word):
    """And each word leads back to a level of the same word."""
    assert level_word(level) == word
    assert level_word(LEVELS[word]) == word


def test_python_knows_every_level():
    """As one of its own names."""
    assert {logging.getLevelName(level) for level in LEVELS.values()} == {"DEBUG", "INFO", "WARNING", "ERROR"}
