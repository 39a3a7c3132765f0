"""Changes as server-sent events: `sys/events/subscribe/…`, answered for as long as the caller stays and may.

- A stream holds a connection and a task: no thread, no transaction, and no events of its own. All read the same latest
  changes (registry/recent.py), each from its own place, so nothing is ever kept for a slow reader: one that has fallen
  behind those, or takes nothing for `PATIENCE` seconds, is let go.
- Token, right and seal are looked at ahead of every event, and within a second of any write at all.
- At most `MOST` streams are open, and `MOST_OF_ONE` of one token.
- The beginning is recorded as the request that it is, the end as a second response record, with its reason.

What goes out: `ready` first (`resumed` is false where something may have been missed: read again what you hold), then a
`change` for each, comments in between so that silence means that the connection is broken, and `end` with its reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.domain.instant import rfc3339
from ml_secrets.errors import Denied, Limited, MlSecretsError, Refusal, Sealed, Unauthenticated
from ml_secrets.server.lines import Places
from ml_secrets.server.waiting import LOOK, Sleeper, departure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from ml_secrets.contract.request import Request
    from ml_secrets.pipeline.following import Following
    from ml_secrets.pipeline.handle import Pipeline
    from ml_secrets.registry.changes import Change, Wanted
    from ml_secrets.registry.recent import Told

    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOST: Final = 256
MOST_OF_ONE: Final = 16
HEARTBEAT: Final = 15.0
PATIENCE: Final = 10.0
_FAREWELL: Final = 1.0
_GATHER: Final = 0.02
"""Seconds in which changes come together that go out together: a busy store wakes nobody for each of them."""
_TOGETHER: Final = 64
_AT_ONCE: Final = 16
"""So many changes are looked at in one go, by so many streams, with everybody else's requests in between."""
_HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),  # a proxy that gathers events makes them late
)
_log: Final = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class Events:
    """All streams. Used on the event loop only, but for `_hear`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._places = Places(MOST, MOST_OF_ONE)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: set[Sleeper] = set()
        self._called = False
        self.ended = False
        self.turn = asyncio.Semaphore(_AT_ONCE)
        self._deaf = pipeline.look.listen(self._hear)

    def end(self) -> None:
        """Every stream ends, and none begins any more. Idempotent."""
        self.ended = True
        self._deaf()
        self._wake()

    async def stream(self, request: Request, wanted: Wanted, receive: Receive, send: Send) -> Refusal | None:
        """Answer with a stream, until it is over. Returns a refusal where none begins."""
        try:
            with self._places.place(request.token or request.remote_address):
                following = self._pipeline.look.follow(request, wanted)
                await self._follow(_Stream(self, self._pipeline, following, send), request, receive)
        except Limited:
            return Limited(
                "too many streams of events are open",
                hint="close some, or use one for all that you hold",
                retry_after=5,
            )
        except Refusal as error:
            return error
        return None

    async def _follow(self, stream: _Stream, request: Request, receive: Receive) -> None:
        self._loop = asyncio.get_running_loop()
        self._open.add(stream.sleeper)
        gone = asyncio.ensure_future(departure(receive))
        work = asyncio.ensure_future(stream.run(request.headers.get("last-event-id", "")))
        try:
            await asyncio.wait((gone, work), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open.discard(stream.sleeper)
            gone.cancel()
            work.cancel()
        await stream.close(gone=not work.done())

    def _hear(self, _: Change) -> None:
        """Called by the thread that made a change, in the writers' turn: wake the streams, elsewhere, and once for many."""
        if self._open and not self._called and self._loop is not None and not self._loop.is_closed():
            self._called = True
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._called = False
        for sleeper in self._open:
            sleeper.wake()


class _Over(Exception):  # noqa: N818 - a signal, not an error of anyone's
    """The stream ends; the text says why."""


