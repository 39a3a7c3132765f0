"""Following one secret: each of its states, as they come.

- The server is asked for news (`?wait=` with If-None-Match) and keeps the request until there are some. One that cannot do
  so, or answers too early, is asked every `EVERY` seconds.
- A server that is away, busy or sealed is asked again, after random pauses that grow. A refusal ends it.
- What the cache holds of the secret follows: who is told of a change, and asks for the secret, gets what they were told of.
- Two changes in short order may be seen as one: what counts is the latest state. Of an old one only a digest is kept.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.client.encoding import part
from ml_secrets.client.flows import call
from ml_secrets.client.lookup import data_path, mount_version, read_secret
from ml_secrets.client.messages import READ, WAIT, Pause, Shared
from ml_secrets.client.sending import Patience, make
from ml_secrets.errors import Fault, Limited, NotFound, Refusal, Sealed

if TYPE_CHECKING:
    from ml_secrets.client.cache import Key
    from ml_secrets.client.messages import Flow, Request, Response
    from ml_secrets.client.secret import Secret
    from ml_secrets.client.session import Session

EVERY: Final = 5.0
LONGEST_WAIT: Final = 60.0
LONGEST_PAUSE: Final = 30.0
_ONE_TRY: Final = Patience(tries=1)
_PASSING: Final = (Fault, Limited, Sealed)


class Watched(msgspec.Struct):
    """One secret that is followed. `mark` tells the state that was seen last: "" is that there is none, None that none was seen."""

    key: Key
    mark: str | None = None
    etag: str = ""
    failures: int = 0


def following(session: Session, watched: Watched) -> Flow[Secret | None]:
    """The next state of the secret, or at first the present one; None when there is no (readable) secret."""
    while True:
        began = session.clock()
        wait = _wait(session)
        try:
            response = yield from _ask(session, watched, wait)
        except _PASSING as error:
            yield Pause(_pause(session, watched, error))
            continue
        except Refusal:
            session.cache.drop(watched.key)
            raise
        watched.failures = 0
        if response is None or response.status != 304:
            mark = _mark(response)
            if mark != watched.mark:
                return (yield from _seen(session, watched, response, mark))
        if session.clock() - began < min(wait, EVERY) / 2:
            yield Pause(EVERY * (0.5 + session.draw()))


def _wait(session: Session) -> int:
    """Seconds that the server may take; less than the client's own patience with it."""
    return max(1, int(min(LONGEST_WAIT, session.settings.timeout * 0.8)))


def _ask(session: Session, watched: Watched, wait: int) -> Flow[Response | None]:
    """An answer; None where there is no secret."""
    try:
        request = yield from _request(session, watched, wait)
        return (yield from call(session, request, _ONE_TRY))
    except NotFound as error:
        if error.warnings:
            session.versions.pop(watched.key.mount, None)  # the mount has changed its version
        return None


def _request(session: Session, watched: Watched, wait: int) -> Flow[Request]:
    key = watched.key
    version = yield from mount_version(session, key.mount)
    path = data_path(version, key.mount, key.name)
    settings = session.settings
    if not watched.etag:
        request = make("GET", path)
        request.shared = Shared(READ, fresh=min(settings.revalidate, settings.cache_ttl))
        return request
    request = make("GET", path, params={"wait": f"{wait}s"}, headers={"If-None-Match": watched.etag})
    request.shared = Shared(WAIT, fresh=settings.revalidate, stale=settings.cache_ttl)
    return request


def _mark(response: Response | None) -> str:
    """What tells one state from another: the ETag, or a digest where the server gives none."""
    if response is None:
        return ""
    data = part(response.body, "data")
    return (
        response.headers.get("etag")
        or hashlib.sha256(b"" if data is None else data.reveal_bytes()).hexdigest()
    )


def _seen(session: Session, watched: Watched, response: Response | None, mark: str) -> Flow[Secret | None]:
    key, cache = watched.key, session.cache
    version = yield from mount_version(session, key.mount)
    secret = None if response is None else read_secret(key, version, response.body)
    cache.forget(key.mount, key.name)
    watched.mark, watched.etag = mark, ""
    if secret is not None and response is not None:
        watched.etag = response.headers.get("etag", "")
        cache.keep(key, secret, watched.etag, now=session.clock(), generation=cache.generation)
    return secret


def _pause(session: Session, watched: Watched, error: Exception) -> float:
    watched.failures += 1
    wished: float = error.retry_after if isinstance(error, Limited) else 0.1
    return wished + session.draw() * min(LONGEST_PAUSE, 0.5 * 2.0 ** min(watched.failures, 10))
