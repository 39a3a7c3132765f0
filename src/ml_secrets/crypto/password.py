"""Password hashes: Argon2id in the PHC text form, with bounded concurrency.

A hash costs about 60 ms and 19 MiB on purpose. At most `TURNS` are computed at a time and at most `MOST_WAITING` wait
for their turn; whoever comes then is told to try again, so that many logins at once take neither all memory nor all
threads. OpenSSL computes without holding Python's lock.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidKey, UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ml_secrets.errors import Limited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEMORY: Final = 19 * 1024
"""KiB. With two passes and one lane: the least that OWASP's password storage guide asks of Argon2id."""
PASSES: Final = 2
LANES: Final = 1
TURNS: Final = max(2, min(os.cpu_count() or 2, 8))
MOST_WAITING: Final = 64
_SALT: Final = 16
_LENGTH: Final = 32
_OURS: Final = re.compile(
    rf"\$argon2id\$v=19\$m={MEMORY},t={PASSES},p={LANES}\$[A-Za-z0-9+/]{{11,86}}\$[A-Za-z0-9+/]{{43}}",
    re.ASCII,
)


class Turns:
    """Lets `most` through at a time and `waiting` more wait; refuses the rest with `Limited`. Thread-safe."""

    def __init__(self, most: int = TURNS, waiting: int = MOST_WAITING) -> None:
        self._room = threading.BoundedSemaphore(most + waiting)
        self._turns = threading.BoundedSemaphore(most)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn and hold it."""
        if not self._room.acquire(blocking=False):
            raise Limited("too many logins at once", hint="try again in a moment", retry_after=1)
        try:
            with self._turns:
                yield
        finally:
            self._room.release()


TURN: Final = Turns()
"""The turns of this process."""


def hash_password(password: bytes, random: Callable[[int], bytes]) -> str:
    """`$argon2id$v=19$m=…`: the password cannot be had back from it, only guessed. Call it inside `TURN.turn()`."""
    derivation = Argon2id(
        salt=random(_SALT), length=_LENGTH, iterations=PASSES, lanes=LANES, memory_cost=MEMORY
    )
    return derivation.derive_phc_encoded(password)


def verify_password(password: bytes, hashed: str) -> bool:
    """True when `hashed` was made from this password. Call it inside `TURN.turn()`."""
    try:
        Argon2id.verify_phc_encoded(password, hashed)
    except (InvalidKey, UnsupportedAlgorithm, ValueError):
        return False
    return True


def is_password_hash(text: str) -> bool:
    """True for a hash with our own costs. Others are refused: how long a login takes must not tell one user from another."""
    return _OURS.fullmatch(text) is not None


ABSENT: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""What to verify against where there is no hash, so that absence takes the time that a wrong password takes."""
