"""A read transaction for the event loop, where nothing may take long: a read of many rows gives up, and goes to a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ml_secrets.storage.staged import ReadOnly

if TYPE_CHECKING:
    from ml_secrets.storage.interface import Transaction

MOST: Final = 256
"""Rows and names that one request may read on the event loop."""


class Waits(Exception):  # noqa: N818 - a signal, not an error of anyone's
    """The request changes something, is slow, reads much, or spends a use of its token: not for the event loop."""


class Brief(ReadOnly):
    """Sees what `tx` sees, up to `MOST` rows and names; then raises `Waits`."""

    __slots__ = ("_left", "_tx")

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._left = MOST

    def get(self, key: str) -> bytes | None:
        self._left -= 1
        if self._left < 0:
            raise Waits
        return self._tx.get(key)

    def list(self, prefix: str, *, after: str = "", limit: int = -1) -> list[str]:
        most = limit if 0 <= limit <= self._left else self._left + 1
        found = self._tx.list(prefix, after=after, limit=most)
        self._left -= 1 + len(found)
        if self._left < 0:
            raise Waits
        return found
