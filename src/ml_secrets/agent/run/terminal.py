"""The terminal that we sit at, while the command has one of its own: keys go through as they are, sizes follow.

Whatever is changed here is put back: at the end, at every stop, and by the guardian if need be.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import termios
import tty
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import Any

_ROOM: Final = b"\0" * 8


class Terminal:
    """Our terminal, by one of our standard descriptors."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.before = termios.tcgetattr(descriptor)
        self.raw = False

    def in_front(self) -> bool:
        """Do the keys come to us, and not to another job of the same shell?"""
        try:
            return os.tcgetpgrp(self.descriptor) == os.getpgrp()
        except OSError:  # it is not our session's, or gone
            return False

    def hand_over(self) -> bool:
        """Let every key through, unless another job is in front. Says whether that is new."""
        if self.raw or not self.in_front():
            return False
        self.before = termios.tcgetattr(self.descriptor)
        tty.setraw(self.descriptor, termios.TCSADRAIN)
        self.raw = True
        return True

    def take_back(self) -> None:
        """As it was."""
        if self.raw:
            put_back(self.descriptor, self.before)
            self.raw = False


def put_back(descriptor: int, before: list[Any]) -> None:
    """Set a terminal as it was. One that is gone needs none of it."""
    with contextlib.suppress(termios.error):
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def opened_like(descriptor: int, *, plain: bool) -> tuple[int, int]:
    """A new terminal, with the ways and the size of that one: its outer and its inner end.

    `plain`: what is written to it comes out as it is, because the outer one will still see to line ends.
    """
    outer, inner = os.openpty()
    in_front = Terminal(descriptor).in_front()
    ways = termios.tcgetattr(descriptor if in_front else inner)  # a shell at its prompt has ways of its own
    if plain:
        ways[1] &= ~termios.OPOST
    termios.tcsetattr(inner, termios.TCSANOW, ways)
    follow_size(descriptor, outer)
    return outer, inner


def follow_size(descriptor: int, outer: int) -> None:
    """Make the new terminal as large as ours. Who uses it is told by the kernel."""
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, _ROOM)
        fcntl.ioctl(outer, termios.TIOCSWINSZ, size)
