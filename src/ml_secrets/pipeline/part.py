"""One of several writers that share a transaction: what it did can be undone without the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.errors import TamperFault

if TYPE_CHECKING:
    from ml_secrets.storage.interface import Transaction


class Part:
    """A write transaction within `tx`. What it changes there remembers what was there before."""

    __slots__ = ("_before", "_tx")

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._before: dict[str, bytes | TamperFault | None] = {}

    def get(self, key: str) -> bytes | None:
        return self._tx.get(key)

    def list(self, prefix: str, *, after: str = "", limit: int = -1) -> list[str]:
        return self._tx.list(prefix, after=after, limit=limit)

    def put(self, key: str, value: bytes) -> None:
        self._keep(key)
        self._tx.put(key, value)

    def delete(self, key: str) -> None:
        self._keep(key)
        self._tx.delete(key)

    def undo(self) -> None:
        """Put everything back as it was. Raises `TamperFault` where a damaged row was replaced: there is nothing to put back."""
        for key, value in self._before.items():
            if isinstance(value, TamperFault):
                raise value
            if value is None:
                self._tx.delete(key)
            else:
                self._tx.put(key, value)

    def _keep(self, key: str) -> None:
        if key not in self._before:
            try:
                self._before[key] = self._tx.get(key)
            except (
                TamperFault
            ) as damage:  # a damaged row may be replaced and removed, as by a writer that came alone
                self._before[key] = damage
