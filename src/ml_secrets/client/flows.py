"""How a request is made: renewed, sent, sent again, logged in for, read. Generators; `Client` and `AsyncClient` drive them.

One call, in this order
    1. renew the token when two thirds of its life have gone by, or log in when there is a login and no token yet
    2. send; on a broken connection, 429, 502, 503 and 504 wait (full jitter, capped) and send again, while the call's
       time lasts. What may have been carried out already is sent again only if that does no harm.
    3. a token that is not known any more: log in once more, where a login is known, and send once more
    4. a refusal is raised as its class, with a hint
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.client.answer import Answer, read_answer
from ml_secrets.client.encoding import conceal
from ml_secrets.client.faults import error_of, retry_after
from ml_secrets.client.messages import Flow, Lost, Misdirected, NotSent, Once, Pause, Request, Response
from ml_secrets.errors import Denied, Invalid, MlSecretsError, Sealed, Unauthenticated, Unreachable
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.client.session import Session

MOST_TRIES: Final = 5
MOST_SEALED_TRIES: Final = 2
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
_UNDECIDED: Final = "the server may or may not have carried it out: look before you repeat it"


# ── the five verbs ──────────────────────────────────────────────────────────────────────────────────────────────────


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
        if request.path.startswith("sys/"):
            session.cache.clear()
            session.versions = {}
        else:
            session.cache.forget_path(request.path)


def make(
    method: str,
    path: str,
    *,
    params: Mapping[str, Any] | None = None,
    body: Sensitive | None = None,
    wrap_ttl: str | int | None = None,
    headers: Mapping[str, str] | None = None,
    repeatable: bool = False,
) -> Request:
    """A request. Raises `Invalid` for a path that a server would have to guess about."""
    query = {name: _query_text(value) for name, value in (params or {}).items() if value is not None}
    sent = dict(headers or {})
    if wrap_ttl is not None:
        sent["X-Vault-Wrap-TTL"] = str(wrap_ttl)
    return Request(method, check_path(path), query, sent, body, repeatable=repeatable or method == "GET")


def _query_text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def check_path(path: str) -> str:
    """The path without outer slashes. Raises `Invalid` for empty, `.` and `..` segments."""
    plain = path.strip("/")
    if not plain or any(segment in ("", ".", "..") for segment in plain.split("/")):
        raise Invalid(
            f"{path!r} is no path",
            hint="write it like secret/data/team/name, without empty, '.' and '..' segments",
        )
    return plain.removeprefix("v1/")


# ── one call ────────────────────────────────────────────────────────────────────────────────────────────────────────


def ask(session: Session, request: Request) -> Flow[Answer]:
    """Send a request and read the answer."""
    return read_answer((yield from call(session, request)))


def call(session: Session, request: Request) -> Flow[Response]:
    """Send a request with a live token. Returns a success (or 304); raises the refusal as an error."""
    yield from _tend(session)
    used = session.token
    try:
        return (yield from attempt(session, dataclasses.replace(request, token=used)))
    except (Unauthenticated, Denied) as error:
        refused: MlSecretsError = error.with_traceback(None)
    if session.login is None or not (isinstance(refused, Unauthenticated) or _expired(session)):
        raise refused
    yield Once(("login", session.scope), lambda: log_in_anew(session, used))
    return (yield from attempt(session, dataclasses.replace(request, token=session.token)))


def _expired(session: Session) -> bool:
    return bool(session.expires_at) and session.clock() >= session.expires_at


def attempt(session: Session, request: Request, *, tries: int = MOST_TRIES) -> Flow[Response]:
    """Send a request until there is an answer that counts, or no more time."""
    deadline = session.clock() + session.settings.timeout
    for number in range(1, tries + 1):
        request.timeout = max(deadline - session.clock(), 0.001)
        try:
            response: Response = yield request
        except Misdirected:
            raise
        except Unreachable as error:
            failure: MlSecretsError = error.with_traceback(None)
            again, wished = request.repeatable or isinstance(error, NotSent), None
        else:
            if response.status < 300 or response.status == 304:
                return response
            failure = error_of(request, response)
            again, wished = _worth_another(request, response, failure, number), retry_after(response)
        pause = _pause(number, wished, session.draw())
        if not again or number == tries or session.clock() + pause >= deadline:
            raise _final(request, failure)
        yield Pause(pause)
    raise AssertionError


def _worth_another(request: Request, response: Response, failure: MlSecretsError, number: int) -> bool:
    if response.status == 429:
        return True  # refused before anything was done
    if isinstance(failure, Sealed):
        return number < MOST_SEALED_TRIES
    return response.status in (502, 503, 504) and request.repeatable


def _pause(number: int, wished: float | None, draw: float) -> float:
    """Seconds to wait: what the server asked for, or a random part of a cap that doubles."""
    cap = min(FIRST_PAUSE * 2 ** (number - 1), LONGEST_PAUSE)
    return draw * cap if wished is None else wished + draw * FIRST_PAUSE


def _final(request: Request, failure: MlSecretsError) -> MlSecretsError:
    if isinstance(failure, Lost) and not request.repeatable:
        failure.hint = _UNDECIDED
    return failure


# ── tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tend(session: Session) -> Flow[None]:
    """See that there is a live token. Everybody who comes at the same time waits for the one who does it."""
    if session.token is None:
        if session.login is not None:
            yield Once(("login", session.scope), lambda: log_in_anew(session, None))
    elif session.due(session.clock()):
        used = session.token
        yield Once(("renew", session.scope), lambda: _prolong(session, used))


def log_in(session: Session) -> Flow[Answer]:
    """Carry out the session's login."""
    if session.login is None:
        raise Unauthenticated(
            "no login is configured", hint="log in with client.login_userpass or client.login_approle"
        )
    request = make("POST", session.login.path, body=session.login.body, repeatable=session.login.repeatable)
    asked = session.clock()
    answer = read_answer((yield from attempt(session, request)))
    _take(session, answer, asked)
    return answer


