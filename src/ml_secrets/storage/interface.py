"""What a storage is: an ordered map from text keys to bytes, with transactions.

Everything that keeps state is handed a `Transaction`, and a transaction of the barrier or of a view looks like one of
the storage below, so they nest: `View(Barrier(SqliteStorage))`.

- A write transaction sees its own writes. Writers take turns: `begin(write=True)` waits for the one before to end.
- "Return commits, raise rolls back": leaving the `with` block normally makes all writes durable before it returns
  (an acknowledged commit survives a killed process and a lost power supply); leaving it by an exception undoes all.
- What several write in one transaction, one after the other, is taken back to the last `savepoint` where one of them fails.
- A read transaction sees one committed state. Where it cannot (a writer committed in between), it raises `Moved`,
  and the whole read is done again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, overload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager


class Moved(Exception):  # noqa: N818 - a signal to read again, like StopIteration, not an error of anyone's
    """The store moved on under a read transaction. Run the read again."""


class Transaction(Protocol):
    """Four verbs. Keys are non-empty text with `/` between segments; values are bytes."""

    def get(self, key: str) -> bytes | None:
        """The value, or None where there is none."""

    def put(self, key: str, value: bytes, *, new: bool = False) -> None:
        """Create or replace. `new`: there is none yet, which spares the look for it; the commit fails where there is one."""

    def delete(self, key: str) -> None:
        """Remove; nothing happens where there is nothing."""

    def list(self, prefix: str, *, after: str = "", limit: int = -1) -> list[str]:
        """Names directly below `prefix` ("" or ending in "/"), in byte order of their UTF-8.

        A name that has more below it ends in "/" (a key and a folder of one name are two entries: "app", "app/").
        `after` leaves out all names up to and including that one; `limit` caps the answer, negative means all.
        Cost grows with the answer, not with the store.
        """


class Writable(Transaction, Protocol):
    """A whole write transaction."""

    def savepoint(self) -> None:
        """What is done from here on can be taken back. There is one savepoint, the last."""

    def roll_back(self) -> None:
        """Take back what was done since the savepoint, and no more."""


class Storage(Protocol):
    """Where transactions come from."""

    @overload
    def begin(self, *, write: Literal[True]) -> AbstractContextManager[Writable]: ...
    @overload
    def begin(self, *, write: bool) -> AbstractContextManager[Transaction]: ...
    def begin(self, *, write: bool) -> AbstractContextManager[Transaction]:
        """Open a transaction."""

    @property
    def revision(self) -> int:
        """Grows with every commit; equal revisions mean equal contents."""

    @property
    def overdue(self) -> bool:
        """The next commit has more to do than to keep its changes, and takes long."""

    def close(self) -> None:
        """Release files and locks. Idempotent."""


class Moment(Protocol):
    """The rows of one moment, whatever is written later."""

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Every row, in the order of the keys; to be gone through once, at leisure."""

    def look(self, keys: Sequence[str]) -> list[bytes | None]:
        """Some hundred rows at most; None for one that was not there."""


class Freezable(Storage, Protocol):
    """A storage that can be gone through while writers go on."""

    def freeze(self, *, lookups: bool = False) -> Moment:
        """The rows as they are now. `lookups`: for `look`, which costs memory for each row that changes meanwhile."""
