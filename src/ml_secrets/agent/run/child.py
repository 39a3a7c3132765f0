"""Starting the command, and how it ended.

Between fork and exec the child ties its life to ours, takes its seat (session, group, standard streams) and gives signals back
the meaning they had. All descriptors of ours close at the exec; those that we were started with stay, as a shell would do.

With a session of its own there is one process more: the session's leader, our child, whose child is the command. The kernel stops
nobody (Ctrl-Z) whose parent is in another session. It waits for the command, and reports how it fares.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import struct
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from ml_secrets.agent.run import system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

CANNOT_RUN: Final = 126
NOT_FOUND: Final = 127
_BY_SIGNAL: Final = 128
_NUMBER: Final = struct.Struct("=i")
_IGNORED_BY_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)


class NotStarted(OSError):  # noqa: N818 - said like "not found"
    """The command cannot be run. `code` is what a shell would give."""

    @property
    def code(self) -> int:
        """127 where there is no such command, else 126."""
        return NOT_FOUND if self.errno in (errno.ENOENT, errno.ENOTDIR) else CANNOT_RUN


class Seat(msgspec.Struct, frozen=True):
    """Where the command sits: descriptors for its stdin, stdout and stderr, and whose keys and signals reach it.

    session: a session of its own, with `stdin` as its terminal. group: a process group of its own. Neither: it shares ours.
    """

    stdin: int
    stdout: int
    stderr: int
    session: bool = False
    group: bool = False

    @property
    def apart(self) -> bool:
        """Is it out of reach of what is sent to our group?"""
        return self.session or self.group


class Child(msgspec.Struct, frozen=True):
    """The command as it runs. Where `leader` leads its session, it says at `reports` how the command fares (`reported`); else that is our own child."""

    process: int
    reports: int = -1
    leader: int = 0

    def let_go(self) -> None:
        """It has ended."""
        if self.leader:
            os.close(self.reports)
            with contextlib.suppress(ChildProcessError):  # as a container's first process we have reaped it
                os.waitpid(self.leader, 0)


def start(
    command: Sequence[str], environment: Mapping[str, str], seat: Seat, *, unblocked: Iterable[int]
) -> Child:
    """Start the command. `unblocked`: signals that we block, and it does not. Raises `NotStarted`."""
    told, tells = os.pipe()
    reports, reporting = os.pipe() if seat.session else (-1, -1)
    begin = partial(_begin, command, environment, seat, unblocked, tells)
    runner = os.getpid()
    process = os.fork()
    if process == 0:
        try:
            system.die_with(runner)
            if seat.session:
                _lead(seat, begin, reporting)
            begin()
        finally:
            os._exit(NOT_FOUND)
    os.close(tells)
    if seat.session:
        os.close(reporting)
    with os.fdopen(told, "rb") as pipe:
        problem = pipe.read()  # ends with the exec
    if problem:
        os.waitpid(process, 0)
        raise NotStarted(int(problem), os.strerror(int(problem)))
    return Child(reported(reports) or process, reports, process) if seat.session else Child(process)


def start_apart(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Start something else, with signals as they are by default and no descriptor of ours. Its process, which the caller waits for."""
    closed = [(os.POSIX_SPAWN_CLOSE, int(number)) for number in os.listdir("/proc/self/fd")]  # noqa: PTH208 - numbers
    nothing = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
        *((os.POSIX_SPAWN_DUP2, 0, number) for number in (1, 2)),
    ]
    return os.posix_spawnp(
        command[0],
        list(command),
        environment,
        file_actions=[*closed, *nothing],
        setsigmask=(),
        setsigdef=_IGNORED_BY_PYTHON,
    )


def reported(reports: int) -> int | None:
    """The next number that the leader reports: first the command's process id, then a wait status each time. None at the end."""
    read = os.read(reports, _NUMBER.size)
    number: int | None = _NUMBER.unpack(read)[0] if len(read) == _NUMBER.size else None
    return number


def _begin(
    command: Sequence[str],
    environment: Mapping[str, str],
    seat: Seat,
    unblocked: Iterable[int],
    tells: int,
) -> None:
    """Become the command. Returns only when it cannot be run, and has told so."""
    try:
        _sit_down(seat)
        _clear_signals(unblocked)
        os.execvpe(command[0], list(command), environment)  # noqa: S606 - the very point
    except OSError as error:
        os.write(tells, str(error.errno or errno.EIO).encode())


def _lead(seat: Seat, begin: Callable[[], None], reporting: int) -> NoReturn:
    """Lead a session at the command's terminal. Signals that the runner takes stay blocked here: they are the command's."""
    os.setsid()
    _take_terminal(seat.stdin)
    leader = os.getpid()
    process = os.fork()
    if process == 0:
        system.die_with(leader)
        _come_to_front(seat.stdin)
        begin()
        os._exit(NOT_FOUND)
    os.write(reporting, _NUMBER.pack(process))
    os.closerange(3, reporting)
    os.closerange(reporting + 1, 1 << 20)
    while True:
        _, status = os.waitpid(process, os.WUNTRACED)
        os.write(reporting, _NUMBER.pack(status))
        if not os.WIFSTOPPED(status):
            os._exit(0)


def _come_to_front(terminal: int) -> None:
    """A group of its own, which the terminal's keys go to."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpid())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTTOU})


def _sit_down(seat: Seat) -> None:
    if seat.group:
        os.setpgid(0, 0)
    ours = [
        os.dup(place) for place in (seat.stdin, seat.stdout, seat.stderr)
    ]  # one may lie where another is to go
    for number, place in enumerate(ours):
        os.dup2(place, number)  # and stays open in the command


def _take_terminal(terminal: int) -> None:
    import fcntl  # noqa: PLC0415 - only with a terminal
    import termios  # noqa: PLC0415 - as above

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def _clear_signals(unblocked: Iterable[int]) -> None:
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, unblocked)


def code_of(status: int) -> int:
    """The exit code of a wait status, as shells have it: 128 and the signal's number where one ended it."""
    return _BY_SIGNAL + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
