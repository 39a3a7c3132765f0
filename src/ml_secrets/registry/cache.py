"""A cache of decoded rows that is never wrong.

A row is remembered only if nobody invalidated the cache since its reader began (`generation`), and writers invalidate
after their commit, so a value read from before a commit can never be kept past it.
Inside a write transaction nothing is cached: it may still roll back.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Bounded, least recently used goes first. Thread-safe."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()
        self._generation = 0

    def get(self, key: Hashable) -> Value | None:
        """The remembered value."""
        return self._rows.get(key)

    def load(self, key: Hashable, read: Callable[[], Value | None], *, keep: bool) -> Value | None:
        """The remembered value, or the one read now. `keep` False (a write transaction) reads and remembers nothing."""
        if not keep:
            return read()
        value = self._rows.get(key)
        if value is not None:
            return value
        generation = self._generation
        value = read()
        if value is not None:
            self._remember(key, value, generation)
        return value

    def forget(self, *keys: Hashable) -> None:
        """Drop these rows; without arguments, all."""
        with self._lock:
            self._generation += 1
            if not keys:
                self._rows.clear()
            for key in keys:
                self._rows.pop(key, None)

    def _remember(self, key: Hashable, value: Value, generation: int) -> None:
        with self._lock:
            if generation != self._generation:
                return
            self._rows[key] = value
            if len(self._rows) > self._size:
                self._rows.popitem(last=False)
