"""Reads that wait for news (long polling): `?wait=` with If-None-Match, where the client has the state that there is.

- A waiting request holds a task on the event loop and its connection: no thread, no transaction, no answer.
- It is answered like any other request, and only then recorded: when its secret changes, when its time is over, when its
  token ends or loses the right (looked at within a second of any write), when the server seals or stops.
- At most `MOST` wait, and `MOST_OF_ONE` of one token. A client that goes away is dropped, and nothing is recorded.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.contract.operation import Verb
from ml_secrets.dialects.vault import wire
from ml_secrets.errors import Limited
from ml_secrets.server.bodies import Gone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from ml_secrets.contract.request import Request
    from ml_secrets.contract.response import Response, Waits
    from ml_secrets.pipeline.handle import Pipeline
    from ml_secrets.registry.changes import Change

    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MOST: Final = 8192
MOST_OF_ONE: Final = 1024
LOOK: Final = 1.0
"""Seconds between two looks at the token, the rights and the seal."""
_AT_ONCE: Final = 16
"""Those that wake together look again in groups of so many, with everybody else's requests in between."""


def asks(request: Request) -> bool:
    """The request may have to wait."""
    return request.verb is Verb.READ and "wait" in request.fields and "if-none-match" in request.headers


class Waiting:
    """Everybody who waits. Used on the event loop only, but for `_hear`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asleep: dict[tuple[str, str], set[Sleeper]] = {}
        self._of_one: Counter[str] = Counter()
        self._all = 0
        self._ended = False
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._deaf = pipeline.look.listen(self._hear)

    def end(self) -> None:
        """Everybody gets their answer now, and nobody waits any more. Idempotent."""
        self._ended = True
        self._deaf()
        for topic in self._asleep:
            self._wake(topic)

    async def out(self, request: Request, receive: Receive) -> Limited | None:
        """Return when the request is to be answered; with a refusal where there is no room to wait. Raises `Gone`."""
        found = self._pipeline.look.peek(request)
        waits = None if found is None else _still_waits(request, found[0])
        if waits is None or self._ended:
            return None
        who = request.token or request.remote_address
        if self._all >= MOST or self._of_one[who] >= MOST_OF_ONE:
            return Limited("too many requests wait", hint="try again later, or wait for fewer", retry_after=5)
        self._loop = asyncio.get_running_loop()
        self._all += 1
        self._of_one[who] += 1
        try:
            await _unless_gone(self._wait(request, waits), receive)
        finally:
            self._all -= 1
            self._of_one[who] -= 1
            if not self._of_one[who]:
                del self._of_one[who]
        return None

    async def _wait(self, request: Request, waits: Waits) -> None:
        sleeper = Sleeper()
        sleepers = self._asleep.setdefault(waits.topic, set())
        sleepers.add(sleeper)
        try:
            async with asyncio.timeout(waits.seconds):
                while (state := await self._same(request)) is not None:
                    await self._news(request, waits, sleeper, state)
        except TimeoutError:
            pass
        finally:
            sleepers.discard(sleeper)
            if not sleepers and self._asleep.get(waits.topic) is sleepers:
                del self._asleep[waits.topic]

    async def _same(self, request: Request) -> _State | None:
        """What holds as long as there is nothing new; None when the request is to be answered."""
        async with self._turn:
            await asyncio.sleep(0)  # between two groups
            found = None if self._ended else self._pipeline.look.peek(request)
        if found is None or _still_waits(request, found[0]) is None:
            return None
        return _State(stamp=found[1], until=found[0].until)

    async def _news(self, request: Request, waits: Waits, sleeper: Sleeper, state: _State) -> None:
        """Return when the secret may have changed, or the right to it gone."""
        pipeline, stamp = self._pipeline, state.stamp
        while not await sleeper.sleep():
            if pipeline.look.sealed or pipeline.look.now() >= state.until:
                return
            if pipeline.look.stamp != stamp:
                stamp = pipeline.look.stamp
                async with self._turn:
                    await asyncio.sleep(0)
                    if not pipeline.look.still(request, waits.topic[0]):
                        return

    def _hear(self, change: Change) -> None:
        """Called by the thread that made the change, in the writers' turn: wake who waits for it, elsewhere."""
        if change.topic in self._asleep and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, change.topic)

    def _wake(self, topic: tuple[str, str]) -> None:
        for sleeper in self._asleep.get(topic, ()):
            sleeper.wake()


class _State(msgspec.Struct):
    """What a waiting request was found to be about to get: as of which state of the store, and until when at the latest."""

    stamp: int
    until: float


class Sleeper:
    """One request asleep. `news`: it was woken by a change."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._news = False

    def wake(self) -> None:
        """There is news."""
        self._news = True
        self._event.set()

    async def sleep(self) -> bool:
        """Sleep until there is news (True), or it is time for a look."""
        alarm = asyncio.get_running_loop().call_later(LOOK, self._event.set)
        try:
            await self._event.wait()
        finally:
            alarm.cancel()
        news, self._news = self._news, False
        self._event.clear()
        return news


def _still_waits(request: Request, response: Response) -> Waits | None:
    return response.waits if wire.has_already(request, response) else None


async def _unless_gone(work: Any, receive: Receive) -> None:
    """Do the work, unless the client goes away: then raise `Gone`."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(departure(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Gone
        task.result()
    finally:
        task.cancel()
        gone.cancel()


async def departure(receive: Receive) -> None:
    """Return when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass
