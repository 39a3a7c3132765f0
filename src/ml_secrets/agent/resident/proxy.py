"""The server's API at an agent's door, with the agent's token for those who bring none, and with what was read kept close by.

- A request goes on as it came: method, path, query, body, and the headers that the API knows. With a token of its own it goes with that.
- Reads of secrets in kv mounts with the agent's token are kept. While the server tells of changes, they are given until there is
  one, `LONGEST` seconds at most; else they are asked for anew after `FRESH` seconds, and given up to the stale limit where the server is away.
- Those who ask for the same of these at the same time share one answer. Nothing else is shared or kept: not what is made for
  each who asks, as credentials are, and nothing of those with their own token.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote

from ml_secrets.agent.resident.http import Asked, Reply, refusal
from ml_secrets.client.lookup import mount_version
from ml_secrets.client.messages import Once, Request, Response
from ml_secrets.client.tokens import another_token, tend
from ml_secrets.errors import Fault, Refusal
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.agent.resident.doors import Behind
    from ml_secrets.client.events import Event
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.session import Session

FRESH: Final = 5.0
LONGEST: Final = 300.0
"""A right that was taken away is no change of a secret: it is heard of when the server is asked."""
_READS: Final = frozenset({"GET", "HEAD", "LIST", "SCAN"})
_MOST: Final = 4096
_LARGEST: Final = 1 << 18
_LONG: Final = 120.0
_ON: Final = (
    "content-type",
    "if-none-match",
    "x-vault-namespace",
    "x-vault-wrap-ttl",
    "accept",
    "last-event-id",
    "x-vault-wrap-format",
)
_BACK: Final = ("content-type", "etag", "retry-after", "cache-control", "last-modified", "warning")
_BAD_PATH: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%2[fF]|[\x00-\x20\x7f]")


@dataclass(slots=True)
class Kept:
    """An answer that was kept, and where its secret is: `place` is mount and path."""

    reply: Reply
    place: str
    at: float


class Proxy:
    """One configuration's. Threads share it."""

    def __init__(self, work: Behind) -> None:
        self._work = work
        self._kept: dict[tuple[str, str], Kept] = {}
        self._generation = 0
        self._lock = Lock()

    def heard(self, event: Event | None) -> None:
        """What is kept of this is old; None: of everything."""
        with self._lock:
            self._generation += 1
            if event is None:
                self._kept.clear()
            else:
                place = f"{event.mount}/{event.path}"
                self._kept = {key: one for key, one in self._kept.items() if one.place != place}

    def answer(self, asked: Asked, *, own_token: bool) -> Reply:
        """The server's answer, or what was kept of one. `own_token`: who brings none asks with the agent's."""
        own = asked.header("x-vault-token") or _bearer(asked)
        if (problem := _problem(asked)) is not None:
            return problem
        if own is None and not (own_token and self._work.logged_in):
            return (
                refusal(503, "the agent is not logged in yet") if own_token else refusal(403, "bring a token")
            )
        request = _request(asked, own)
        kept = own is None and _may_be_kept(asked)
        try:
            return self._close_by(request, asked) if kept else self._through(request)
        except Refusal as error:
            return refusal(403, error.message)
        except Fault:
            return refusal(503, "the server is away")

    def _through(self, request: Request) -> Reply:
        try:
            return _reply(self._work.client.run(forward(self._work.client.session, request)))
        finally:
            if request.method not in _READS:
                self._wrote(request.path)

    def _wrote(self, path: str) -> None:
        """Something was written by one of us, who may read it right after: all that ends in the same name is old."""
        name = path.rpartition("/")[2]
        with self._lock:
            self._generation += 1
            self._kept = {key: one for key, one in self._kept.items() if one.place.rpartition("/")[2] != name}

    def _close_by(self, request: Request, asked: Asked) -> Reply:
        key = (asked.header("x-vault-namespace") or "", asked.target)
        kept = self._kept.get(key)
        if kept is not None and self._good(kept) and asked.header("cache-control") != "no-cache":
            return kept.reply
        session = self._work.client.session
        generation = self._generation
        try:
            place = self._place(request, asked)
            if not place:
                return self._through(request)
            reply: Reply = self._work.client.run(_shared(session, request, (key, generation)))
        except Fault:
            if kept is None or self._work.stale:
                raise
            return kept.reply
        if reply.status == 200 and len(reply.body.reveal_bytes()) <= _LARGEST:
            self._keep(key, Kept(reply, place, time.monotonic()), generation)
        return reply

    def _good(self, kept: Kept) -> bool:
        return time.monotonic() - kept.at < (LONGEST if self._work.current else FRESH)

    def _keep(self, key: tuple[str, str], kept: Kept, generation: int) -> None:
        with self._lock:
            if generation == self._generation:  # else it may be from before the change
                if len(self._kept) >= _MOST:
                    self._kept.clear()
                self._kept[key] = kept

    def _place(self, request: Request, asked: Asked) -> str:
        """Mount and path of the secret that is read; "" where it is none of a kv mount that we know, and may not be kept."""
        if asked.has("x-vault-namespace") or not request.query.keys() <= {"version"}:
            return ""
        session = self._work.client.session
        mount = next((one for one in list(session.versions) if request.path.startswith(f"{one}/")), "")
        if not mount:
            mount = self._learnt(request.path)
        if not mount:
            return ""
        rest = request.path.removeprefix(f"{mount}/")
        if session.versions.get(mount) == 2:
            return f"{mount}/{rest.removeprefix('data/')}" if rest.startswith("data/") else ""
        return f"{mount}/{rest}"

    def _learnt(self, path: str) -> str:
        """The mount that a path is in, where that is its first part and of kv."""
        first = path.partition("/")[0]
        try:
            self._work.client.run(mount_version(self._work.client.session, first))
        except Refusal:
            return ""
        return first


