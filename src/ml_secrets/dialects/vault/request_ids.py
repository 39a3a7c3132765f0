"""The names of requests, in answers and in the audit log: random UUIDs (version 4).

They are no secrets, and there is one for each request: so many are made with one call of the system, which would let other
threads have the interpreter in the middle of a read. Not repeated by a fork; a machine that is put back to an earlier
state of its memory repeats those that were ready then.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Final

AT_ONCE: Final = 256
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_ready: Final[deque[str]] = deque()


def request_id() -> str:
    """One that no request had before. Thread-safe."""
    while True:
        try:
            return _ready.pop()
        except IndexError:
            _ready.extend(_many())


def _many() -> list[str]:
    digits = os.urandom(16 * AT_ONCE).hex()
    return [_shaped(digits[at : at + 32]) for at in range(0, len(digits), 32)]


def _shaped(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


os.register_at_fork(after_in_child=_ready.clear)
