"""A small process that outlives the runner, and takes back what a run made when the runner cannot: after `kill -9`, say.

It is told of each thing that must not stay. As long as the runner lives it sleeps. When the runner ends without a farewell it

    1. kills what is left of the command: every process with the run's mark in its environment,
    2. puts the terminal back,
    3. shreds the folder,
    4. revokes the token that the run made; while the server is away it tries again, for `PATIENCE` seconds at most.

1 to 3 take less than `SECONDS`. Keys and signals do not reach it: it has a session of its own, and ignores what can be ignored. It is
nobody's child, so that it outlives those who kill a process and all below it: CI runners, job schedulers, supervisors. Where it is
killed itself, the runner starts another, up to `_MOST` times.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.run import place, system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ml_secrets.agent.run.terminal import Terminal

PATIENCE: Final = 300.0
SECONDS: Final = 5.0
MARK: Final = "ML_SECRETS_RUN"
"""The variable by which the processes of a run are known; runs within runs add theirs to it."""
_NAME: Final = "ml-secrets-keep"
_FAREWELL: Final = "farewell"
_ENDED: Final = "ended"
_ROUNDS: Final = 20
_MOST: Final = 5
ALONE: Final = (
    "somebody kills ml-secrets-keep again and again: if this run is killed too, its files stay until your next run, "
    "and its token until it ends by itself"
)


class Guardian:
    """The runner's side of it. Threads may share it; it is started by the main one."""

    def __init__(self, mark: str, terminal: Terminal | None, revoke: Callable[[str], bool]) -> None:
        """Start it. `revoke(token)` says whether that is done; it runs over there."""
        self._whole_life = partial(_guard, mark, terminal, revoke)
        self._known: list[bytes] = []
        self._alone = Lock()
        self._again = _MOST
        self._tells = self._lives = -1
        self._start()

    @property
    def lives(self) -> int:
        """What can be read once it has died."""
        return self._lives

    def revive(self) -> bool:
        """Somebody killed it: another one takes its place, and is told all. False where that has happened too often."""
        with self._alone:
            os.close(self._tells)
            os.close(self._lives)
            self._again -= 1
            if self._again < 0:
                self._tells = self._lives = -1
                return False
            self._start()
            for line in self._known:
                self._say(line)
        return True

    def knows(self, what: str, which: str) -> None:
        """Tell it: this "folder" or this "token" must not stay."""
        with self._alone:
            self._known.append(f"{what} {which}\n".encode())
            self._say(self._known[-1])

    def leave(self) -> None:
        """The command has ended; what is left to take back is left to it."""
        self.knows(_ENDED, "")
        self._close()

    def dismiss(self) -> None:
        """All is taken back: it may go."""
        self.knows(_FAREWELL, "")
        if self._lives >= 0:
            os.read(self._lives, 1)  # ends with it
        self._close()

    def _start(self) -> None:
        told, self._tells = os.pipe()
        self._lives, living = os.pipe()
        between = os.fork()
        if between == 0:
            try:
                if os.fork() == 0:
                    self._whole_life(told, living)
            finally:
                os._exit(1)
        os.close(told)
        os.close(living)
        os.waitpid(between, 0)

    def _say(self, line: bytes) -> None:
        if self._tells >= 0:
            with contextlib.suppress(BrokenPipeError):  # somebody has just killed it
                os.write(self._tells, line)

    def _close(self) -> None:
        for descriptor in (self._tells, self._lives):
            if descriptor >= 0:
                os.close(descriptor)


def _guard(
    mark: str, terminal: Terminal | None, revoke: Callable[[str], bool], told: int, living: int
) -> None:
    """The process's whole life, for which `living` stays open."""
    os.setsid()
    system.be_named(_NAME)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    _let_go(told, living, keep_stdin=terminal is not None)
    remains: list[tuple[str, str]] = []
    with os.fdopen(told, encoding="utf-8") as told_of:
        for line in told_of:
            what, _, which = line.rstrip("\n").partition(" ")
            if what == _FAREWELL:
                os._exit(0)
            remains.append((what, which))
    _take_back(mark, terminal, remains, revoke)
    os._exit(0)


def _let_go(*kept: int, keep_stdin: bool) -> None:
    """Hold nothing open that others wait for the end of."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2)[keep_stdin:]:
        os.dup2(nothing, number)
    above = 3
    for number in sorted(kept):
        os.closerange(above, number)
        above = number + 1
    os.closerange(above, 1 << 20)


def _take_back(
    mark: str, terminal: Terminal | None, remains: list[tuple[str, str]], revoke: Callable[[str], bool]
) -> None:
    if (_ENDED, "") not in remains:
        kill_marked(mark)
        if terminal is not None:
            from ml_secrets.agent.run.terminal import put_back  # noqa: PLC0415 - only with a terminal

            put_back(terminal.descriptor, terminal.before)
    for what, which in remains:
        with contextlib.suppress(Exception):  # the tokens are still to be revoked
            if what == "folder":
                place.remove(Path(which))
    _revoke([which for what, which in remains if what == "token"], revoke)


def _revoke(left: list[str], revoke: Callable[[str], bool]) -> None:
    ends, pause = time.monotonic() + PATIENCE, 0.1
    while (left := [token for token in left if not revoke(token)]) and time.monotonic() < ends:
        time.sleep(pause)
        pause = min(pause * 2, 10.0)


def kill_marked(mark: str) -> None:
    """Kill every process of the run, until there is none: one may start another meanwhile."""
    for _ in range(_ROUNDS):
        found = list(_marked(mark))
        for process in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        if not found:
            return
        time.sleep(0.02)


def _marked(mark: str) -> Iterator[int]:
    """Processes with the mark, but for other guardians: those end by themselves."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            environment = Path(entry.path, "environ").read_bytes()
            named = Path(entry.path, "comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:  # ended, or another user's
            continue
        variables = environment.split(b"\0")
        if named != _NAME and any(
            one.startswith(f"{MARK}=".encode()) and mark.encode() in one for one in variables
        ):
            yield int(entry.name)
