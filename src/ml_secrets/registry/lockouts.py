"""Failed logins, counted for every name alike, known or not, so that a lockout tells nobody which names exist.

Counts live in memory and are bounded. Keys are (mount accessor, canonical name): spelling variants share one count.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, TypeVar

_MOST_NAMES: Final = 100_000
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class LockoutRule:
    """`threshold` failures within `reset` seconds lock a name for `duration` seconds. threshold 0 never locks."""

    threshold: int = 5
    duration: int = 900
    reset: int = 900


class Lockouts:
    """Counts of failures and the locks they led to. Thread-safe; times in seconds since 1970."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._locked: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._lock = threading.Lock()

    def locked(self, accessor: str, name: str, now: float) -> bool:
        """True while the name is locked out."""
        with self._lock:
            until = self._locked.get((accessor, name), 0.0)
            if until and until <= now:
                del self._locked[accessor, name]
            return until > now

    def failed(self, accessor: str, name: str, now: float, rule: LockoutRule) -> None:
        """Count one failure; lock at the threshold."""
        if rule.threshold <= 0:
            return
        key = (accessor, name)
        with self._lock:
            count, last = self._failures.pop(key, (0, now))
            count = 1 if now - last > rule.reset else count + 1
            if count >= rule.threshold:
                _put(self._locked, key, now + rule.duration)
            else:
                _put(self._failures, key, (count, now))

    def succeeded(self, accessor: str, name: str) -> None:
        """A login worked: forget its failures."""
        with self._lock:
            self._failures.pop((accessor, name), None)

    def unlock(self, accessor: str, name: str) -> None:
        """An operator lifts a lock."""
        with self._lock:
            self._locked.pop((accessor, name), None)
            self._failures.pop((accessor, name), None)

    def all(self, now: float) -> list[tuple[str, str]]:
        """(mount accessor, name) of everybody locked out now."""
        with self._lock:
            return sorted(key for key, until in self._locked.items() if until > now)


def _put(table: OrderedDict[tuple[str, str], Value], key: tuple[str, str], value: Value) -> None:
    table[key] = value
    if len(table) > _MOST_NAMES:
        table.popitem(last=False)
