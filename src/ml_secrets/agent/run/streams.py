"""Bytes from the command, through the mask, to where ours go.

- Nothing here waits: what the reader is not ready for stays pending, and meanwhile no more is read.
- stdout and stderr stay two streams, each in its own order.
- A reader that has gone (`| head`) is made known to the command as it would be without us: its pipe closes.
- What might be the beginning of a value is held back until more comes, or nothing comes for a moment.
"""

from __future__ import annotations

import os
import stat
from typing import Final, Protocol

QUIET: Final = 0.05
"""After so many seconds without output, what is held back is let go: a prompt must not wait for an answer to itself."""
_PIECE: Final = 1 << 16
_SURE: Final = 4096
"""A pipe or terminal that can be written to takes so many bytes without making us wait."""


class Masks(Protocol):
    """What stands in for values on their way."""

    def feed(self, data: bytes) -> bytes:
        """What can be let go of what has come so far."""
        ...

    def flush(self) -> bytes:
        """The rest."""
        ...


class Stream:
    """One output of the command. `source` is read until it ends; `sink` is where ours goes."""

    def __init__(self, source: int, sink: int, mask: Masks) -> None:
        os.set_blocking(source, False)
        self.source = source
        self.sink = sink
        self.mask = mask
        self.pending = memoryview(b"")
        self.fed = False
        self.fed_at = 0.0
        self.ended = False
        self._most = _PIECE if stat.S_ISREG(os.fstat(sink).st_mode) else _SURE

    def read(self) -> bool:
        """Take what is there. False when nothing is, just now or any more."""
        try:
            data = os.read(self.source, _PIECE)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody holds the inner end of a terminal any more
            data = b""
        if not data:
            self.end()
            return False
        self._put(self.mask.feed(data))
        self.fed = True
        return True

    def settle(self) -> None:
        """Nothing came for a moment: let go of what is held back."""
        if self.fed:
            self.fed = False
            self._put(self.mask.flush())

    def end(self) -> None:
        """It is over: nothing more is read."""
        if not self.ended:
            self.settle()
            self.ended = True
            os.close(self.source)

    def _put(self, data: bytes) -> None:
        if data:
            self.pending = memoryview(bytes(self.pending) + data)

    def write(self) -> None:
        """Hand on what the reader takes now."""
        try:
            taken = os.write(self.sink, self.pending[: self._most])
        except BlockingIOError:
            return
        except OSError:  # EPIPE, EIO: the reader is gone
            self.give_up()
            return
        self.pending = self.pending[taken:]

    def give_up(self) -> None:
        """Nobody will have the rest."""
        self.fed, self.pending = False, memoryview(b"")
        self.end()
        self.pending = memoryview(b"")
