"""The edge: HTTP bytes in and out, with the limits that keep a slow or greedy client from holding the server.

- Bodies are limited in size, time and number: see bodies.py.
- All headers together are at most `HEADER_LIMIT` bytes; a request names its host once, and its length once.
- Short reads that stay in memory or in the local store run on the event loop; all else waits in a line for a thread: see
  lines.py. At most `MOST_WAITING` wait, and at most `MOST_OF_ONE` of one token (or, without a live one, of one address);
  of what burns CPU (password hashing), and of batches, fewer. They wait as long as their listener's `max_request_duration`.
- Nothing escapes: an unforeseen error is a bare 500 whose log line holds no value.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.dialects.vault import repeats, wire
from ml_secrets.dialects.vault.batch import batch, is_batch
from ml_secrets.dialects.vault.headers import HeadersTooLarge
from ml_secrets.errors import Invalid, Refusal
from ml_secrets.pipeline.inline import enter
from ml_secrets.pipeline.look import Kind
from ml_secrets.pipeline.outcome import Outcome
from ml_secrets.server.bodies import Bodies, Gone
from ml_secrets.server.events import Events
from ml_secrets.server.lines import ChangeLine, Line, Places
from ml_secrets.server.waiting import Waiting, asks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence

    from ml_secrets.contract.request import Request
    from ml_secrets.pipeline.handle import Pipeline
    from ml_secrets.server.config import Listener

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADER_LIMIT: Final = 32 * 1024
MOST_WAITING: Final = 512
MOST_OF_ONE: Final = 256
MOST_SLOW: Final = 64
MOST_BATCHES: Final = 64
BATCHES_OF_ONE: Final = 8
LONG: Final = 64 * 1024
"""Requests with more bytes than this are not for the event loop: reading and recording them takes its time."""

_FRAMING: Final = (b"host", b"content-length", b"transfer-encoding")
_JSON: Final = (b"content-type", b"application/json")
_CLOSE: Final = (b"connection", b"close")
_INTERNAL: Final = b'{"errors":["internal error"]}'
_log = logging.getLogger(__name__)


class Edge:
    """What all listeners share. `at` gives a listener its ASGI application."""

    def __init__(self, pipeline: Pipeline, *, threads: int = 4) -> None:
        self._pipeline = pipeline
        self._bodies = Bodies()
        self._changes = ChangeLine(pipeline, Places(MOST_WAITING, MOST_OF_ONE))
        self._reads = Line(pipeline, pipeline.handle, Places(MOST_WAITING, MOST_OF_ONE), threads=threads)
        self._slow = Line(pipeline, pipeline.handle, Places(MOST_SLOW, MOST_SLOW), threads=threads)
        self._batches = Line(
            pipeline, partial(batch, pipeline), Places(MOST_BATCHES, BATCHES_OF_ONE), threads=2
        )
        self._lines = {Kind.READ: self._reads, Kind.SLOW: self._slow}
        self._waiting = Waiting(pipeline)
        self._events = Events(pipeline)

    def recall(self, https: Sequence[wire.HttpRequest]) -> list[tuple[wire.HttpResponse | None, bytes]]:
        """The answers to plain reads that were answered before; where there is none, the name that it goes the whole way under."""
        return repeats.answers(self._pipeline, https)

    def hush(self) -> None:
        """Who waits for news is answered now, and streams end: the server is about to stop. Idempotent."""
        self._waiting.end()
        self._events.end()

    def close(self) -> None:
        """Wait for the work in threads to end. Idempotent."""
        for line in (self._changes, self._reads, self._slow, self._batches):
            line.close()

    def at(self, listener: Listener) -> Application:
        """The application behind one listener."""

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await self._answer(listener, scope, receive, send)
            elif scope["type"] == "lifespan":
                await _lifespan(receive, send)

        return application

    async def _answer(self, listener: Listener, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._serve(listener, scope, receive, send)
        except Gone:
            answer = wire.HttpResponse(
                408, (_JSON, _CLOSE), b'{"errors":["the request did not arrive whole"]}'
            )
        except Exception as error:  # noqa: BLE001 - the outermost border of the process
            _log.error("a request failed at the edge: %s", type(error).__name__)
            answer = wire.HttpResponse(500, (_JSON,), _INTERNAL)
        if answer is None:
            return
        if scope["method"] == "HEAD":
            answer.body = b""
        await _send(send, answer)

    async def _serve(
        self, listener: Listener, scope: Scope, receive: Receive, send: Send
    ) -> wire.HttpResponse | None:
        """The answer; None for one that was a stream, and is over."""
        http = wire.HttpRequest(
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            scope["headers"],
            _client(scope["client"]),
        )
        state = scope.get("state", {})
        if http.raw_path in (b"/", b"/ui", b"/ui/"):
            return wire.HttpResponse(404, (_JSON,), b'{"errors":[]}')
        request = wire.blank(http)
        request.name = state.get("name", b"")
        arrival = self._bodies.arrival(listener.max_request_size, lambda: self._knows(http))
        try:
            length = _check_headers(http, needs_host=scope["http_version"] == "1.1")
            if length != 0:
                arrival.announce(length or 0)
                http.body = await arrival.read(receive, length, state.get("body"))
            wire.read(http, request)
        except Refusal as error:
            answer = wire.write(await self._reject(request, error), request)
        else:
            is_long, patience = len(http.body) > LONG, listener.max_request_duration
            outcome = await self._log_in(request, patience) if request.login is not None else None
            if outcome is None:
                outcome = await self._wait(request, receive)
            if outcome is None:
                outcome = await self._handle(request, patience, is_long=is_long)
            http.body = b""
            arrival.release()  # a stream lasts
            return await self._written(outcome, request, receive, send)
        finally:
            arrival.release()
        return answer

    async def _written(
        self, outcome: Outcome, request: Request, receive: Receive, send: Send
    ) -> wire.HttpResponse | None:
        """An outcome as an answer. A stream goes out from here; None once it is over."""
        follows = None if outcome.response is None else outcome.response.follows
        if follows is None:
            return wire.write(outcome, request)
        refusal = await self._events.stream(request, follows, receive, send)
        return None if refusal is None else wire.write(await self._reject(request, refusal), request)

    async def _log_in(self, request: Request, patience: float) -> Outcome | None:
        """The login inside a request comes first, where such logins are served. Returns the answer where it was refused."""
        assert request.login is not None
        if self._pipeline.look.open_to_all(request):
            return None
        return enter(request, await self._handle(request.login, patience, is_long=False))

    async def _wait(self, request: Request, receive: Receive) -> Outcome | None:
        """A request that asks to be kept waiting waits. Returns the answer where there was no room for it."""
        refusal = await self._waiting.out(request, receive) if asks(request) else None
        return None if refusal is None else await self._reject(request, refusal)

    async def _reject(self, request: Request, error: Refusal) -> Outcome:
        reject = self._pipeline.reject
        if self._pipeline.look.records_at_once:
            return reject(request, error)
        return await asyncio.get_running_loop().run_in_executor(None, reject, request, error)

    def _knows(self, http: wire.HttpRequest) -> bool:
        token = wire.token_of(http)
        return token is not None and self._pipeline.look.knows(token)

    async def _handle(self, request: Request, patience: float, *, is_long: bool) -> Outcome:
        pipeline = self._pipeline
        if is_long or is_batch(request):
            detour = pipeline.look.detour(request)
        else:
            answer = pipeline.glance(request)
            if isinstance(answer, Outcome):
                return answer
            detour = answer
        who = detour.caller or request.remote_address
        if is_batch(request):
            return await self._batches.answer(request, who, patience)
        if detour.kind is Kind.CHANGE:
            return await self._changes.answer(request, who, patience, short=detour.short and not is_long)
        return await self._lines[detour.kind].answer(request, who, patience)


def _client(peer: tuple[str, Any] | None) -> tuple[str, int]:
    """Address and port of the other side."""
    return (peer[0], int(peer[1])) if peer else ("", 0)


def _check_headers(http: wire.HttpRequest, *, needs_host: bool) -> int | None:
    """The body's declared length: 0 for none, None for unknown (chunked). Raises for headers that are too much."""
    if sum(map(len, chain.from_iterable(http.headers))) > HEADER_LIMIT:
        raise HeadersTooLarge("the headers are too large", hint=f"send at most {HEADER_LIMIT} bytes")
    found = dict(http.headers)
    if len(found) != len(http.headers):
        names = [name for name, _ in http.headers]
        if any(names.count(name) > 1 for name in _FRAMING):
            raise Invalid("malformed headers", hint="send one Host header, and one length")
    if needs_host and not found.get(b"host"):
        raise Invalid("malformed headers", hint="send a Host header")
    coding, length = found.get(b"transfer-encoding"), found.get(b"content-length", b"0")
    if coding is not None and coding.lower() != b"chunked":
        raise Invalid("malformed headers", hint="no transfer encoding but chunked is taken")
    if not length.isdigit() or len(length) >= 16:
        raise Invalid("malformed headers", hint="send the length in digits")
    return None if coding is not None else int(length)


async def _send(send: Send, response: wire.HttpResponse) -> None:
    """Out with it. A status that is none is an error of ours, and shows itself as one."""
    status, headers, body = response.status, response.headers, response.body
    if not 200 <= status <= 599:
        _log.error("an answer had the status %d", status)
        status, headers, body = 500, (_JSON,), _INTERNAL
    if status in (204, 304):
        body = b""
    else:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        if event["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif event["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
