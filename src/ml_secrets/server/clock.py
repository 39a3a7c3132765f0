"""The server's clock: seconds since 1970 that never go back, neither while it runs nor over a restart.

What expires must stay expired, whatever happens to the machine's clock:

- Time follows the wall clock while that is at most `TOLERANCE` behind the monotonic clock (time stands still then) and at
  most `LEAP` ahead of it.
- The wall clock steps back by more: time does not. It goes on at its own pace until the wall clock has caught up.
- The wall clock leaps ahead by more than `LEAP`: that is an alarm, and is believed only once it has lasted for `DOUBT`
  seconds, so that a short fault of a time server does not expire everything at once.
- The store keeps a mark of the time it has seen; after a restart time begins there at the earliest (`resume`).
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.pipeline.units import Units

TOLERANCE: Final = 5.0
LEAP: Final = 300.0
DOUBT: Final = 60.0
_MARK: Final = "open/clock"
_log: Final = logging.getLogger("ml_secrets.server")


class Clock:
    """Call it for the time. `wall` and `steady` are the machine's two clocks, in seconds. Thread-safe."""

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._lock = threading.Lock()
        self._now = wall()
        self._at = steady()
        self._leapt_at: float | None = None
        self._behind = False

    def __call__(self) -> float:
        """Seconds since 1970."""
        with self._lock:
            steady, wall = self._steady(), self._wall()
            passed = steady - self._at
            expected = self._now + passed if passed > 0.0 else self._now
            agree = -TOLERANCE <= wall - expected <= LEAP
            if not agree or self._behind or self._leapt_at is not None:
                wall = self._believed(wall, expected, steady)
            self._at = steady
            self._now = max(self._now, wall)
            return self._now

    def not_before(self, mark: float) -> None:
        """The store has seen this moment: time begins there at the earliest."""
        with self._lock:
            if mark > self._now + TOLERANCE:
                _log.error(
                    "the machine's clock is %d seconds behind the store: time goes on from the store's",
                    mark - self._now,
                )
            self._now = max(self._now, mark)

    def _believed(self, wall: float, expected: float, steady: float) -> float:
        ahead = wall - expected
        if ahead > LEAP:
            return self._after_leap(wall, expected, steady)
        self._leapt_at = None
        behind = ahead < -TOLERANCE
        if behind and not self._behind:
            _log.error("the machine's clock stepped back by %d seconds: time here does not", -ahead)
        self._behind = behind
        return expected if behind else wall

    def _after_leap(self, wall: float, expected: float, steady: float) -> float:
        if self._leapt_at is None:
            self._leapt_at = steady
            _log.error(
                "the machine's clock leapt ahead by %d seconds: believed in %d seconds, if it lasts",
                wall - expected,
                DOUBT,
            )
        if steady - self._leapt_at < DOUBT:
            return expected
        self._leapt_at = None
        return wall


def resume(clock: Clock, units: Units) -> None:
    """A store was opened: go on from the time that it has seen."""
    row = units.read(lambda unit: unit.tx.get(_MARK))
    if row is not None:
        clock.not_before(msgspec.msgpack.decode(row, type=float))


def keep_mark(now: float, units: Units) -> None:
    """Note the time in the store. For upkeep."""
    with units.write() as unit:
        unit.tx.put(_MARK, msgspec.msgpack.encode(now))
