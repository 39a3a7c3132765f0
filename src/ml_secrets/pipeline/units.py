"""Transactions as units of work.

Writers take turns (turn.py), each until the caches are invalidated (see registry/cache.py).
A read that a writer overtook is done again; after a few times it waits for its turn, so it always ends.
Writers that come together may share one commit (`together`): each still sees what those before it did, and rolls back alone.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from ml_secrets.pipeline.turn import Turn
from ml_secrets.registry.unit import Unit
from ml_secrets.storage.interface import Moved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from ml_secrets.storage.interface import Storage, Transaction, Writable

Result = TypeVar("Result")
_TRIES: Final = 8


class Units:
    """Makes units over one storage (the barrier). `now` returns seconds since 1970."""

    def __init__(self, storage: Storage, now: Callable[[], float]) -> None:
        self._storage = storage
        self._now = now
        self._turn = Turn()
        self._whole: Unit | None = None
        self._owner = 0
        """The thread whose units are parts of `_whole`."""
        self._tx: Writable
        self._written = 0

    @property
    def stamp(self) -> int:
        """The same number again means: nothing was written in between, and no cache has let anything go.

        Both summands only grow. The storage's moves when a commit becomes visible, ours when the caches have followed.
        """
        return self._written + self._storage.revision

    @property
    def overdue(self) -> bool:
        """The storage's."""
        return self._storage.overdue

    def read(self, work: Callable[[Unit], Result]) -> Result:
        """Run `work` on one committed state. It must have no effect outside: it may run more than once."""
        for _ in range(_TRIES):
            try:
                with self._storage.begin(write=False) as tx:
                    return work(Unit(tx, self._now()))
            except Moved:
                continue
        with self._turn, self._storage.begin(write=False) as tx:
            return work(Unit(tx, self._now()))

    def look(self) -> AbstractContextManager[Transaction]:
        """One read of one committed state, tried once: raises `Moved` where a writer came in between."""
        return self._storage.begin(write=False)

    @contextmanager
    def write(self) -> Iterator[Unit]:
        """A unit that commits on return and rolls back on an exception."""
        whole = self._whole if self._owner == threading.get_ident() else None
        if whole is None:
            with self._turn, self._whole_unit() as unit:
                yield unit
            return
        self._tx.savepoint()
        unit = Unit(whole.tx, self._now(), changed=whole.changed)
        try:
            yield unit
        except BaseException:
            self._tx.roll_back()
            raise
        whole.actions += unit.actions

    @contextmanager
    def together(self) -> Iterator[None]:
        """What this thread writes meanwhile becomes durable, and is told to caches and listeners, at the end and at once."""
        self._turn.take()
        together = self._begin()
        with together:
            yield
        together.commit()

    def try_together(self) -> Together | None:
        """The same in two halves; None where a writer has the turn. Enter it, write, leave it, and then commit it, here or in another thread."""
        return self._begin() if self._turn.take_if_free() else None

    def _begin(self) -> Together:
        try:
            whole = self._whole_unit()
            return Together(self, self._turn, whole, whole.__enter__())
        except BaseException:
            self._turn.let_go()
            raise

    def turn(self) -> AbstractContextManager[None]:
        """The writers' turn, for what writes beside all units: so that who may not wait sees that it is taken."""
        return self._turn

    def join(self, whole: Unit | None) -> None:
        """The units of this thread are parts of `whole` from now on; with None, they are their own again."""
        self._owner = 0  # first of all: whoever was the owner before must not take this one for its own
        self._whole = whole
        self._owner = threading.get_ident() if whole is not None else 0

    @contextmanager
    def _whole_unit(self) -> Iterator[Unit]:
        with self._storage.begin(write=True) as tx:
            self._tx, unit = tx, Unit(tx, self._now())
            yield unit
        try:
            unit.committed()
        finally:
            self._written += 1


class Together:
    """Units with one commit. Until that, or until leaving it with an error, which undoes them, no other writer has the turn."""

    def __init__(self, units: Units, turn: Turn, commit: AbstractContextManager[Unit], whole: Unit) -> None:
        self._units = units
        self._turn = turn
        self._commit = commit
        self._whole = whole

    def __enter__(self) -> None:
        self._units.join(self._whole)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._units.join(None)
        self._turn.hand_on()
        if error is not None:
            self._end(kind, error, trace)

    def commit(self) -> None:
        """What was written becomes durable, and is told to caches and listeners. Raises what stands in the way."""
        self._end(None, None, None)

    def _end(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turn.take_over()
        try:
            self._commit.__exit__(kind, error, trace)
        finally:
            self._turn.let_go()
