"""All connections of a server: how many, how long each may do nothing, and the turn in which plain reads are answered together."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from ml_secrets.server.http1.plain import PlainReads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_secrets.dialects.vault.wire import HttpRequest, HttpResponse
    from ml_secrets.server.http1.connection import Connection

    Answers = Callable[[Sequence[HttpRequest]], Sequence[tuple[HttpResponse | None, bytes]]]

CONNECTIONS: Final = 16_384
IDLE: Final = 300.0
"""Seconds between two requests, as in Vault."""
CROWDED: Final = CONNECTIONS // 2
"""With more connections than this, a client may be idle for `IDLE_IN_A_CROWD` only."""
IDLE_IN_A_CROWD: Final = 5.0
_LOOK: Final = 0.5


class Connections:
    """Make it, and call every method, on the event loop."""

    def __init__(self, answers: Answers) -> None:
        self.loop = asyncio.get_running_loop()
        self.plain = PlainReads(self.loop, answers)
        self.date = b""
        self._all: set[Connection] = set()
        self._none: asyncio.Event = asyncio.Event()
        self._timer: asyncio.TimerHandle
        self._look()

    def add(self, connection: Connection) -> bool:
        """A connection came. False where there are too many: it is to end."""
        self._all.add(connection)
        self._none.clear()
        return len(self._all) <= CONNECTIONS

    def discard(self, connection: Connection) -> None:
        """It has ended."""
        self._all.discard(connection)
        if not self._all:
            self._none.set()

    async def stop(self, linger: float) -> None:
        """Let each end with its request, and return when all have; those that take longer are cut."""
        for connection in list(self._all):
            connection.stop()
        if self._all:
            try:
                await asyncio.wait_for(self._none.wait(), linger)
            except TimeoutError:
                for connection in list(self._all):
                    connection.abort()
        self._timer.cancel()

    def _look(self) -> None:
        self.date = b"date: %b\r\n" % formatdate(time.time(), usegmt=True).encode()
        now, idle = self.loop.time(), IDLE_IN_A_CROWD if len(self._all) > CROWDED else IDLE
        for connection in list(self._all):
            connection.tend(now, idle)
        self._timer = self.loop.call_later(_LOOK, self._look)