def log_in_anew(session: Session, used: Sensitive | None) -> Flow[None]:
    """Log in, unless somebody else has done so since `used` was refused."""
    if session.token is used:
        yield from log_in(session)


def _prolong(session: Session, used: Sensitive | None) -> Flow[None]:
    """Renew the token; where that cannot be (any more), log in. While the token lives, a failure can wait."""
    if session.token is not used or not session.due(session.clock()):
        return
    if session.renewable and not _expired(session):
        asked = session.clock()
        request = make("POST", "auth/token/renew-self", body=conceal({}), repeatable=True)
        try:
            response = yield from attempt(session, dataclasses.replace(request, token=used), tries=2)
            answer = read_answer(response)
        except MlSecretsError:
            answer = None
        if answer is not None and answer.auth and answer.auth["lease_duration"] * 4 >= session.ttl:
            _take(session, answer, asked)
            return
    if session.login is not None:
        try:
            yield from log_in(session)
        except MlSecretsError:
            if _expired(session):
                raise
        else:
            return
    session.renew_later(session.clock())


def _take(session: Session, answer: Answer, asked: float) -> None:
    auth = answer.auth or {}
    token = auth.get("client_token")
    if not isinstance(token, str) or not token:
        del token, auth
        raise Unauthenticated(
            "the login gave no token",
            hint="does the login ask for a second factor? That is not supported here",
        )
    ttl, renewable = float(auth.get("lease_duration") or 0), bool(auth.get("renewable"))
    session.took(Sensitive(token), ttl=ttl, renewable=renewable, now=asked)


def look_up(session: Session) -> Flow[Answer]:
    """Ask what the session's token is, and know from then on when to renew it."""
    asked = session.clock()
    answer = yield from ask(session, make("GET", "auth/token/lookup-self"))
    if session.token is not None:
        ttl = answer.data.get("ttl") or 0
        session.took(session.token, ttl=float(ttl), renewable=bool(answer.data.get("renewable")), now=asked)
    return answer
