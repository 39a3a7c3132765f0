"""Plain reads that came in one turn of the event loop are answered together: one write to the audit log is for all of them.

At most `TOGETHER` at a time, so that the first clients have their answers while the last ones are being worked on.

After a turn with plain reads the loop looks at its sockets `AWAKE` times more before it sleeps: who reads one secret after
the other asks again within that tenth of a millisecond, and to be woken costs more than the whole answer.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

    from ml_secrets.server.http1.call import Call
    from ml_secrets.server.http1.connection import Connection
    from ml_secrets.server.http1.connections import Answers

TOGETHER: Final = 16
AWAKE: Final = 60
_log: Final = logging.getLogger(__name__)


class PlainReads:
    """Requests that may have been answered before, until the end of the turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, answers: Answers) -> None:
        self._loop = loop
        self._answers = answers
        self._waiting: list[tuple[Connection, Call]] = []
        self._looks = 0
        """So many times more before the loop may sleep."""

    def add(self, connection: Connection, call: Call) -> None:
        """One more."""
        if not self._waiting:
            self._loop.call_soon(self._answer)
        self._waiting.append((connection, call))

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), TOGETHER):
            self._answer_some(waiting[first : first + TOGETHER])

        if not self._looks:
            self._loop.call_soon(self._look)
        self._looks = AWAKE

    def _look(self) -> None:
        self._looks -= 1
        if self._looks:
            self._loop.call_soon(self._look)

    def _answer_some(self, some: list[tuple[Connection, Call]]) -> None:
        try:
            answers = self._answers([call.http for _, call in some])
        except Exception as error:  # noqa: BLE001 - whatever it is: each goes the whole way, and is answered there
            _log.error("plain reads failed: %s", type(error).__name__)
            answers = [(None, b"")] * len(some)
        for (connection, call), (response, name) in zip(some, answers, strict=True):
            if response is None:
                connection.serve(call, name)
            else:
                connection.answer(call, response)
