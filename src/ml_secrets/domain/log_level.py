"""How much the server's own log tells: Vault's words for it, and what Python's `logging` makes of them."""

from __future__ import annotations

import logging
from typing import Final

LEVELS: Final = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "notice": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "err": logging.ERROR,
}
_WORDS: Final = ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"))


def level_word(level: int) -> str:
    """The word for a level of `logging`; for one in between, the next that tells more."""
    return next((word for least, word in _WORDS if level >= least), "debug")
