"""Transactions as units of work.

Writers take turns under one lock that is held until their caches are invalidated (see registry/cache.py).
A read that a writer overtook is done again; after a few times it waits for its turn, so it always ends.
Writers that come together may share one commit (`together`): each still sees what those before it did, and rolls back alone.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from ml_secrets.registry.unit import Unit
from ml_secrets.storage.interface import Moved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ml_secrets.storage.interface import Storage, Transaction, Writable

Result = TypeVar("Result")
_TRIES: Final = 8


class Units:
    """Makes units over one storage (the barrier). `now` returns seconds since 1970."""

    def __init__(self, storage: Storage, now: Callable[[], float]) -> None:
        self._storage = storage
        self._now = now
        self._turn = threading.RLock()
        self._whole: Unit | None = None
        self._tx: Writable
        self._written = 0

    @property
    def stamp(self) -> int:
        """The same number again means: nothing was written in between, and no cache has let anything go.

        Both summands only grow. The storage's moves when a commit becomes visible, ours when the caches have followed.
        """
        return self._written + self._storage.revision

    def read(self, work: Callable[[Unit], Result]) -> Result:
        """Run `work` on one committed state. It must have no effect outside: it may run more than once."""
        for _ in range(_TRIES):
            try:
                with self._storage.begin(write=False) as tx:
                    return work(Unit(tx, self._now(), writes=False))
            except Moved:
                continue
        with self._turn, self._storage.begin(write=False) as tx:
            return work(Unit(tx, self._now(), writes=False))

    def look(self) -> AbstractContextManager[Transaction]:
        """One read of one committed state, tried once: raises `Moved` where a writer came in between."""
        return self._storage.begin(write=False)

    @contextmanager
    def write(self) -> Iterator[Unit]:
        """A unit that commits on return and rolls back on an exception."""
        with self._turn:  # whoever has it twice is within `together`
            whole = self._whole
            if whole is None:
                with self._whole_unit() as unit:
                    yield unit
                return
            self._tx.savepoint()
            unit = Unit(whole.tx, self._now(), writes=True, changed=whole.changed)
            try:
                yield unit
            except BaseException:
                self._tx.roll_back()
                raise
            whole.actions += unit.actions

    @contextmanager
    def together(self) -> Iterator[None]:
        """What this thread writes meanwhile becomes durable, and is told to caches and listeners, at the end and at once."""
        with self._turn, self._whole_unit() as whole:
            self._whole = whole
            try:
                yield
            finally:
                self._whole = None

    @contextmanager
    def _whole_unit(self) -> Iterator[Unit]:
        with self._storage.begin(write=True) as tx:
            self._tx, unit = tx, Unit(tx, self._now(), writes=True)
            yield unit
        try:
            unit.committed()
        finally:
            self._written += 1