class _Stream:
    """One stream, from its first event to its last."""

    def __init__(self, events: Events, pipeline: Pipeline, following: Following, send: Send) -> None:
        self.sleeper = Sleeper()
        self._events = events
        self._pipeline = pipeline
        self._following = following
        self._send = send
        self._sent = 0
        self._reason = ""
        self._beats_at = 0.0
        self._tend_at = 0.0

    async def run(self, known: str) -> None:
        """Say what there is to say until it is over. `known` names the last change that the caller has heard of."""
        try:
            place = await self._ready(known)
            while True:
                place = await self._next(place)
        except _Over as over:
            self._reason = str(over)
        except TimeoutError:
            self._reason = "slow"
        except MlSecretsError as error:
            self._reason = _reason(error)
        except Exception as error:  # noqa: BLE001 - the outermost border: an answer has begun, and cannot become another
            _log.error("a stream of events failed: %s", type(error).__name__)
            self._reason = "failed"

    async def close(self, *, gone: bool) -> None:
        """Say that it is over, to a caller who is there and reads, and record it."""
        reason = "gone" if gone else self._reason
        if reason not in ("gone", "slow"):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await self._send(_part(b"event: end\ndata: %b\n\n" % _encode({"reason": reason})))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        await self._record(reason)

    async def _record(self, reason: str) -> None:
        try:
            if self._pipeline.look.records_at_once:
                self._following.ended(reason, self._sent)
            else:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(None, self._following.ended, reason, self._sent)
        except MlSecretsError as error:
            _log.error("the end of a stream of events was not recorded: %s", type(error).__name__)

    async def _ready(self, known: str) -> int:
        recent = self._pipeline.look.recent
        await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        place, name = recent.now()
        after = recent.after(known) if known else None
        told = {"resumed": after is not None} if known else {}
        start = b"retry: 3000\n" + (b"" if after is not None else b"id: %b\n" % name.encode())
        await self._say(start + b"event: ready\ndata: %b\n\n" % _encode(told))
        return place if after is None else after

    async def _next(self, place: int) -> int:
        """Say what came after `place`, or wait for it; the place then."""
        await self._tend()
        told = self._pipeline.look.recent.since(place, most=_TOGETHER)
        if told is None:
            raise _Over("slow")
        if told:
            fitting = self._following.fitting(told)
            if fitting:
                await self._tell(fitting)
            else:
                await asyncio.sleep(0)
            return place + len(told)
        if await self.sleeper.sleep():
            await asyncio.sleep(_GATHER)
        return place

    async def _tell(self, told: list[Told]) -> None:
        async with self._events.turn:
            await asyncio.sleep(0)  # between two groups
            heard = self._following.heard(told)
        if heard:
            self._sent += len(heard)
            await self._say(b"".join(map(_event, heard)))

    async def _tend(self) -> None:
        """See that there is a server; and once a second, whatever others do, that the caller may stay and is not left in silence."""
        if self._events.ended:
            raise _Over("stopped")
        if self._pipeline.look.sealed:
            raise _Over("sealed")
        now = time.monotonic()
        if now >= self._tend_at:
            self._tend_at = now + LOOK * 0.9  # a sleep may end a little early
            self._following.check()
            if now >= self._beats_at:
                await self._say(b":\n\n")

    async def _say(self, text: bytes) -> None:
        self._beats_at = time.monotonic() + HEARTBEAT
        async with asyncio.timeout(PATIENCE):
            await self._send(_part(text))


def _part(text: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text, "more_body": True}


def _event(told: Told) -> bytes:
    """A change as an event. A JSON text has no line breaks of its own."""
    change = told.change
    shown: dict[str, Any] = {
        "kind": change.kind,
        "mount": change.mount,
        "path": change.path,
        "version": change.version,
        "etag": f'"{change.etag}"' if change.etag else "",
        "time": rfc3339(change.now),
    }
    return b"id: %b\nevent: change\ndata: %b\n\n" % (told.name.encode(), _encode(shown))


def _reason(error: MlSecretsError) -> str:
    if isinstance(error, Unauthenticated):
        return "token"
    if isinstance(error, Denied):
        return "denied"
    if isinstance(error, Sealed):
        return "sealed"
    return "denied" if isinstance(error, Refusal) else "failed"
