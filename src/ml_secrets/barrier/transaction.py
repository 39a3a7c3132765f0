"""The barrier's transactions: rows sealed on their way in, opened on their way out.

A write transaction keeps the pages of names that it changes until its end, and then writes each once, with the state
row, in the one transaction of the storage below; only then it is counted what became of each row. What it has opened
it knows until it ends. A transaction that was begun before the barrier sealed gets `Sealed`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from ml_secrets.barrier.integrity import STATE_ROW, State, Tally
from ml_secrets.barrier.names import GrowingNames, Names, Page
from ml_secrets.barrier.opened import NAMES, OPEN, Opened
from ml_secrets.crypto.aead import epoch_of
from ml_secrets.errors import TamperFault
from ml_secrets.storage.staged import ReadOnly

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ml_secrets.storage.interface import Transaction, Writable

_KNOWN: Final = 256
"""So many values one write transaction remembers, at most."""


class Reading(ReadOnly):
    """A read transaction; begins with the `with` block."""

    __slots__ = ("_below", "_opened", "_tx")

    _tx: Transaction

    def __init__(self, opened: Opened, below: AbstractContextManager[Transaction]) -> None:
        self._opened = opened
        self._below = below

    def __enter__(self) -> Self:
        self._tx = self._below.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._below.__exit__(*error)  # type: ignore[arg-type]  # the three of the protocol, handed on

    def get(self, key: str) -> bytes | None:
        opened = self._opened
        place, context = opened.place(key)
        row = self._tx.get(place)
        if opened.closed:
            opened.check()
        if row is None:
            if not key.startswith(OPEN):
                check_absent(Names(ReadPages(opened, self._tx)), key)
            return None
        try:
            return opened.reveal(row, context)
        except TamperFault:
            self._tx.get(place)  # a row whose key went since then has moved on, which this tells
            raise

    def list(self, prefix: str, *, after: str = "", limit: int = -1) -> list[str]:
        names = list_names(self._tx, Names(ReadPages(self._opened, self._tx)), prefix, after, limit)
        self._opened.check()
        return names


class Writing:
    """A write transaction."""

    __slots__ = ("_before", "_kept", "_known", "_names", "_opened", "_pages", "_tx")

    def __init__(self, opened: Opened, tx: Writable, new_id: Callable[[], str]) -> None:
        self._opened = opened
        self._tx = tx
        self._pages = _StagedPages(opened, tx, new_id)
        self._names = GrowingNames(self._pages)
        self._known: dict[str, bytes | None] = {}
        self._before: dict[str, bytes | None] = {}
        self._kept = 0
        """So many of these are older than the savepoint."""

    def get(self, key: str) -> bytes | None:
        self._opened.check()
        if key in self._known:
            return self._known[key]
        place, context = self._opened.place(key)
        row, value = self._tx.get(place), None
        if row is not None:
            value = self._opened.reveal(row, context)
        elif not key.startswith(OPEN):
            check_absent(self._names, key)
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[key] = value
        return value

    def put(self, key: str, value: bytes, *, new: bool = False) -> None:
        place, context = self._opened.place(key)
        old = self._replace(place, self._opened.conceal(value, context), new=new)
        if old is None and not key.startswith(OPEN):
            self._names.add(key)
        if key in self._known:
            self._known[key] = value

    def delete(self, key: str) -> None:
        place, _ = self._opened.place(key)
        old = self._replace(place, None)
        if old is not None and not key.startswith(OPEN):
            self._names.remove(key)
        if key in self._known:
            self._known[key] = None

    def list(self, prefix: str, *, after: str = "", limit: int = -1) -> list[str]:
        names = list_names(self._tx, self._names, prefix, after, limit)
        self._opened.check()
        return names

    def reseal(self, place: str, context: bytes) -> bool:
        """Seal one row under the newest key, if it is under an older one."""
        row = self._tx.get(place)
        if row is None or epoch_of(row) == self._opened.keyring.newest.term:
            return False
        self._replace(place, self._opened.conceal(self._opened.reveal(row, context), context))
        return True

    def savepoint(self) -> None:
        self._tx.savepoint()
        self._pages.savepoint()
        self._kept = len(self._before)

    def roll_back(self) -> None:
        self._tx.roll_back()
        self._pages.roll_back()
        self._known.clear()
        for _ in range(len(self._before) - self._kept):
            self._before.popitem()

    def finish(self) -> State:
        """Write what was kept back. Returns the state after this transaction, the old one if nothing changed."""
        opened, tx = self._opened, self._tx
        for page_id, page in self._pages.staged.items():
            place = NAMES + page_id
            self._replace(place, None if page is None else opened.conceal_page(place, page))
        tally = Tally(opened.state_mac, opened.state)
        for place, old in self._before.items():
            tally.replace(place, old, tx.get(place))
        if not tally.changed:
            return opened.state
        state = tally.state()
        tx.put(STATE_ROW, opened.conceal_state(state))
        opened.check()
        return state

    def _replace(self, place: str, row: bytes | None, *, new: bool = False) -> bytes | None:
        """Stage one row, in the place of the one that is returned. A `new` one has no place to look at."""
        old = None if new else self._tx.get(place)
        if old is None and row is None:
            return None
        self._before.setdefault(place, old)
        if row is None:
            self._tx.delete(place)
        else:
            self._tx.put(place, row, new=new)
        self._opened.check()
        return old


class ReadPages:
    """Pages as one transaction of the storage sees them."""

    __slots__ = ("_opened", "_tx")

    def __init__(self, opened: Opened, tx: Transaction) -> None:
        self._opened = opened
        self._tx = tx

    def load(self, page_id: str) -> Page | None:
        place = NAMES + page_id
        row = self._tx.get(place)
        if row is None:
            return None
        try:
            return self._opened.page(row, place)
        except TamperFault:
            self._tx.get(place)  # as in `Reading.get`
            raise


class _StagedPages(ReadPages):
    """Pages with a transaction's changes on top; None stands for one that goes."""

    __slots__ = ("_kept", "_new_id", "staged")

    def __init__(self, opened: Opened, tx: Transaction, new_id: Callable[[], str]) -> None:
        super().__init__(opened, tx)
        self._new_id = new_id
        self.staged: dict[str, Page | None] = {}
        self._kept = self.staged

    def savepoint(self) -> None:
        self._kept = self.staged.copy()

    def roll_back(self) -> None:
        self.staged = self._kept

    def load(self, page_id: str) -> Page | None:
        return self.staged[page_id] if page_id in self.staged else super().load(page_id)

    def save(self, page_id: str, page: Page) -> None:
        self.staged[page_id] = page

    def drop(self, page_id: str) -> None:
        self.staged[page_id] = None

    def new_id(self) -> str:
        return self._new_id()


def check_absent(names: Names, key: str) -> None:
    """Raise `TamperFault` where there should be a row: damage that hides one must not look as if nothing had been there."""
    if names.has(key):
        raise TamperFault("a row is missing", hint="verify the store, and restore a backup if it is damaged")


def list_names(tx: Transaction, names: Names, prefix: str, after: str, limit: int) -> list[str]:
    """Names below `prefix`: from the storage for ours, from the tree for those of people."""
    if prefix.startswith(OPEN):
        return tx.list(prefix, after=after, limit=limit)
    found = names.below(prefix, after=after, limit=limit)
    if not prefix and after < OPEN and tx.list(OPEN, limit=1):
        found = sorted([*found, OPEN], key=str.encode)
        return found if limit < 0 else found[:limit]
    return found
