"""Starting the command, and how it ended.

Between fork and exec the child ties its life to ours, takes its seat (session, group, standard streams) and gives signals back
the meaning they had. All descriptors of ours close at the exec; those that we were started with stay, as a shell would do.
"""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.run import system

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CANNOT_RUN: Final = 126
NOT_FOUND: Final = 127
_BY_SIGNAL: Final = 128
_IGNORED_BY_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)


class NotStarted(OSError):  # noqa: N818 - said like "not found"
    """The command cannot be run. `code` is what a shell would give."""

    @property
    def code(self) -> int:
        """127 where there is no such command, else 126."""
        return NOT_FOUND if self.errno in (errno.ENOENT, errno.ENOTDIR) else CANNOT_RUN


@dataclass(frozen=True, slots=True)
class Seat:
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


def start(
    command: Sequence[str], environment: Mapping[str, str], seat: Seat, *, unblocked: Iterable[int]
) -> int:
    """Start the command and return its process id. `unblocked`: signals that we block, and it does not. Raises `NotStarted`."""
    told, tells = os.pipe()
    runner = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            system.die_with(runner)
            _sit_down(seat)
            _clear_signals(unblocked)
            os.execvpe(command[0], list(command), environment)  # noqa: S606 - the very point
        except OSError as error:
            os.write(tells, str(error.errno or errno.EIO).encode())
        finally:
            os._exit(NOT_FOUND)
    os.close(tells)
    with os.fdopen(told, "rb") as pipe:
        problem = pipe.read()  # ends with the exec
    if problem:
        os.waitpid(child, 0)
        raise NotStarted(int(problem), os.strerror(int(problem)))
    return child


def _sit_down(seat: Seat) -> None:
    if seat.session:
        os.setsid()
        _take_terminal(seat.stdin)
    elif seat.group:
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
