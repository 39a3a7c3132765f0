"""Runs the upkeep, each job at its own interval: in a thread, or whenever somebody has `run_due` carried out.

A job that fails is logged and tried again next time.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ml_secrets.errors import Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_log: Final = logging.getLogger("ml_secrets.upkeep")


@dataclass(slots=True)
class Job:
    """`run` does one bounded round and tells whether more is waiting. `every` is in seconds.

    takes_long: the other jobs are not to wait for it, nor is a program that opens the store for one secret.
    """

    name: str
    every: float
    run: Callable[[], bool]
    takes_long: bool = False
    due: float = 0.0


class Ticker:
    """The upkeep. Its clock is monotonic, so that a clock that jumps neither stops nor floods it."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = list(jobs)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the round at hand."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(max(0.02, self.run_due() - time.monotonic()))

    def run_due(self) -> float:
        """One round of each job that is due. Returns when the next one is, by the monotonic clock."""
        now = time.monotonic()
        for job in self._jobs:
            if job.due <= now:
                more = self._round(job)
                job.due = now if more else now + job.every
        return min((job.due for job in self._jobs), default=now + 1.0)

    @staticmethod
    def _round(job: Job) -> bool:
        try:
            return job.run()
        except Sealed:  # it was open when the round began
            return False
        except Exception as error:  # noqa: BLE001 - whatever a job meets, the next round is due; a traceback may hold values
            _log.error("%s failed: %s", job.name, type(error).__name__)
            return False
