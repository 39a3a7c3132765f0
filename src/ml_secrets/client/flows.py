"""A call: `Client` and `AsyncClient` drive these generators, so that every rule is written once.

1. renew the token (or have none, where a login goes inside each request) when two thirds of its life have gone by, or log in when there is a login and no token yet
2. send, and send again as sending.py says
3. a token that is not known any more: find another (log in once more, read its file once more) and send once more
4. a refusal is raised as its class, with a hint
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ml_secrets.client.answer import Answer, read_answer
from ml_secrets.client.sending import PATIENCE, Patience, attempt, make
from ml_secrets.client.tokens import another_token, tend
from ml_secrets.errors import Denied, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.client.messages import Flow, Request, Response
    from ml_secrets.client.session import Session
    from ml_secrets.sensitive import Sensitive


def ask(session: Session, request: Request) -> Flow[Answer]:
    """Send a request and read the answer."""
    return read_answer((yield from call(session, request)))


def call(session: Session, request: Request, patience: Patience = PATIENCE) -> Flow[Response]:
    """Send a request with a live token. Returns a success (or 304); raises the refusal as an error.

    When the token is refused for good, nothing that it was given before is served any more.
    """
    yield from tend(session)
    used = session.token
    try:
        ours = dataclasses.replace(request, token=used, login=session.inside)
        return (yield from attempt(session, ours, patience))
    except (Unauthenticated, Denied) as error:
        refused = error
    if isinstance(refused, Unauthenticated) or session.expired(session.clock()):
        if (yield from another_token(session, used)):
            return (yield from attempt(session, dataclasses.replace(request, token=session.token), patience))
        session.cache.clear()
    raise refused.with_traceback(None)


# ── the verbs ───────────────────────────────────────────────────────────────────────────────────────────────────────


def read(
    session: Session, path: str, params: Mapping[str, Any] | None, wrap_ttl: str | int | None
) -> Flow[Answer]:
    """GET."""
    return (yield from ask(session, make("GET", path, params=params, wrap_ttl=wrap_ttl)))


def listing(
    session: Session, path: str, params: Mapping[str, Any] | None, verb: str = "list"
) -> Flow[Answer]:
    """LIST or SCAN, as a GET that every proxy lets through."""
    return (yield from ask(session, make("GET", path.rstrip("/"), params={**(params or {}), verb: "true"})))


def write(
    session: Session,
    method: str,
    path: str,
    body: Sensitive | None,
    *,
    params: Mapping[str, Any] | None = None,
    wrap_ttl: str | int | None = None,
    repeatable: bool = False,
) -> Flow[Answer]:
    """POST, PATCH or DELETE. What the cache knows of the path is forgotten, however the call ends."""
    request = make(method, path, params=params, body=body, wrap_ttl=wrap_ttl, repeatable=repeatable)
    try:
        return (yield from ask(session, request))
    finally:
        session.cache.forget_path(request.path)
        if request.path.startswith("sys/"):
            session.versions = {}