def forward(session: Session, request: Request) -> Flow[Response]:
    """Send a request on; with our token where it has none. The answer comes back whatever it is."""
    if request.token is not None:
        response: Response = yield request
        return response
    yield from tend(session)
    used = request.token = session.token
    response = yield request
    if response.status == 403 and _is_refused(response) and (yield from another_token(session, used)):
        request.token = session.token
        response = yield request
    return response


def _shared(session: Session, request: Request, key: object) -> Flow[Reply]:
    def one() -> Flow[Reply]:
        return _reply((yield from forward(session, request)))

    reply: Reply = yield Once(("proxy", session.scope, key), one)
    return reply


def _is_refused(response: Response) -> bool:
    """Is it the token that is not known any more?"""
    return b"invalid token" in response.body.reveal_bytes()


def _may_be_kept(asked: Asked) -> bool:
    odd = ("x-vault-wrap-ttl", "if-none-match", "range")
    return (
        asked.method == "GET"
        and not any(asked.has(name) for name in odd)
        and not asked.path.startswith(("/v1/sys/", "/v1/auth/"))
    )


def _problem(asked: Asked) -> Reply | None:
    """What is wrong with a request, before anybody else sees it."""
    names = [name for name, _ in parse_qsl(asked.target.partition("?")[2], keep_blank_values=True)]
    found = {
        "this is no path of the API": not asked.path.startswith("/v1/") or _BAD_PATH.search(asked.path),
        "a parameter comes twice": len(names) != len(set(names)),
        "there is more than one token, or an empty one": (
            asked.has("x-vault-token") and not asked.header("x-vault-token")
        ),
        "there is another authorization than one token": (
            asked.has("authorization") and _bearer(asked) is None
        ),
        "there is more than one namespace": (
            asked.has("x-vault-namespace") and asked.header("x-vault-namespace") is None
        ),
        "a login inside a request goes to the server itself": asked.has("x-vault-inline-auth-path"),
    }
    problem = next((text for text, wrong in found.items() if wrong), None)
    return None if problem is None else refusal(400, problem)


def _bearer(asked: Asked) -> str | None:
    found = asked.header("authorization") or ""
    scheme, _, token = found.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _request(asked: Asked, own: str | None) -> Request:
    path, _, query = asked.target.partition("?")
    streams = path.startswith("/v1/sys/events/subscribe/")
    return Request(
        asked.method,
        unquote(path.removeprefix("/v1/")),
        dict(parse_qsl(query, keep_blank_values=True)),
        {name: value for name in _ON if (value := asked.header(name)) is not None},
        asked.body if asked.body or asked.method in {"POST", "PUT", "PATCH"} else None,
        None if own is None else Sensitive(own),
        timeout=_LONG,
        streams=streams,
    )


def _reply(response: Response) -> Reply:
    headers = {name: value for name, value in response.headers.items() if name in _BACK}
    return Reply(response.status, response.body, headers, response.stream)
