"""What the command sees as its standard input, output and error.

| ours                       | the command's                                                                                       |
|----------------------------|-----------------------------------------------------------------------------------------------------|
| keys and output a terminal | a terminal and a session of its own; our keys go through raw, so Ctrl-C and Ctrl-Z act in there       |
| only output a terminal     | a terminal to write to; it shares our session and group, and with them the real one's keys and Ctrl-C |
| neither                    | pipes; it shares our group where there is a terminal at all, else it has a group of its own           |

stdin goes straight to the command unless it is the keys. stdout and stderr stay apart wherever ours are.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.agent.run.child import Seat

if TYPE_CHECKING:
    from ml_secrets.agent.run.terminal import Terminal

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_PIPE_ROOM: Final = 1 << 20


class Stage(msgspec.Struct):
    """A seat for the command, and our ends of its streams.

    outputs: pairs of what is read and where it goes. theirs: ends that are the command's alone once it runs. outer: our
    ends of terminals, whose size follows ours. keys: the terminal whose keys go to `entrance`; None where they go by themselves.
    """

    seat: Seat
    outputs: list[tuple[int, int]]
    theirs: list[int]
    outer: list[int] = []
    like: int = _STDOUT
    keys: Terminal | None = None
    entrance: int = -1

    def leave_to_the_command(self) -> None:
        """It has its ends: close ours of them, so that their end is seen."""
        for descriptor in self.theirs:
            os.close(descriptor)
        self.theirs = []

    def close(self) -> None:
        """The command has ended: what is left of ours."""
        self.leave_to_the_command()
        if self.entrance >= 0:
            os.close(self.entrance)
            self.entrance = -1

    def follow_size(self) -> None:
        """Our terminal has another size."""
        from ml_secrets.agent.run.terminal import follow_size  # noqa: PLC0415 - only with a terminal

        for outer in self.outer:
            follow_size(self.like, outer)


def set_up(given: int | None = None) -> Stage:
    """The stage for this process's surroundings. `given`: a descriptor that is to be the command's stdin."""
    keys, out, err = os.isatty(_STDIN) and given is None, os.isatty(_STDOUT), os.isatty(_STDERR)
    stdin = _STDIN if given is None else given
    if keys and out:
        return _own_terminal(err=err)
    stage = Stage(Seat(stdin, -1, -1), [], [] if given is None else [given])
    stdout = _output(stage, _STDOUT, terminal=out)
    stderr = stdout if out and err else _output(stage, _STDERR, terminal=err)
    stage.seat = Seat(stdin, stdout, stderr, group=not (keys or out or err or _has_terminal()))
    return stage


def terminal_of_keys() -> Terminal | None:
    """The terminal whose ways a run may change; None where it changes none."""
    if not (os.isatty(_STDIN) and os.isatty(_STDOUT)):
        return None
    from ml_secrets.agent.run.terminal import Terminal  # noqa: PLC0415 - only with a terminal

    return Terminal(_STDIN)


def _own_terminal(*, err: bool) -> Stage:
    from ml_secrets.agent.run.terminal import Terminal, opened_like  # noqa: PLC0415 - only with a terminal

    outer, inner = opened_like(_STDIN, plain=False)
    stage = Stage(Seat(inner, inner, inner, session=True), [(outer, _STDOUT)], [inner], [outer])
    stage.keys, stage.entrance = Terminal(_STDIN), os.dup(outer)
    if not err:
        stderr = _output(stage, _STDERR, terminal=False)
        stage.seat = Seat(inner, inner, stderr, session=True)
    return stage


def _output(stage: Stage, number: int, *, terminal: bool) -> int:
    """One stream that the command writes to: its end of it."""
    if terminal:
        from ml_secrets.agent.run.terminal import opened_like  # noqa: PLC0415 - as above

        source, end = opened_like(number, plain=True)
        stage.outer.append(source)
        stage.like = number
    else:
        source, end = _pipe()
    stage.outputs.append((source, number))
    stage.theirs.append(end)
    return end


def _pipe() -> tuple[int, int]:
    """A pipe with room for bursts, so that the command waits for us seldom."""
    import fcntl  # noqa: PLC0415 - a terminal needs none of it

    source, end = os.pipe()
    try:
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _PIPE_ROOM)
    except OSError:  # there is a limit for each user
        return source, end
    return source, end


def _has_terminal() -> bool:
    """Is there a terminal that keys may come from, though no stream of ours leads to it?"""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
