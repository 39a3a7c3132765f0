"""The writers' turn: a lock that its holder may take again, and may hand on to another thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class Turn:
    """Held by one thread, or on its way from one to another (`hand_on`, `take_over`). A context manager."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder = 0
        self._times = 0

    def take(self) -> None:
        """Take it, as often as wanted; wait for it where another thread has it."""
        me = threading.get_ident()
        if self._holder != me:
            self._lock.acquire()
            self._holder = me
        self._times += 1

    def take_if_free(self) -> bool:
        """False where anybody has it, this thread included; nobody waits."""
        if not self._lock.acquire(blocking=False):
            return False
        self._holder, self._times = threading.get_ident(), 1
        return True

    def let_go(self) -> None:
        """Let it go, as often as it was taken."""
        self._times -= 1
        if not self._times:
            self._holder = 0
            self._lock.release()

    def hand_on(self) -> None:
        """It is no thread's now, and nobody can take it but by `take_over`."""
        self._holder = 0

    def take_over(self) -> None:
        """It is this thread's now, which was handed it."""
        self._holder = threading.get_ident()

    def __enter__(self) -> None:
        self.take()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
