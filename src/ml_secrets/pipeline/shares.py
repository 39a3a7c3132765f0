"""Key shares that people give one by one, for one purpose, until there are enough.

- A share given twice counts once. Enough shares that do not fit empty the collection: the next one starts anew.
- Every share is overwritten in memory when its collection ends (copies that Python made on the way may remain).
- The nonce names the collection. It is told to those who may take part, never in an error to those who guessed wrong.
"""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING

from ml_secrets.barrier.seals import locks, shamir
from ml_secrets.crypto.memory import wipe
from ml_secrets.crypto.random import uuid
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.barrier.seals.locks import SealConfig


class Shares:
    """A collection of shares."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._given: list[bytearray] = []
        self.nonce = ""

    def __len__(self) -> int:
        return len(self._given)

    def begin(self) -> None:
        """Start anew, under a new nonce."""
        self.wipe()
        self.nonce = uuid(self._random)

    def check_nonce(self, nonce: str, purpose: str) -> None:
        """Raise `Invalid` for another nonce than ours."""
        if not self.nonce or not hmac.compare_digest(nonce.encode(), self.nonce.encode()):
            raise Invalid(
                f"incorrect nonce supplied for this {purpose} operation",
                hint="the one who started it was told the nonce",
            )

    def add(self, share: bytes) -> bool:
        """Keep a share; False when it is here already."""
        if any(hmac.compare_digest(share, given) for given in self._given):
            return False
        self._given.append(bytearray(share))
        return True

    def key(self, threshold: int) -> bytes | None:
        """The key, once there are enough shares; the collection is empty then. Whether it fits, a lock tells."""
        if len(self._given) < threshold:
            return None
        try:
            return shamir.join(bytes(share) for share in self._given)
        finally:
            self.empty()

    def root_key(self, config: SealConfig) -> bytearray | None:
        """The root key, once there are enough shares; the caller wipes it. Raises `Invalid` when they do not open the store's lock."""
        key = self.key(config.threshold)
        return None if key is None else locks.open_(config.people, key, locks.PEOPLE)

    def empty(self) -> None:
        """Overwrite and drop the shares; the nonce stays."""
        for share in self._given:
            wipe(share)
        self._given.clear()

    def wipe(self) -> None:
        """Overwrite and drop the shares and the nonce."""
        self.empty()
        self.nonce = ""


def shown(keys: list[bytes]) -> tuple[list[str], list[str]]:
    """Keys as hex and as base64."""
    return [key.hex() for key in keys], [base64.b64encode(key).decode() for key in keys]
