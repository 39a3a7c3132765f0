"""A command that is started anew where `on-change = "restart"`: when it is asked for, how long to rest before, and how often.

- What changes while the command ends, or before it has started, is one restart.
- A command that ran for less than `STEADY` seconds rests before it starts anew: longer each time, up to `LONGEST`. A secret that is
  rotated all the time does not keep it from working.
- A signal that would end it ends the run, whether it comes while the command ends or while there is none.
- After `most` times it is left alone, with files that stay fresh; that is said once.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.run import signals, system

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.agent.job import Restart

STEADY: Final = 30.0
LONGEST: Final = 60.0
_FIRST: Final = 1.0


class Again:
    """One command's. `ask` is called in another thread, all else in the main one."""

    def __init__(self, asked: Restart, told: Callable[[str], None]) -> None:
        self.signal = asked.signal
        self.seconds = asked.seconds
        self.bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.wanted = False
        self._most = asked.most
        self._told = told
        self._times = 0
        self._quick = 0
        self._began = 0.0

    @property
    def turn(self) -> int:
        """How often it was started anew."""
        return self._times

    def ask(self) -> None:
        """Its secrets are others now."""
        os.eventfd_write(self.bell, 1)

    def heard(self) -> bool:
        """It was asked for. Says whether the command is to end for that."""
        self._still()
        if self.wanted:
            return False
        self.wanted = not self._most or self._times < self._most
        if not self.wanted:
            self._told(
                f"secrets changed, and the command was started anew {self._times} times: it goes on as it is"
            )
            self._told = lambda _: None
        return self.wanted

    def call_off(self) -> None:
        """The run is to end."""
        self.wanted = False

    def began(self) -> None:
        """The command runs."""
        self._began = time.monotonic()

    def rest(self, come: int) -> int:
        """Wait until it may be started anew, with what is there by then. `come`: where signals are read. Gives the one that ends the run meanwhile, else 0."""
        self._times += 1
        self._quick = 0 if time.monotonic() - self._began > STEADY else self._quick + 1
        pause = min(LONGEST, _FIRST * 2.0 ** min(self._quick - 2, 10)) if self._quick > 1 else 0.0
        if pause:
            self._told(f"secrets changed again: the command is started anew in {pause:.0f} s")
        ends = time.monotonic() + pause
        poll = select.poll()
        poll.register(come, select.POLLIN)
        while (left := ends - time.monotonic()) > 0:
            poll.poll(left * 1000)
            if fatal := signals.heeded_alone(system.signals_from(come)):
                return fatal
        self.wanted = False
        self._still()
        return signals.heeded_alone(system.signals_from(come))

    def _still(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self.bell)
