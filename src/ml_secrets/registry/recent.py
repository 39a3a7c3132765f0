"""The latest changes, in memory: for who hears of them as they come, and for who was away for a moment.

So many are kept and no more, for everybody together. Who has fallen behind, or knows a name from before a restart or a
seal, is told that there may be more than is kept. The names of changes are keyed hashes: they do not tell how many there are.
"""

from __future__ import annotations

import hashlib
from collections import deque
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.registry.changes import Change

MOST: Final = 4096
_NAME_SIZE: Final = 8
_KEY_SIZE: Final = 32


class Told(msgspec.Struct, frozen=True):
    """A change, and its name."""

    name: str
    change: Change


class Recent:
    """The last `MOST` changes. A place is a number: how many had been told by then. `random(n)` gives n random bytes."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._key = random(_KEY_SIZE)
        self._lock = Lock()
        self._kept: deque[Told] = deque(maxlen=MOST)
        self._end = 0
        self._before = self._name(0)

    def add(self, change: Change) -> None:
        """Keep one more; of too many, the oldest is let go. Called by the thread that made the change."""
        with self._lock:
            if len(self._kept) == MOST:
                self._before = self._kept[0].name
            self._end += 1
            self._kept.append(Told(self._name(self._end), change))

    def now(self) -> tuple[int, str]:
        """The place at the end, and the name of what was told last."""
        with self._lock:
            return self._end, self._kept[-1].name if self._kept else self._before

    def after(self, name: str) -> int | None:
        """The place behind the change of that name; None where it is not known (any more)."""
        with self._lock:
            first = self._end - len(self._kept)
            if name == self._before:
                return first
            for number, told in enumerate(self._kept, first + 1):
                if told.name == name:
                    return number
        return None

    def since(self, place: int, *, most: int) -> list[Told] | None:
        """What came next; None where some of it is not kept any more."""
        with self._lock:
            first = self._end - len(self._kept)
            if place < first:
                return None
            return list(islice(self._kept, place - first, place - first + most))

    def forget_all(self) -> None:
        """The server seals: names of secrets are not kept, and nothing that came before is known."""
        with self._lock:
            self._key = self._random(_KEY_SIZE)
            self._kept.clear()
            self._before = self._name(self._end)

    def _name(self, place: int) -> str:
        """Of the change that came at that place. Made without the system's help, which every change would wait for."""
        return hashlib.blake2b(place.to_bytes(8, "big"), digest_size=_NAME_SIZE, key=self._key).hexdigest()
