"""Transactions as units of work.

Writers take turns under one lock that is held until their caches are invalidated (see registry/cache.py).
A read that a writer overtook is done again; after a few times it waits for its turn, so it always ends.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from ml_secrets.registry.unit import Unit
from ml_secrets.storage.interface import Moved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ml_secrets.storage.interface import Storage

Result = TypeVar("Result")
_TRIES: Final = 8


class Units:
    """Makes units over one storage (the barrier). `now` returns seconds since 1970."""

    def __init__(self, storage: Storage, now: Callable[[], float]) -> None:
        self._storage = storage
        self._now = now
        self._turn = threading.RLock()

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

    @contextmanager
    def write(self) -> Iterator[Unit]:
        """A unit that commits on return and rolls back on an exception."""
        with self._turn:
            with self._storage.begin(write=True) as tx:
                unit = Unit(tx, self._now(), writes=True)
                yield unit
            unit.committed()
