"""One request on a connection, as an ASGI application sees it: `scope`, `receive`, `send` (asgi.readthedocs.io, HTTP)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.server.http1 import answer

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from ml_secrets.server.http1.connection import Connection
    from ml_secrets.server.http1.reader import Head

PART: Final = 256 * 1024
"""Bytes of an answer that are handed over at once."""
_CLOSE: Final = (b"connection", b"close")
_CHUNKED: Final = (b"transfer-encoding", b"chunked")
_GONE: Final = {"type": "http.disconnect"}


class Call:
    """One request, until its answer has gone out. Its body comes in parts, while it is read."""

    def __init__(self, connection: Connection, head: Head) -> None:
        self.http, self.version, self.keeps, self.whole = head
        """`keeps`: the connection may serve another request. `whole`: this one has come to its end."""
        self.gone = False
        self.begun = False
        """The answer has."""
        self.held = 0
        """Bytes of the body that came and were not asked for yet."""
        self._parts: list[bytes] = []
        self._ended = False
        self._chunked = False
        self._head = b""
        """It leaves together with the beginning of the body."""
        self._news: asyncio.Future[None] | None = None
        self._connection = connection

    def scope(self, name: bytes) -> MutableMapping[str, Any]:
        """What ASGI says of a request. `name` is what a plain read was looked for under; `body` is all of it, where it has come already."""
        http = self.http
        body = self._take() if self.whole else None
        return {
            "type": "http",
            "http_version": self.version,
            "method": http.method,
            "raw_path": http.raw_path,
            "query_string": http.query,
            "headers": http.headers,
            "client": http.client,
            "state": {"name": name, "body": body},
        }

    def came(self, part: bytes) -> None:
        """A part of the body came."""
        self._parts.append(part)
        self.held += len(part)
        self.wake()

    def ends(self) -> None:
        """The body is whole."""
        self.whole = True
        self.wake()

    def leaves(self) -> None:
        """The client will send nothing more."""
        self.gone = True
        self.wake()

    def wake(self) -> None:
        """Look again, whoever waits in `receive`."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def receive(self) -> MutableMapping[str, Any]:
        """What came of the body, once; then nothing, until the client goes away."""
        while not self._parts and not self.gone and (self._ended or not self.whole):
            if not self.whole and not self.begun and self._expects():
                self._connection.write(answer.CONTINUE)
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        if not self._parts and (self._ended or not self.whole):
            return _GONE
        body = self._take()
        self._connection.read_on()
        return {"type": "http.request", "body": body, "more_body": not self.whole}

    def _take(self) -> bytes:
        """What came of the body since the last time."""
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self.held = 0
        self._ended = self.whole
        return body

    async def send(self, event: MutableMapping[str, Any]) -> None:
        """A part of the answer. Waits while the client takes nothing."""
        if event["type"] == "http.response.start":
            self._head = self._begin(event["status"], event["headers"])
            return
        body, more = event.get("body", b""), event.get("more_body", False)
        if self._chunked:
            body = answer.piece(body) + (b"" if more else answer.LAST_PIECE)
        head, self._head = self._head, b""
        if len(body) <= PART:
            self._connection.write(head + body)
            if more:
                await self._connection.drained()
            return
        self._connection.write(head)
        for at in range(
            0, len(body), PART
        ):  # TLS takes whatever it is given, and tells only then that it is too much
            self._connection.write(body[at : at + PART])
            await self._connection.drained()

    def _begin(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        self.begun = True
        names = {name for name, _ in headers}
        bodiless = status in (204, 304)
        if not bodiless and b"content-length" not in names:
            self._chunked = self.version == "1.1"
            self.keeps = self.keeps and self._chunked
            headers = (*headers, _CHUNKED) if self._chunked else headers
        if not self.whole or _CLOSE in headers:
            self.keeps = False
        return self._connection.head(status, headers, self)

    def _expects(self) -> bool:
        """The client waits for leave to send its body, and has not been given it."""
        for name, value in self.http.headers:
            if name == b"expect" and value.lower() == b"100-continue":
                given, self._given = self._given, True
                return not given
        return False

    _given = False
