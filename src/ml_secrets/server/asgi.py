"""The edge: HTTP bytes in and out, with the limits that keep a slow or greedy client from holding the server.

- A body is at most `BODY_LIMIT` bytes and must arrive within `BODY_DEADLINE` seconds; a client that goes away before
  its end is dropped, and nothing is done with half a request.
- All headers together are at most `HEADER_LIMIT` bytes.
- Reads that stay in memory or in the local store run on the event loop; all else runs in threads, at most
  `MOST_WAITING` at a time. What burns CPU (password hashing) has its own threads and a shorter line, so that many
  logins at once hold up nobody else.
- Nothing escapes: an unforeseen error is a bare 500 whose log line holds no value.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.dialects.vault import wire
from ml_secrets.dialects.vault.batch import batch, is_batch
from ml_secrets.errors import Invalid, Limited, Refusal, TooLarge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from ml_secrets.contract.request import Request
    from ml_secrets.pipeline.handle import Pipeline
    from ml_secrets.pipeline.outcome import Outcome

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_LIMIT: Final = 32 * 1024 * 1024
BODY_DEADLINE: Final = 10.0
HEADER_LIMIT: Final = 32 * 1024
MOST_WAITING: Final = 512
MOST_SLOW: Final = 64
_log = logging.getLogger(__name__)


class Gone(Exception):  # noqa: N818 - a signal, not an error of anyone's
    """The client left, or was too slow, before its request was whole."""


class Edge:
    """The ASGI application."""

    def __init__(self, pipeline: Pipeline, *, threads: int = 4) -> None:
        self._pipeline = pipeline
        self._quick = _Line(threads, MOST_WAITING)
        self._slow = _Line(threads, MOST_SLOW)

    def close(self) -> None:
        """Wait for the work in threads to end. Idempotent."""
        self._quick.threads.shutdown()
        self._slow.threads.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            try:
                await self._serve(scope, receive, send)
            except Gone:
                await _send(send, wire.HttpResponse(408, ((b"connection", b"close"),)))
            except Exception as error:  # noqa: BLE001 - the outermost border of the process
                _log.error("a request failed at the edge: %s", type(error).__name__)
                await _send(
                    send,
                    wire.HttpResponse(
                        500, ((b"content-type", b"application/json"),), b'{"errors":["internal error"]}'
                    ),
                )

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = wire.HttpRequest(
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            scope["headers"],
            _client(scope["client"]),
        )
        if http.raw_path in (b"/", b"/ui", b"/ui/"):
            await _send(
                send, wire.HttpResponse(404, ((b"content-type", b"application/json"),), b'{"errors":[]}')
            )
            return
        request = wire.blank(http)
        try:
            length = _check_headers(http)
            if length != 0:
                http.body = await _body(receive, length)
            wire.read(http, request)
        except Refusal as error:
            outcome = self._pipeline.reject(request, error)
        else:
            outcome = await self._handle(request)
        answer = wire.write(outcome, request)
        if http.method == "HEAD":
            answer.body = b""
        await _send(send, answer)

    async def _handle(self, request: Request) -> Outcome:
        pipeline = self._pipeline
        if is_batch(request):
            return await self._in_thread(self._quick, request, batch, pipeline, request)
        outcome = pipeline.glance(request)
        if outcome is not None:
            return outcome
        line = self._slow if pipeline.slow(request) else self._quick
        return await self._in_thread(line, request, pipeline.handle, request)

    async def _in_thread(
        self, line: _Line, request: Request, work: Callable[..., Outcome], *arguments: object
    ) -> Outcome:
        if line.waiting >= line.most:
            return self._pipeline.reject(
                request, Limited("the server is busy", hint="try again in a moment", retry_after=1)
            )
        line.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(line.threads, work, *arguments)
        finally:
            line.waiting -= 1


class _Line:
    """Requests that wait for a thread, at most `most` of them."""

    def __init__(self, threads: int, most: int) -> None:
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self.most = most
        self.waiting = 0


def _client(peer: tuple[str, Any] | None) -> tuple[str, int]:
    """Address and port of the other side; granian gives the port as text."""
    return (peer[0], int(peer[1])) if peer else ("", 0)


def _check_headers(http: wire.HttpRequest) -> int | None:
    """The body's declared length: 0 for none, None for unknown (chunked). Raises for headers that are too much."""
    total, length, chunked, hosts = 0, 0, False, 0
    for name, value in http.headers:
        total += len(name) + len(value)
        if name == b"content-length":
            length = int(value) if value.isdigit() and len(value) < 16 else -1
        elif name == b"transfer-encoding":
            chunked = True
        elif name == b"host":
            hosts += 1
    if total > HEADER_LIMIT:
        raise TooLarge("the headers are too large")
    if hosts > 1 or length < 0:
        raise Invalid("malformed headers")
    if length > BODY_LIMIT:
        raise TooLarge("the body is too large", hint=f"send at most {BODY_LIMIT} bytes")
    return None if chunked else length


async def _body(receive: Receive, length: int | None) -> bytes:
    parts: list[bytes] = []
    total = 0
    try:
        async with asyncio.timeout(BODY_DEADLINE):
            while True:
                event = await receive()
                if event["type"] != "http.request":
                    raise Gone
                part = event.get("body", b"")
                total += len(part)
                if total > BODY_LIMIT:
                    raise TooLarge("the body is too large", hint=f"send at most {BODY_LIMIT} bytes")
                parts.append(part)
                if not event.get("more_body", False):
                    break
    except TimeoutError:
        raise Gone from None
    if length is not None and total != length:
        raise Gone
    return b"".join(parts)


async def _send(send: Send, response: wire.HttpResponse) -> None:
    headers = response.headers
    if response.status not in (204, 304):
        headers = [*headers, (b"content-length", str(len(response.body)).encode())]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        if event["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif event["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
