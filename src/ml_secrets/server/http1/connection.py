"""One client's connection: requests in, answers out, one at a time and in their order, each within its time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from ml_secrets.server.http1 import answer
from ml_secrets.server.http1.call import Call
from ml_secrets.server.http1.reader import Malformed, Reader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml_secrets.dialects.vault.wire import HttpResponse
    from ml_secrets.server.asgi import Application
    from ml_secrets.server.http1.connections import Connections
    from ml_secrets.server.http1.reader import Head

HELD: Final = 256 * 1024
"""Bytes that wait inside a connection; then its client is made to wait."""
HEAD_DEADLINE: Final = 5.0
"""Seconds from the first byte of a head to its last; from the beginning of a connection, for its first."""
PATIENCE: Final = 30.0
"""Seconds in which a client must take something of its answer."""
FAREWELL: Final = 2.0
"""Seconds in which a client that is still sending is listened to after its answer, so that it gets to read it."""
_JSON: Final = (b"content-type", b"application/json")


class Connection(asyncio.Protocol):
    """A connection to `application`. The event loop calls it."""

    def __init__(self, application: Application, connections: Connections) -> None:
        self._application = application
        self._connections = connections
        self._loop = connections.loop
        self._transport: asyncio.Transport
        self._reader: Reader
        self._call: Call | None = None
        self._task: asyncio.Task[None] | None = None
        """The application at work. The loop itself keeps tasks weakly only."""
        self._paused = False
        """Nothing is read from the socket."""
        self._full: asyncio.Future[None] | None = None
        """The client takes no more of its answer, until this is done."""
        self._eof = False
        self._ending = False
        """The last answer is out, and what still comes is thrown away."""
        self._stopping = False
        self._moved = True
        """Something came or went since `tend` looked last."""
        self._since = 0.0
        self._waiting = 0
        """Bytes that the client had yet to take when `tend` looked last."""
        self._head_since: float | None = None

    # ── the transport calls ─────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._reader = Reader((peer[0], peer[1]) if peer else ("", 0), self._begin)
        self._head_since = self._loop.time()
        if not self._connections.add(self):
            self._refuse(Malformed(503, "too many connections"))

    def connection_lost(self, _: Exception | None) -> None:
        """It has gone."""
        self._ending = True
        self._connections.discard(self)
        self.resume_writing()
        if self._call is not None:
            self._call.leaves()

    def eof_received(self) -> bool:
        """It sends nothing more, and may still read."""
        self._eof = True
        if self._call is None:
            return False
        self._call.leaves()
        return self._transport.can_write_eof()  # TLS has no half of a connection

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._ending:
            return
        if self._full is None:  # to ask on is not to take
            self._moved = True
        self._reader.feed(data)
        if self._call is None:
            self._go_on()
        if self._reader.held > HELD and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._full = self._loop.create_future()
        self._moved = True

    def resume_writing(self) -> None:
        """It has read."""
        full, self._full = self._full, None
        if full is not None and not full.done():
            full.set_result(None)
        self._moved = True
        if self._call is None and not self._ending:
            self._go_on()

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _go_on(self) -> None:
        """The next request, unless the client has yet to take the last answer."""
        if self._full is not None:
            return
        try:
            call = self._reader.next()
        except Malformed as error:
            self._refuse(error)
            return
        if call is None:
            self._await_head()
            return
        self._head_since = None
        self._call = call
        if self._eof:
            call.leaves()
        if call.whole and call.http.method == "GET":
            self._connections.plain.add(self, call)
        else:
            self.serve(call, b"")

    def _await_head(self) -> None:
        self.read_on()
        if self._eof:
            self._transport.close()
        elif self._head_since is None and self._reader.amid:
            self._head_since = self._loop.time()

    def _begin(self, head: Head) -> Call:
        return Call(self, head)

    def read_on(self) -> None:
        """There is room again."""
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    # ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def serve(self, call: Call, name: bytes) -> None:
        """Let the application answer."""
        self._task = self._loop.create_task(self._run(call, name))

    async def _run(self, call: Call, name: bytes) -> None:
        try:
            await self._application(call.scope(name), call.receive, call.send)
        except BaseException:
            self._transport.abort()
            raise
        self._finish(call)

    def answer(self, call: Call, response: HttpResponse) -> None:
        """The answer to a request that the application need not see."""
        length = (b"content-length", b"%d" % len(response.body))
        self.write(self.head(response.status, (*response.headers, length), call) + response.body)
        self._finish(call)

    def head(self, status: int, headers: Iterable[tuple[bytes, bytes]], call: Call) -> bytes:
        """Status and headers of an answer; they say whether the connection stays."""
        call.keeps = call.keeps and not self._stopping
        if call.keeps:
            line = b"" if call.version == "1.1" else b"connection: keep-alive\r\n"
        else:
            line = b"" if (b"connection", b"close") in headers else b"connection: close\r\n"
        return answer.head(status, headers, self._connections.date, line)

    def write(self, data: bytes) -> None:
        """Bytes of an answer. After the client has gone they go nowhere."""
        if data and not self._transport.is_closing():
            self._transport.write(data)

    async def drained(self) -> None:
        """Return when the client has taken enough of what was written."""
        if self._full is not None:
            await asyncio.shield(self._full)

    def _finish(self, call: Call) -> None:
        """The answer is out: on to the next request, or the end."""
        self._call = self._task = None
        self._moved = True
        if not call.keeps or self._stopping:
            self._end(listen=not call.whole and not call.gone)
        elif not self._ending:
            self._go_on()

    def _refuse(self, error: Malformed) -> None:
        """An answer to what is no request, and the end."""
        body = b'{"errors":["%b"]}' % error.text.encode()
        headers = (_JSON, (b"content-length", b"%d" % len(body)))
        self.write(
            answer.head(error.status, headers, self._connections.date, b"connection: close\r\n") + body
        )
        self._end(listen=True)

    def _end(self, *, listen: bool) -> None:
        """Close. With `listen`, what still comes is thrown away for a moment: a reset would take its answer from the client."""
        self._ending = self._moved = True
        if not listen or self._transport.is_closing() or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self.read_on()

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self) -> None:
        """End with the request that is being served, or now."""
        self._stopping = True
        if self._call is None:
            self._transport.close()

    def abort(self) -> None:
        """End now."""
        self._transport.abort()

    def tend(self, now: float, idle: float) -> None:
        """End what lasts too long. `idle` is how long a connection may stay between two requests, in seconds."""
        waiting = self._transport.get_write_buffer_size()
        if self._moved or waiting < self._waiting:
            self._moved, self._since = False, now
        self._waiting = waiting
        if self._full is not None or (self._ending and waiting):
            late = now - self._since >= PATIENCE
        elif self._ending:
            late = now - self._since >= FAREWELL
        elif self._call is not None:
            late = False
        elif self._head_since is not None:
            late = now - self._head_since >= HEAD_DEADLINE
        else:
            late = now - self._since >= idle
        if late:
            self._transport.abort()
