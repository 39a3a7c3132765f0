"""The program that an agent runs: started when its secrets are there, started again as it is said, stopped with the agent.

It has a process group of its own, dies with the agent even where that is killed, leaves no core file (the agent's own limit), and is not given the agent's
token. All of this happens in the main thread: the kernel ends a child with the thread that started it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.run.child import NotStarted, Seat, code_of, start
from ml_secrets.agent.run.order import TOKEN_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ml_secrets.agent.resident.config import Program
    from ml_secrets.sensitive import Sensitive

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_STEADY: Final = 30.0
_SERVICE: Final = (
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
)


def surroundings(environ: Mapping[str, str]) -> dict[str, str]:
    """The agent's variables for what it starts: without its token, and without what systemd said to it alone."""
    return {name: text for name, text in environ.items() if name not in {*TOKEN_VARIABLES, *_SERVICE}}


class Supervisor:
    """One program. `tick` is called at least every second and whenever a child ended."""

    def __init__(
        self,
        program: Program,
        variables: Callable[[], Mapping[str, Sensitive]],
        unblocked: Iterable[int],
        told: Callable[[str], None],
    ) -> None:
        self._program = program
        self._variables = variables
        self._unblocked = list(unblocked)
        self._told = told
        self.pid = 0
        self.restarts = 0
        self.given: dict[str, Sensitive] = {}
        self.code: int | None = None
        self._began = 0.0
        self._start_at: float | None = None
        self._kill_at: float | None = None
        self._failures = 0
        self._again = False
        self._leaving = False

    @property
    def over(self) -> bool:
        """Has it ended, not to be started again? `code` is its exit code then."""
        return self.code is not None and not self.pid and self._start_at is None

    def begin(self) -> None:
        """Start it as soon as may be."""
        if not self.pid:
            self._start_at = time.monotonic()

    def signal(self, number: int) -> None:
        """Send it a signal; to the one process, which knows what to tell its own children."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def restart(self) -> None:
        """Stop it and start it anew: its secrets are others now."""
        if self.pid and not self._leaving:
            self._again = True
            self._stop()

    def leave(self) -> None:
        """Stop it for good."""
        self._leaving, self._start_at = True, None
        if self.pid:
            self._stop()

    def tick(self) -> None:
        """Reap it where it has ended, kill it where it was to end by now, start it where that is due."""
        now = time.monotonic()
        if self.pid:
            self._reap(now)
        if self.pid and self._kill_at is not None and now >= self._kill_at:
            self._signal_group(signal.SIGKILL)
        if not self.pid and self._start_at is not None and now >= self._start_at:
            self._start(now)

    def _start(self, now: float) -> None:
        self._start_at = self._kill_at = None
        self._began = now
        self.given = dict(self._variables())
        texts = {name: text.reveal() for name, text in self.given.items()}
        environment = surroundings(os.environ) | texts
        try:
            seat = Seat(0, 1, 2, group=True)
            self.pid = start(self._program.command, environment, seat, unblocked=self._unblocked).process
        except NotStarted as error:
            self._told(f"{self._program.command[0]}: {error.strerror}")
            self._ended(error.code, now)

    def _reap(self, now: float) -> None:
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return
        self._signal_group(signal.SIGKILL)  # what it left behind in its group has the old secrets
        _, status = os.waitpid(self.pid, 0)
        self.pid, self._kill_at = 0, None
        self._ended(code_of(status), now)

    def _ended(self, code: int, now: float) -> None:
        self.code = code
        again, self._again = self._again, False
        if self._leaving:
            return
        if again:
            self._start_at = now
        elif self._program.restart == "always" or (self._program.restart == "on-failure" and code):
            self._failures = 0 if now - self._began > _STEADY else self._failures + 1
            pause = (
                min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10))
                if self._failures
                else 0.0
            )
            self._start_at = now + pause
            self._told(f"{self._program.command[0]} ended with {code}; it is started again in {pause:.0f} s")
        else:
            return
        self.restarts += 1

    def _stop(self) -> None:
        self._signal_group(self._program.stop_signal)
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._program.stop_seconds

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
