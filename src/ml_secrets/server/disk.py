"""Whether the disk answers so soon that the event loop may wait for it."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMPT: Final = 0.001
"""Seconds that a commit may wait in the mean. To hand it to a thread, and to hear of its end, takes a good part of that."""
REST: Final = 256
"""After the disk was slow, so many commits are not for the loop; then it is tried again."""
_WEIGHT: Final = 1 / 32


class Disk:
    """What was seen of the disk lately. For one thread; what others make of it does not count, for they wait for the interpreter too."""

    def __init__(self) -> None:
        self._mean = 0.0
        """Seconds that a commit waited, the latest counting most."""
        self._rest = 0

    @property
    def prompt(self) -> bool:
        """Whether to wait for the next commit. Asked once for each."""
        if not self._rest:
            return True
        self._rest -= 1
        return False

    @contextlib.contextmanager
    def asked(self) -> Iterator[None]:
        """A commit: the time that this thread waits meanwhile is the disk's."""
        began, worked = time.monotonic(), time.thread_time()
        try:
            yield
        finally:
            waited = time.monotonic() - began - (time.thread_time() - worked)
            self._mean += (waited - self._mean) * _WEIGHT
            if self._mean > PROMPT:
                self._mean, self._rest = 0.0, REST
