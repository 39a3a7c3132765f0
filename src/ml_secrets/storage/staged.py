"""What both storages share: a revision, one writer at a time, changes staged in memory until commit.

A storage gives `Committed` (how to read and write rows); the transactions here are the same for all.

How a read sees one state without a lock on the way of most reads: `revision` is even at rest and odd for the few
microseconds in which a commit becomes visible. A reader begins at an even one, and what it has read counts only if the
revision is still the same afterwards.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, NoReturn, Protocol, Self, overload

from ml_secrets.errors import Fault
from ml_secrets.storage.interface import Moved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractContextManager

    from ml_secrets.storage.interface import Transaction, Writable


_AT_ONCE: Final = 256
"""A long list lets others have the lock after so many names."""


class Committed(Protocol):
    """The committed rows of a storage. All but `peek` and `overdue` are called under one lock."""

    @property
    def peek(self) -> Callable[[str], bytes | None]:
        """Gives a row if it is at hand. Called without the lock, and while another thread shows changes."""

    @property
    def overdue(self) -> bool:
        """See `Storage`. Called without the lock."""

    def get(self, key: str) -> bytes | None:
        """One row."""

    def next_after(self, key: str, below: str, *, inclusive: bool) -> str | None:
        """The first key > `key` (>= if inclusive) that begins with `below`."""

    def store(self, changes: Mapping[str, bytes | None], new: AbstractSet[str]) -> None:
        """Make all changes durable, or none (and raise). None as a value deletes. `new` are keys that there must not be yet."""

    def show(self, changes: Mapping[str, bytes | None]) -> None:
        """Let `peek` see changes that have been stored."""


class StagedStorage:
    """A storage over `Committed`."""

    def __init__(self, committed: Committed) -> None:
        self._rows = _Rows(committed)
        self._writer = threading.Lock()

    @property
    def revision(self) -> int:
        """Grows with every commit of this process."""
        return self._rows.revision

    @property
    def overdue(self) -> bool:
        """See `Storage`."""
        return self._rows.committed.overdue

    @overload
    def begin(self, *, write: Literal[True]) -> AbstractContextManager[Writable]: ...
    @overload
    def begin(self, *, write: bool) -> AbstractContextManager[Transaction]: ...
    def begin(self, *, write: bool) -> AbstractContextManager[Transaction]:
        """Open a transaction."""
        return self._write() if write else _Reading(self._rows)

    @contextmanager
    def _write(self) -> Iterator[Writable]:
        with self._writer:
            transaction = _Writing(self._rows)
            yield transaction
            if transaction.changes:
                self._rows.commit(transaction.changes, transaction.new)

    def close(self) -> None:
        """Nothing to release."""


class _Rows:
    """The committed rows with their lock and revision."""

    __slots__ = ("committed", "lock", "revision")

    def __init__(self, committed: Committed) -> None:
        self.committed = committed
        self.lock = threading.Lock()
        self.revision = 0

    def at_rest(self) -> int:
        """The revision, once no commit is becoming visible."""
        revision = self.revision
        if revision & 1:
            with self.lock:
                revision = self.revision
        return revision

    def get(self, key: str) -> bytes | None:
        value = self.committed.peek(key)
        if value is None:
            with self.lock:
                value = self.committed.get(key)
        return value

    def commit(self, changes: Mapping[str, bytes | None], new: AbstractSet[str]) -> None:
        with self.lock:
            self.committed.store(changes, new)
            self.revision += 1
            try:
                self.committed.show(changes)
            finally:
                self.revision += 1


def not_new() -> Fault:
    """What was to be new is there: somebody is mistaken, and nothing of the transaction is kept."""
    return Fault("a row that was to be new is there")


class ReadOnly:
    """The half of a read transaction that it does not have."""

    __slots__ = ()

    def put(self, key: str, value: bytes, *, new: bool = False) -> NoReturn:  # noqa: ARG002 - the verb's signature
        raise RuntimeError("a read transaction does not write")

    def delete(self, key: str) -> NoReturn:  # noqa: ARG002 - the verb's signature
        raise RuntimeError("a read transaction does not write")


class _Reading(ReadOnly):
    """Sees one revision, or raises Moved."""

    __slots__ = ("_revision", "_rows")

    def __init__(self, rows: _Rows) -> None:
        self._rows = rows
        self._revision = rows.at_rest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def get(self, key: str) -> bytes | None:
        rows = self._rows
        value = rows.committed.peek(key)
        if value is None:
            value = rows.get(key)
        if rows.revision != self._revision:
            raise Moved
        return value

    def list(self, prefix: str, *, after: str = "", limit: int = -1) -> list[str]:
        names: list[str] = []
        while limit < 0 or len(names) < limit:
            most = _AT_ONCE if limit < 0 else min(_AT_ONCE, limit - len(names))
            with self._rows.lock:
                if self._rows.revision != self._revision:
                    raise Moved
                found = list_names(self._rows.committed, prefix, after, most)
            names += found
            if len(found) < most:
                break
            after = found[-1]
        return names


class _Writing:
    """Sees its own changes over the committed rows."""

    __slots__ = ("_kept", "_peek", "_rows", "_touched", "changes", "new")

    def __init__(self, rows: _Rows) -> None:
        self._rows = rows
        self._peek = rows.committed.peek
        self._touched: list[str] = []  # the first so many changes, in order; text orders as its UTF-8 does
        self.changes: dict[str, bytes | None] = {}
        self.new: set[str] = set()
        self._kept = self.changes, self.new

    def get(self, key: str) -> bytes | None:
        if key in self.changes:
            return self.changes[key]
        value = self._peek(key)
        return self._rows.get(key) if value is None else value

    def put(self, key: str, value: bytes, *, new: bool = False) -> None:
        if new and key not in self.changes:
            self.new.add(key)
        self.changes[key] = value

    def delete(self, key: str) -> None:
        if self.get(key) is not None:
            self.changes[key] = None

    def list(self, prefix: str, *, after: str = "", limit: int = -1) -> list[str]:
        touched, changes = self._touched, self.changes
        if len(touched) < len(changes):
            touched += islice(changes, len(touched), None)
            touched.sort()
        with self._rows.lock:
            return list_names(_Merged(self._rows.committed, changes, touched), prefix, after, limit)

    def savepoint(self) -> None:
        self._kept = self.changes.copy(), self.new.copy()

    def roll_back(self) -> None:
        (self.changes, self.new), self._touched = self._kept, []


class _Merged:
    """Committed rows with a transaction's changes on top, for listing. `touched` has the changed keys in order."""

    __slots__ = ("_changes", "_committed", "_touched")

    def __init__(self, committed: Committed, changes: Mapping[str, bytes | None], touched: list[str]) -> None:
        self._committed = committed
        self._changes = changes
        self._touched = touched

    def next_after(self, key: str, below: str, *, inclusive: bool) -> str | None:
        stored = self._committed.next_after(key, below, inclusive=inclusive)
        while stored is not None and self._changes.get(stored, b"") is None:
            stored = self._committed.next_after(stored, below, inclusive=False)
        added = self._added_after(key, below, inclusive=inclusive)
        if stored is None or added is None:
            return stored or added
        return min(stored, added)

    def _added_after(self, key: str, below: str, *, inclusive: bool) -> str | None:
        at = (bisect_left if inclusive else bisect_right)(self._touched, key)
        while at < len(self._touched):
            found = self._touched[at]
            if not found.startswith(below):
                return None
            if self._changes[found] is not None:
                return found
            at += 1
        return None


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
