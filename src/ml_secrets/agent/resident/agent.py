"""The order of an agent's life.

    1. the configuration is read, and every template compiled; nobody looks into this process
    2. folders are opened and checked, and doors listen: before any secret leaves the server
    3. it logs in, as often as it takes, and writes its sinks
    4. everything is fetched and written; then its program starts, and systemd hears that it is ready
    5. it follows what changes, keeps its token, and gives signs of life
    6. at the end its program is stopped and its sockets go. Files stay, for whoever uses them

SIGHUP: 1 to 5 with the configuration as it is by then; a wrong one changes nothing. SIGTERM and SIGINT: 6.
The main thread has the signals and the program, work.py the rest.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.resident.notify import Notify
from ml_secrets.agent.resident.supervise import Supervisor
from ml_secrets.agent.resident.work import Work
from ml_secrets.agent.run import system
from ml_secrets.errors import Fault, MlSecretsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ml_secrets.agent.resident.config import Config

_TAKEN: Final = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
_TICK: Final = 1.0
_AGAIN: Final = 30.0


class Inbox:
    """What other threads have the main thread do."""

    def __init__(self) -> None:
        self.bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._waiting: deque[Callable[[], None]] = deque()

    def put(self, what: Callable[[], None]) -> None:
        """Have it done soon."""
        self._waiting.append(what)
        os.eventfd_write(self.bell, 1)

    def empty(self) -> None:
        """Do what waits."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.bell)
        while self._waiting:
            self._waiting.popleft()()


class Agent:
    """One agent. `read` gives its configuration as it is now; `told` passes a line on to the log."""

    def __init__(self, read: Callable[[], Config], told: Callable[[str], None]) -> None:
        self._read = read
        self._told = told
        self._inbox = Inbox()
        self._notify = Notify(os.environ)
        self._program: Supervisor | None = None
        self._ready = False
        self._ends = False
        self._code = 0
        self._looked = 0.0
        self._pid_file: Path | None = None

    def run(self) -> int:
        """Live. Gives the exit code: that of the program, where there is one that ended by itself."""
        system.hide_memory()
        self._config = self._read()
        self._unblocked = sorted(set(_TAKEN) - signal.pthread_sigmask(signal.SIG_BLOCK, _TAKEN))
        self._signals = system.signals(_TAKEN)
        self._work = Work(self._config, self._inbox.put, self, self._told)
        try:
            self._work.prepare()
            self._own_pid()
            self._work.start()
            while not self._ends:
                self._turn()
        finally:
            self._end()
        return self._code

    # ── what the work asks for: from any thread, done in this one ───────────────────────────────────────────────────

    def restart(self) -> None:
        """The program's secrets are others now."""
        if self._program is not None:
            self._program.restart()

    def signal(self, number: int) -> None:
        """The program is to have this signal."""
        if self._program is not None:
            self._program.signal(number)

    def complete(self) -> None:
        """All is there: now the program may start."""
        if self._config.once:
            self._ends = True
            return
        if self._config.program is not None and self._program is None:
            self._program = Supervisor(
                self._config.program, lambda: self._work.variables, self._unblocked, self._told
            )
            self._program.begin()
        elif self._program is not None and self._program.given != self._work.variables:
            self._program.restart()  # they changed while the configuration was read anew
        self._ready = True
        self._notify.ready(f"{len(self._config.wanted)} templates, {len(self._config.sinks)} sinks")
        self._told("everything is there")

    def end(self) -> None:
        """It is over."""
        self._ends = True

    def program(self) -> tuple[int, int]:
        """The program's process, and how often it was started again."""
        return (0, 0) if self._program is None else (self._program.pid, self._program.restarts)

    # ── the main thread ─────────────────────────────────────────────────────────────────────────────────────────────

    def _turn(self) -> None:
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        poll.register(self._inbox.bell, select.POLLIN)
        poll.poll(_TICK * 1000)
        for came in system.signals_from(self._signals):
            if came.number == signal.SIGHUP:
                self._reload()
            elif came.number != signal.SIGCHLD:
                self._ends = True
        self._inbox.empty()
        self._look_after()

    def _look_after(self) -> None:
        if self._work.failure is not None:
            raise self._work.failure
        if self._program is not None:
            self._program.tick()
            if self._program.over:
                self._ends, self._code = True, self._program.code or 0
        now = time.monotonic()
        self._work.tick(retry=now - self._looked > _AGAIN)
        if now - self._looked > _AGAIN:
            self._looked = now
        if not self._work.alive:
            raise Fault("a part of the agent has ended", hint="this is a fault in ml-secrets; start it again")
        self._notify.alive()

    def _reload(self) -> None:
        self._notify.reloading()
        try:
            config = self._read()
            fresh = Work(config, self._inbox.put, self, self._told, before=self._work)
            fresh.prepare()
        except (MlSecretsError, OSError) as error:
            self._told(f"the configuration stays as it was: {error}")
            if self._ready:
                self._notify.ready("the new configuration is wrong; the old one goes on")
            return
        self._work.stop(after=fresh)
        program, self._config, self._work = self._config.program, config, fresh
        if self._program is not None and config.program != program:
            self._leave_program()
        self._told("the configuration was read anew")
        fresh.start()

    def _leave_program(self) -> None:
        """Stop the program, and wait until it has."""
        program, self._program = self._program, None
        if program is None:
            return
        program.leave()
        while program.pid:
            program.tick()
            self._notify.alive()
            if program.pid:
                time.sleep(0.02)
        self._told("the program was stopped")

    def _end(self) -> None:
        self._notify.stopping()
        self._leave_program()
        self._work.stop()
        if self._pid_file is not None:
            self._pid_file.unlink(missing_ok=True)

    def _own_pid(self) -> None:
        """Write the pid file: once, through no link. It goes at the end, and nobody else's does."""
        path = self._config.pid_file
        if path is None:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o644), "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        self._pid_file = path
