"""A cache of decoded rows that is never wrong.

- A row is remembered only if nobody invalidated the cache since its reader began (`generation`).
- Writers take turns, and invalidate after their commit and before the next writer begins; so a writer may trust the
  cache but for the rows of it that it has itself changed (`Unit.changes`), and a value from before a commit is never kept past it.
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
    """`read(unit, key)` decodes one row. Thread-safe, and bounded: the oldest go first.

    Together the values weigh at most `most`; without `weigh` each weighs 1.
    """

    def __init__(
        self,
        most: int,
        read: Callable[[Unit, Key], Value | None],
        weigh: Callable[[Value], int] = lambda _: 1,
    ) -> None:
        self._most = most
        self._read = read
        self._weigh = weigh
        self._weight = 0
        self._rows: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()
        self._generation = 0

    def load(self, unit: Unit, key: Key) -> Value | None:
        """The remembered value, or the one read now. A unit that has changed the row always reads."""
        if unit.changed and unit.has_changed(self, key):
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
            for key in keys or tuple(self._rows):
                self._drop(key)

    def _remember(self, key: Key, value: Value, generation: int) -> None:
        with self._lock:
            if generation != self._generation:
                return
            self._drop(key)
            self._rows[key] = value
            self._weight += self._weigh(value)
            while self._weight > self._most:
                self._drop(next(iter(self._rows)))

    def _drop(self, key: Key) -> None:
        value = self._rows.pop(key, None)
        if value is not None:
            self._weight -= self._weigh(value)
