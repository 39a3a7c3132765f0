"""Following many secrets: their changes, as they come, over one connection (server-sent events).

- A server that is away, busy or sealed is asked again, after random pauses that grow; it is told what was heard last, and
  goes on from there. Where it cannot, there is an event of the kind "missed": read again what you hold.
- A refusal ends it. The token is renewed, and another one found, as with any other call.
- What the cache holds follows: who is told of a change, and asks for the secret, gets what they were told of.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.client.flows import call
from ml_secrets.client.messages import Leave, Lost, Pause, Take
from ml_secrets.client.sending import Patience, make
from ml_secrets.client.sse import Parser
from ml_secrets.client.tokens import tend
from ml_secrets.errors import Fault, Limited, NotFound, Sealed, Unsupported

if TYPE_CHECKING:
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.session import Session
    from ml_secrets.client.sse import Message

SILENCE: Final = 45.0
"""Seconds without a sign of life after which a connection counts as broken; the server gives one each 15."""
LONGEST_PAUSE: Final = 30.0
MISSED: Final = "missed"
READY: Final = "ready"
ALIVE: Final = "alive"
_ONE_TRY: Final = Patience(tries=1)
_PASSING: Final = (Fault, Limited, Sealed)


@dataclass(frozen=True, slots=True)
class Event:
    """One change of a secret, without its value.

    kind: "write", "delete", "remove", … as the server names them; "missed" stands for changes that cannot be told any more.
    mount, path: where the secret is: `client.get_secret(event.path, mount=event.mount)`.
    version, etag: what a read gives now; 0 and "" where nothing is there, or you may only list it. time: RFC 3339.
    """

    kind: str
    mount: str = ""
    path: str = ""
    version: int = 0
    etag: str = ""
    time: str = ""


@dataclass(slots=True)
class Feed:
    """What is followed, and how far it has come. `stream` is open while there is one.

    tells_ready: that the server listens from now on is an event, too, of the kind "ready".
    tells_alive: so is a sign of life, of the kind "alive", and whoever follows can look up now and then.
    """

    path: str
    kinds: tuple[str, ...]
    tells_ready: bool = False
    tells_alive: bool = False
    stream: Any = None
    parser: Parser = field(default_factory=Parser)
    scope: str = ""
    known: str = ""
    failures: int = 0
    waiting: deque[Event] = field(default_factory=deque)


def next_event(session: Session, feed: Feed) -> Flow[Event]:
    """The next change."""
    while not feed.waiting:
        try:
            if feed.stream is None:
                yield from _open(session, feed)
            piece: bytes | None = yield Take(feed.stream, SILENCE)
            if piece is None:
                raise Lost("the stream of events ended")
            for message in feed.parser.add(piece):
                _read(session, feed, message)
            if feed.tells_alive and not feed.waiting:
                feed.waiting.append(Event(ALIVE))
            yield from tend(session)
        except _PASSING as error:
            yield from leave(feed)
            yield Pause(_pause(session, feed, error))
        if feed.stream is not None and feed.scope != session.scope:  # somebody else asks by now
            yield from leave(feed)
    return feed.waiting.popleft()


def leave(feed: Feed) -> Flow[None]:
    """The connection, if there is one, is of no use any more."""
    stream, feed.stream, feed.parser = feed.stream, None, Parser()
    if stream is not None:
        yield Leave(stream)


def _open(session: Session, feed: Feed) -> Flow[None]:
    kinds = ",".join(feed.kinds) or "*"
    request = make(
        "GET",
        f"sys/events/subscribe/{kinds}",
        params={"path": feed.path or None},
        headers={"Last-Event-ID": feed.known} if feed.known else {},
    )
    request.streams = True
    try:
        response = yield from call(session, request, _ONE_TRY)
    except NotFound:
        response = None
    if response is None or response.stream is None:
        raise Unsupported(
            "this server has no events", hint="ml-secrets has; `watch` follows one secret anywhere"
        )
    feed.stream, feed.scope = response.stream, session.scope


def _read(session: Session, feed: Feed, message: Message) -> None:
    try:
        data = json.loads(message.data)
    except ValueError:
        raise Lost("what the server sends is no stream of events") from None
    if message.event == "end":
        raise Lost("the server ended the stream of events")
    if message.event == "ready":
        feed.failures = 0
        if feed.known and not data.get("resumed"):
            session.cache.clear()
            feed.waiting.append(Event(MISSED))
        elif feed.tells_ready:
            feed.waiting.append(Event(READY))
    elif message.event == "change":
        feed.waiting.append(_event(data))
        session.cache.forget(feed.waiting[-1].mount, feed.waiting[-1].path)
    feed.known = message.id or feed.known


def _event(data: dict[str, Any]) -> Event:
    return Event(
        kind=str(data.get("kind", "")),
        mount=str(data.get("mount", "")).strip("/"),
        path=str(data.get("path", "")),
        version=int(data.get("version") or 0),
        etag=str(data.get("etag", "")),
        time=str(data.get("time", "")),
    )


def _pause(session: Session, feed: Feed, error: Exception) -> float:
    feed.failures += 1
    wished: float = error.retry_after if isinstance(error, Limited) else 0.1
    return wished + session.draw() * min(LONGEST_PAUSE, 0.25 * 2.0 ** min(feed.failures, 10))
