"""A view: the part of a store below a prefix, looking like a whole one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_secrets.storage.interface import Transaction


class View:
    """A transaction in which every key begins with `prefix` ("" or ending in "/"). Nothing outside can be reached."""

    __slots__ = ("_prefix", "_tx")

    def __init__(self, tx: Transaction, prefix: str) -> None:
        self._tx = tx
        self._prefix = prefix

    def get(self, key: str) -> bytes | None:
        """The value, or None."""
        return self._tx.get(self._prefix + key)

    def put(self, key: str, value: bytes, *, new: bool = False) -> None:
        """Create or replace."""
        self._tx.put(self._prefix + key, value, new=new)

    def delete(self, key: str) -> None:
        """Remove; nothing happens where there is nothing."""
        self._tx.delete(self._prefix + key)

    def list(self, prefix: str, *, after: str = "", limit: int = -1) -> list[str]:
        """Names directly below `prefix`, in order."""
        return self._tx.list(self._prefix + prefix, after=after, limit=limit)
