"""One client's connection: requests in, answers out, one at a time and in their order.

1. A head is collected until it is whole, at most `HEAD_LIMIT` bytes, and then read by llhttp in one go.
2. Its body follows, in parts, as fast as the application takes them.
3. What comes behind a whole request stays unread until that one is answered.
4. What llhttp refuses is answered with 400, and the connection ends: nothing behind it can be trusted to begin where it seems to.

llhttp knows the methods of its registry only. LIST and SCAN, which Vault has of its own, are shown to it as SEARCH; a
SEARCH that a client sends stays one, which no route takes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from ml_secrets.dialects.vault.wire import HttpRequest
from ml_secrets.server.http1 import answer
from ml_secrets.server.http1.call import Call

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml_secrets.dialects.vault.wire import HttpResponse
    from ml_secrets.server.asgi import Application
    from ml_secrets.server.http1.connections import Connections

TARGET_LIMIT: Final = 64 * 1024
HEAD_LIMIT: Final = TARGET_LIMIT + 32 * 1024
MOST_HEADERS: Final = 100
HELD: Final = 256 * 1024
"""Bytes that wait inside a connection; then its client is made to wait."""
HEAD_DEADLINE: Final = 5.0
PATIENCE: Final = 30.0
"""Seconds in which a client must take something of its answer."""
FAREWELL: Final = 2.0
"""Seconds in which a client that is still sending is listened to after its answer, so that it gets to read it."""

_OURS: Final = {b"LIST ": b"SEARCH", b"SCAN ": b"SEARCH"}
_JSON: Final = (b"content-type", b"application/json")


class Connection(asyncio.Protocol):
    """A connection of `application`'s. The event loop calls it."""

    def __init__(self, application: Application, connections: Connections) -> None:
        self._application = application
        self._connections = connections
        self._loop = connections.loop
        self._parser = HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._client = ("", 0)
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._reading_head = False
        self._keeps = False
        self._more = False
        self._counts = False
        """The body is counted here: the parser has nothing to do with it."""
        self._call: Call | None = None
        self._unread = b""
        self._left: int | None = 0
        """Bytes of the body that are still to come; None where chunks say it."""
        self._framing = 0
        self._task: asyncio.Task[None] | None = None
        self._paused = False
        self._full: asyncio.Future[None] | None = None
        self._eof = False
        self._ending = False
        self._stopping = False
        self.moved = True
        self._since = 0.0
        self._head_since: float | None = 0.0

    # ── the transport calls ─────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._client = (peer[0], peer[1]) if peer else ("", 0)
        self._head_since = self._loop.time()
        if not self._connections.add(self):
            self._refuse(503, b"too many connections")

    def connection_lost(self, _: Exception | None) -> None:
        """It has gone."""
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
        return True

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self.moved = True
        if self._ending:
            return
        call = self._call
        if call is None and self._full is None:
            self._read_head(self._unread + data if self._unread else data)
        elif call is not None and not call.whole:
            self._read_body(data)
            self._hold(call.held)
        else:
            self._unread += data
            self._hold(len(self._unread))

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._full = self._loop.create_future()

    def resume_writing(self) -> None:
        """It has read."""
        if self._full is not None and not self._full.done():
            self._full.set_result(None)
        self._full = None
        self.moved = True
        if self._call is None:
            self._go_on()

    # ── the parser calls ────────────────────────────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        """A request begins; or what came behind the last chunk of one."""
        self._more = True

    def on_url(self, target: bytes) -> None:
        """The target of a request, or a part of it."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which nobody needs."""
        if self._reading_head:
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """The end of a head; or of the trailers behind a body."""
        if self._reading_head:
            self._keeps = self._parser.should_keep_alive()

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        if self._call is not None and not self._call.whole:
            self._framing -= len(part) * 2
            self._call.came(part)

    def on_message_complete(self) -> None:
        """The end of a request; with a body, or it came while the head was read."""
        if self._call is None:
            self._reading_head = False
        elif not self._call.whole:
            self._call.ends()

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read_head(self, data: bytes) -> None:
        """The next request, where its head is whole."""
        if data[:1] in (b"\r", b"\n"):  # some clients end a body with a line of its own
            data = data.lstrip(b"\r\n")
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._collect(data)
            return
        end += 4
        if end > HEAD_LIMIT:
            self._refuse_long(data)
            return
        head = data[:end] if end < len(data) else data
        self._unread = b""
        self._head_since = None
        call = self._begin(head)
        if call is None:
            return
        self._call = call
        if end < len(data):
            self._follow(data[end:])
        self._serve(call)

    def _collect(self, data: bytes) -> None:
        """Half a head. What cannot become one is refused at once, so that a client of another protocol is not left waiting."""
        if self._head_since is None and data:
            self._head_since = self._loop.time()
        self._unread = data
        if len(data) > HEAD_LIMIT:
            self._refuse_long(data)
        elif data and (not data[:1].isalpha() or b"\n\n" in data):
            self._refuse(400, b"malformed request")

    def _refuse_long(self, data: bytes) -> None:
        if data.find(b"\r\n", 0, TARGET_LIMIT) < 0:
            self._refuse(414, b"the path is too long")
        else:
            self._refuse(431, b"the headers are too large")

    def _begin(self, head: bytes) -> Call | None:
        """The request that a head announces; None where it was refused."""
        method = b""
        shown = _OURS.get(head[:5])
        if shown is not None:
            method, head = head[:4], shown + head[4:]
        self._target, self._headers, self._reading_head, self._counts = b"", [], True, False
        parser = self._parser
        try:
            parser.feed_data(head)
        except HttpParserUpgrade:
            self._decline_upgrade()
        except HttpParserError:
            self._target = b""
        if not self._target:
            self._refuse(400, b"malformed request")
            return None
        if len(self._headers) > MOST_HEADERS:
            self._refuse(431, b"there are too many headers")
            return None
        whole, self._reading_head, self._more = not self._reading_head, False, False
        raw_path, _, query = _origin(self._target).partition(b"?")
        http = HttpRequest(
            (method or parser.get_method()).decode(), raw_path, query, self._headers, self._client
        )
        call = Call(self, http, parser.get_http_version(), keeps=self._keeps and not self._stopping)
        if whole:
            call.whole = True
        else:
            self._framing, self._left = 0, _length(self._headers)
        return call

    def _decline_upgrade(self) -> None:
        """No other protocol is spoken here, so the request is one of HTTP/1.1, though llhttp reads no further: it may have a body."""
        self._parser = HttpRequestParser(self)
        if _length(self._headers):
            self._reading_head, self._counts = True, True
        elif any(name == b"transfer-encoding" for name, _ in self._headers):
            self._target = b""  # where such a body ends, nobody could tell

    def _follow(self, rest: bytes) -> None:
        """What came behind a head: its body, or what nobody reads yet."""
        assert self._call is not None
        if self._call.whole:
            self._unread = rest
        else:
            self._read_body(rest)

    def _read_body(self, data: bytes) -> None:
        call = self._call
        assert call is not None
        if self._left is not None:
            data, self._unread = data[: self._left], data[self._left :]
            self._left -= len(data)
        if self._counts:
            call.came(data)
            if not self._left:
                call.ends()
            return
        self._framing += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError:
            call.keeps = False
            if not call.whole:
                call.leaves()
            return
        if call.whole and self._more:  # the next head began behind the last chunk, and the parser has it
            call.keeps = False
        elif self._framing > HEAD_LIMIT:  # more to frame the body than it has bytes
            call.leaves()

    def _hold(self, waiting: int) -> None:
        if waiting > HELD and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def read_on(self) -> None:
        """There is room again."""
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    # ── answering ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _serve(self, call: Call) -> None:
        if call.whole and call.http.method == "GET":
            self._connections.plain.add(self, call)
        else:
            self.serve(call, b"")

    def serve(self, call: Call, name: bytes) -> None:
        """Let the application answer."""
        self._task = self._loop.create_task(self._run(call, name))

    async def _run(self, call: Call, name: bytes) -> None:
        try:
            await self._application(call.scope(name), call.receive, call.send)
        except BaseException:
            self._transport.abort()
            raise
        self.finish(call)

    def answer(self, call: Call, response: HttpResponse) -> None:
        """The answer to a request that the application need not see."""
        body = response.body
        length = (b"content-length", b"%d" % len(body))
        self.write(self.head(response.status, (*response.headers, length), call) + body)
        self.finish(call)

    def head(self, status: int, headers: Iterable[tuple[bytes, bytes]], call: Call) -> bytes:
        """Status and headers of an answer; they say whether the connection stays."""
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
            await self._full

    def finish(self, call: Call) -> None:
        """The answer is out: on to the next request, or the end."""
        self._call = self._task = None
        if not call.keeps or self._stopping:
            self._end(listen=not call.whole and not call.gone)
            return
        self.moved = True
        self._go_on()

    def _go_on(self) -> None:
        """The next request, unless the client has yet to take the last answer."""
        if self._full is not None:
            return
        self.read_on()
        if self._unread:
            self._read_head(self._unread)
        if self._eof and self._call is None:
            self._transport.close()

    def _refuse(self, status: int, text: bytes) -> None:
        """An answer to what is no request, and the end."""
        if not self._transport.is_closing():
            body = b'{"errors":["%b"]}' % text
            headers = (_JSON, (b"content-length", b"%d" % len(body)))
            self.write(answer.head(status, headers, self._connections.date, b"connection: close\r\n") + body)
        self._end(listen=True)

    def _end(self, *, listen: bool) -> None:
        """Close. With `listen`, what the client still sends is thrown away for a moment: a reset would take its answer from it."""
        self._unread = b""
        if not listen or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._ending = True
        self._since = self._loop.time()
        self.moved = False
        self._transport.write_eof()
        self.read_on()

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self) -> None:
        """End with the request that is being served, or now."""
        self._stopping = True
        if self._call is None:
            self._transport.close()
        elif not self._call.begun:
            self._call.keeps = False

    def abort(self) -> None:
        """End now."""
        self._transport.abort()

    def tend(self, now: float, idle: float) -> None:
        """End what lasts too long. `idle` is how long a connection may stay between two requests, in seconds."""
        if self._ending:
            late = now - self._since >= FAREWELL
        elif self._call is None and self._head_since is not None:
            late = now - self._head_since >= HEAD_DEADLINE
        else:
            if self.moved:
                self.moved = False
                self._since = now
            limit = PATIENCE if self._full is not None else idle if self._call is None else None
            late = limit is not None and now - self._since >= limit
        if late:
            self._transport.abort()


def _origin(target: bytes) -> bytes:
    """The target in its usual form. A client that takes us for a proxy names the host in it too."""
    if target[:1] == b"/" or b"://" not in target:
        return target
    return b"/" + target.partition(b"://")[2].partition(b"/")[2]


def _length(headers: list[tuple[bytes, bytes]]) -> int | None:
    """The length of a body that llhttp has found well-formed; None for chunks."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return None
