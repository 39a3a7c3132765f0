"""Failed logins, counted for every name alike, known or not, so that a lockout tells nobody which names exist.

Counts live in memory and are bounded. Keys are (mount accessor, canonical name): spelling variants share one count.
Tries at one name that run at the same time count as failed until they end, so no burst gets more tries than the rule.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_NAMES: Final = 100_000
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class LockoutRule:
    """`threshold` failures lock a name for `duration` seconds; after `reset` seconds without one the count begins anew.

    threshold 0 never locks.
    """

    threshold: int = 5
    duration: int = 900
    reset: int = 900


@dataclass(slots=True)
class Attempt:
    """One try. When `locked`, nothing may be tried; else say in `right` how it went (None: it came to no end)."""

    locked: bool
    right: bool | None = None


class Lockouts:
    """Counts of failures and the locks they led to. Thread-safe; times in seconds since 1970."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._locked: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._running: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Condition()

    @contextmanager
    def attempt(self, accessor: str, name: str, now: float, rule: LockoutRule) -> Iterator[Attempt]:
        """Try a name. Waits while as many tries run as the rule has left."""
        key = (accessor, name)
        attempt = Attempt(locked=not self._begin(key, now, rule))
        try:
            yield attempt
        finally:
            if not attempt.locked:
                self._finish(key, attempt.right, now, rule)

    def _begin(self, key: tuple[str, str], now: float, rule: LockoutRule) -> bool:
        with self._lock:
            while not self._is_locked(key, now):
                running = self._running[key]
                if (
                    not running
                    or rule.threshold <= 0
                    or self._count(key, now, rule) + running < rule.threshold
                ):
                    self._running[key] += 1
                    return True
                self._lock.wait()
            return False

    def _finish(self, key: tuple[str, str], right: bool | None, now: float, rule: LockoutRule) -> None:
        with self._lock:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]
            if right:
                self._failures.pop(key, None)
            elif right is not None and rule.threshold > 0:
                self._fail(key, now, rule)
            self._lock.notify_all()

    def _fail(self, key: tuple[str, str], now: float, rule: LockoutRule) -> None:
        count = self._count(key, now, rule) + 1
        self._failures.pop(key, None)
        if count >= rule.threshold:
            _put(self._locked, key, now + rule.duration)
        else:
            _put(self._failures, key, (count, now))

    def _count(self, key: tuple[str, str], now: float, rule: LockoutRule) -> int:
        count, last = self._failures.get(key, (0, now))
        return 0 if now - last > rule.reset else count

    def _is_locked(self, key: tuple[str, str], now: float) -> bool:
        until = self._locked.get(key, 0.0)
        if until and until <= now:
            del self._locked[key]
        return until > now

    def locked(self, accessor: str, name: str, now: float) -> bool:
        """True while the name is locked out."""
        with self._lock:
            return self._is_locked((accessor, name), now)

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
