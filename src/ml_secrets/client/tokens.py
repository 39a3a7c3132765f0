"""The session's token: got, renewed, replaced. Whoever comes while that is under way waits for the one who does it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from ml_secrets.client.answer import Answer, read_answer
from ml_secrets.client.encoding import conceal
from ml_secrets.client.messages import ANSWER, LOGIN, RENEW, Flow, Once, Shared
from ml_secrets.client.sending import Patience, attempt, make
from ml_secrets.errors import Denied, Invalid, MlSecretsError, NotFound, Unauthenticated
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.client.login import Login
    from ml_secrets.client.session import Session

_TWO_TRIES: Final = Patience(tries=2)


def tend(session: Session) -> Flow[None]:
    """See that there is a live token: renew it when two thirds of its life have gone by, log in when there is none."""
    if session.token is None:
        if session.login is not None and session.inside is None:
            yield Once(("login", session.scope), lambda: log_in_anew(session, None))
    elif session.due(session.clock()):
        used = session.token
        yield Once(("renew", session.scope), lambda: _prolong(session, used))


def log_in(session: Session, refused: Sensitive | None = None) -> Flow[Answer]:
    """Carry out the session's login. Raises `Unauthenticated` when it is refused. `refused`: a token of it that is none any more."""
    way = session.login
    if way is None:
        raise Unauthenticated(
            "no login is configured", hint="log in with client.login_userpass or client.login_approle"
        )
    asked = session.clock()
    try:
        request = make("POST", way.path, body=way.body, repeatable=way.repeatable)
        request.shared = Shared(LOGIN, fresh=float("inf"), refused=refused)
        response = yield from attempt(session, request)
        answer = read_answer(response)
    except (Invalid, Unauthenticated, Denied, NotFound) as error:
        answer, failure = None, error
    if answer is None:
        hint = f"check what you log in with, and that the method is mounted there ({way.path}); too many wrong tries lock a user out"
        raise Unauthenticated(failure.message or "the login was refused", hint=hint)
    _take(session, answer, asked - response.age)
    return answer


def log_in_as(session: Session, way: Login) -> Flow[Answer]:
    """Become somebody. When the login fails, the session is nobody."""
    if getattr(way, "inline", False):
        raise Invalid(
            "a login inside requests is none by itself", hint="give it to the client: Client(login=...)"
        )
    session.become(None, login=way)
    try:
        return (yield from log_in(session))
    except MlSecretsError:
        session.become(None)
        raise


def log_in_anew(session: Session, used: Sensitive | None) -> Flow[None]:
    """Log in, unless somebody else has done so since `used` was refused."""
    if session.token is used:
        yield from log_in(session, used)


def _prolong(session: Session, used: Sensitive | None) -> Flow[None]:
    """Renew the token; where that cannot be (any more), log in. While the token lives, a failure can wait."""
    if session.token is not used or not session.due(session.clock()):
        return
    if session.renewable and not session.expired(session.clock()) and (yield from _renewed(session, used)):
        return
    if session.login is not None:
        try:
            yield from log_in(session, used)
        except MlSecretsError:
            if session.expired(session.clock()):
                raise
        else:
            return
    session.renew_later(session.clock())


def _renewed(session: Session, used: Sensitive | None) -> Flow[bool]:
    """Renew the token. False when that failed, or when a login will do better: so little was given that its end is near."""
    asked = session.clock()
    wanted = {"increment": f"{session.increment}s"} if session.increment else {}
    request = make("POST", "auth/token/renew-self", body=conceal(wanted), repeatable=True)
    request.shared = Shared(RENEW, fresh=session.ttl / 3)
    try:
        response = yield from attempt(session, dataclasses.replace(request, token=used), _TWO_TRIES)
        answer = read_answer(response)
    except MlSecretsError:
        return False
    ttl = float((answer.auth or {}).get("lease_duration") or 0)
    if used is None or not ttl or (session.login is not None and ttl < session.ttl / 4):
        return False
    session.took(used, ttl=session.ttl, life=ttl, renewable=True, now=asked - response.age)
    return True


def _take(session: Session, answer: Answer, asked: float) -> None:
    token = _token_of(answer)
    if token is None:
        raise Unauthenticated(
            "the login gave no token", hint="does it ask for a second factor? That is not supported here"
        )
    ttl = float((answer.auth or {}).get("lease_duration") or 0)
    session.took(token, ttl=ttl, life=ttl, renewable=bool((answer.auth or {}).get("renewable")), now=asked)


def _token_of(answer: Answer) -> Sensitive | None:
    text = (answer.auth or {}).get("client_token")
    return Sensitive(text) if isinstance(text, str) and text else None


def look_up(session: Session) -> Flow[Answer]:
    """Ask what the session's token is, and know from then on when to renew it."""
    asked = session.clock()
    request = make("GET", "auth/token/lookup-self")
    settings = session.settings
    request.shared = Shared(ANSWER, fresh=settings.revalidate) if settings.cache_ttl else None
    response = yield from attempt(session, dataclasses.replace(request, token=session.token))
    answer = read_answer(response)
    if session.token is not None:
        ttl = float(answer.data.get("ttl") or 0)
        session.took(
            session.token,
            ttl=ttl,
            life=ttl,
            renewable=bool(answer.data.get("renewable")),
            now=asked - response.age,
        )
    return answer


def another_token(session: Session, used: Sensitive | None) -> Flow[bool]:
    """After a token was refused: is there another one now? By logging in, or because its file was written anew."""
    if session.inside is not None:
        return False
    if session.login is not None:
        yield Once(("login", session.scope), lambda: log_in_anew(session, used))
    elif session.token is used and session.reread is not None:
        found = session.reread()
        if found is not None and found != used:
            session.become(found, reread=session.reread)
    return session.token is not used
