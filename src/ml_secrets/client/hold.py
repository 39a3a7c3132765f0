"""A share in credentials that several processes use: a connection to the process that asks for all (node/), open for as long as we use them.

What it ends with, our word or our death, is the end of our share. A connection that breaks means that the other process died:
then the share has to be announced to the next one.
"""

from __future__ import annotations

import select
import socket
import time


class Hold:
    """One share. `shared`: was there ever somebody to share with?"""

    __slots__ = ("_inherited", "_opened", "shared")

    def __init__(self) -> None:
        self.shared = False
        self._opened: socket.socket | None = None
        self._inherited: socket.socket | None = None

    @property
    def lost(self) -> bool:
        """Is it to be announced anew?"""
        return self.shared and self._opened is None

    def keep(self, opened: socket.socket) -> None:
        """This connection stands for it."""
        self.shared = True
        self._opened = opened

    def taken(self) -> socket.socket | None:
        """The connection, for something to be said; `keep` gives it back."""
        opened, self._opened = self._opened, None
        return opened

    def wait(self, seconds: float) -> None:
        """Wait so long, or until it is lost."""
        opened = self._opened
        if opened is None:
            time.sleep(seconds)
            return
        poll = select.poll()
        poll.register(opened, select.POLLIN)
        if poll.poll(seconds * 1000) and self._opened is opened and _is_over(opened):
            self.close()

    def close(self) -> None:
        """Our share ends."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def leave_to_parent(self) -> None:
        """In a forked child: nothing is said over this connection here; it ends with the last process that has it."""
        self._inherited, self._opened = self._opened or self._inherited, None
        self.shared = False


def _is_over(opened: socket.socket) -> bool:
    try:
        return not opened.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:  # another thread has had the answer to what it said
        return False
    except OSError:
        return True
