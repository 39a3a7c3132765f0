"""A cache of decoded rows that is never wrong.

- A row is remembered only if nobody invalidated the cache since its reader began (`generation`).
- Writers take turns, and invalidate after their commit and before the next writer begins; so a writer may trust the
  cache until it has itself changed a row of it (`Unit.changes`), and a value from before a commit is never kept past it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from ml_secrets.registry.unit import Unit

Key = TypeVar("Key", bound="Hashable")
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """`read(unit, key)` decodes one row. Bounded; the oldest goes first. Thread-safe."""

    def __init__(self, size: int, read: Callable[[Unit, Key], Value | None]) -> None:
        self._size = size
        self._read = read
        self._rows: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()
        self._generation = 0

    def load(self, unit: Unit, key: Key) -> Value | None:
        """The remembered value, or the one read now. A unit that has changed rows of this cache always reads."""
        if unit.writes and id(self) in unit.changed:
            return self._read(unit, key)
        value = self._rows.get(key)
        if value is not None:
            return value
        generation = self._generation
        value = self._read(unit, key)
        if value is not None:
            self._remember(key, value, generation)
        return value

    def forget(self, *keys: Key) -> None:
        """Drop these rows; without arguments, all."""
        with self._lock:
            self._generation += 1
            if not keys:
                self._rows.clear()
            for key in keys:
                self._rows.pop(key, None)

    def _remember(self, key: Key, value: Value, generation: int) -> None:
        with self._lock:
            if generation != self._generation:
                return
            self._rows[key] = value
            if len(self._rows) > self._size:
                self._rows.popitem(last=False)
