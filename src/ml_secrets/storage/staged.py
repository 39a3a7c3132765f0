"""What both storages share: a revision, one writer at a time, changes staged in memory until commit.

A storage gives `Committed` (how to read and apply); the transactions here are the same for all.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ml_secrets.storage.interface import Moved

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml_secrets.storage.interface import Transaction


class Committed(Protocol):
    """The committed rows of a storage."""

    def get(self, key: str) -> bytes | None:
        """One row."""

    def next_after(self, key: str, below: str, *, inclusive: bool) -> str | None:
        """The first key > `key` (>= if inclusive) that begins with `below`."""

    def apply(self, changes: Mapping[str, bytes | None]) -> None:
        """Make all changes durable, or none. None as a value deletes."""


class StagedStorage:
    """A storage over `Committed`."""

    def __init__(self, committed: Committed) -> None:
        self._committed = committed
        self._revision = 0
        self._writer = threading.Lock()

    @property
    def revision(self) -> int:
        """Grows with every commit of this process."""
        return self._revision

    @contextmanager
    def begin(self, *, write: bool) -> Iterator[Transaction]:
        """Open a transaction."""
        if not write:
            yield _Reading(self, self._committed)
            return
        with self._writer:
            transaction = _Writing(self._committed)
            yield transaction
            if transaction.changes:
                self._committed.apply(transaction.changes)
                self._revision += 1

    def close(self) -> None:
        """Nothing to release."""


class _Reading:
    """Sees one revision, or raises Moved."""

    __slots__ = ("_committed", "_revision", "_storage")

    def __init__(self, storage: StagedStorage, committed: Committed) -> None:
        self._storage = storage
        self._committed = committed
        self._revision = storage.revision

    def get(self, key: str) -> bytes | None:
        value = self._committed.get(key)
        if self._storage.revision != self._revision:
            raise Moved
        return value

    def list(self, prefix: str, *, after: str = "", limit: int = -1) -> list[str]:
        names = list_names(self._committed, prefix, after, limit)
        if self._storage.revision != self._revision:
            raise Moved
        return names

    def put(self, key: str, value: bytes) -> None:
        raise RuntimeError("a read transaction does not write")

    def delete(self, key: str) -> None:
        raise RuntimeError("a read transaction does not write")


class _Writing:
    """Sees its own changes over the committed rows."""

    __slots__ = ("_committed", "changes")

    def __init__(self, committed: Committed) -> None:
        self._committed = committed
        self.changes: dict[str, bytes | None] = {}

    def get(self, key: str) -> bytes | None:
        return self.changes[key] if key in self.changes else self._committed.get(key)

    def put(self, key: str, value: bytes) -> None:
        self.changes[key] = value

    def delete(self, key: str) -> None:
        if key in self.changes or self._committed.get(key) is not None:
            self.changes[key] = None

    def list(self, prefix: str, *, after: str = "", limit: int = -1) -> list[str]:
        touched = {key for key in self.changes if key.startswith(prefix)}
        if not touched:
            return list_names(self._committed, prefix, after, limit)
        return list_names(_Merged(self._committed, self.changes, sorted(touched, key=str.encode)), prefix, after, limit)


class _Merged:
    """Committed rows with a transaction's changes on top, for listing."""

    def __init__(self, committed: Committed, changes: Mapping[str, bytes | None], touched: list[str]) -> None:
        self._committed = committed
        self._changes = changes
        self._added = [key for key in touched if changes[key] is not None]

    def next_after(self, key: str, below: str, *, inclusive: bool) -> str | None:
        stored = self._committed.next_after(key, below, inclusive=inclusive)
        while stored is not None and self._changes.get(stored, b"") is None:
            stored = self._committed.next_after(stored, below, inclusive=False)
        bound = key.encode()
        added = next((k for k in self._added if (k.encode() >= bound if inclusive else k.encode() > bound)), None)
        found = [k for k in (stored, added) if k is not None]
        return min(found, key=str.encode, default=None)


class _Seekable(Protocol):
    def next_after(self, key: str, below: str, *, inclusive: bool) -> str | None: ...


def list_names(rows: _Seekable, prefix: str, after: str, limit: int) -> list[str]:
    """Names directly below `prefix`; folders are skipped over by seeking, so the cost grows with the answer."""
    names: list[str] = []
    key = rows.next_after(_past(prefix, after), prefix, inclusive=True)
    while key is not None and (limit < 0 or len(names) < limit):
        name, slash, _ = key[len(prefix) :].partition("/")
        names.append(name + slash)
        key = rows.next_after(_past(prefix, name + slash), prefix, inclusive=True)
    return names


def _past(prefix: str, name: str) -> str:
    """The smallest key after `name` (and, for a folder, after all below it)."""
    if not name:
        return prefix
    return prefix + name[:-1] + "0" if name.endswith("/") else prefix + name + "\0"
