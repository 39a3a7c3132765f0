"""A lease: credentials that the server made for us, how long they hold, and what there is to ask about them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.client.answer import read_answer
from ml_secrets.client.encoding import conceal, decode, members, part
from ml_secrets.client.flows import ask, call
from ml_secrets.client.messages import ANSWER, EXTEND, HOLD, LEASE, LEAVE, Lost, Request, Shared
from ml_secrets.client.secret import Secret
from ml_secrets.client.sending import make
from ml_secrets.errors import Denied, Invalid, NotFound, Refusal
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.client.hold import Hold
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.session import Session

_LOOKED_UP: Final = 1.0
"""Seconds for which the answer is good whether a lease is known: whatever it is for went away for all of a job at once."""


@dataclass(slots=True)
class Lease:
    """What was given, and until when; times are the session's clock's. `first` is how many seconds it had at first. `answer`: all that was answered."""

    secret: Secret
    id: str
    renewable: bool
    first: float
    given: float
    until: float
    answer: Sensitive

    @property
    def due(self) -> float:
        """When to see to it."""
        return self.until - self.given / 3


def obtain(
    session: Session, path: str, data: Mapping[str, Any] | None, hold: Hold, refused: Lease | None = None
) -> Flow[Lease]:
    """Have credentials made, or have those that a process beside us had made; other than those that were `refused`.

    A path that gives no lease gives what lasts: until then it is asked no more.
    """
    asked = session.clock()
    request = _making(path, data)
    request.shared = Shared(LEASE, hold=hold, refused=None if refused is None else Sensitive(refused.id))
    response = yield from call(session, request)
    content = part(response.body, "data")
    if content is None:
        raise Lost(f"the server gave nothing at {path!r}", hint="does that path make credentials?")
    lease_id, seconds, renewable = (
        None if (found := part(response.body, name)) is None else decode(found)
        for name in ("lease_id", "lease_duration", "renewable")
    )
    first = float(seconds or 0) if lease_id else float("inf")
    left = first - response.age
    ends_at = datetime.fromtimestamp(time.time() + left, UTC) if lease_id else None
    secret = Secret(path, content, members(content), mount="", ends_at=ends_at)
    return Lease(secret, str(lease_id or ""), bool(renewable), first, first, asked + left, response.body)


def announced(
    session: Session, path: str, data: Mapping[str, Any] | None, lease: Lease, hold: Hold
) -> Flow[None]:
    """Say to the process that asks for all that we have it: the one before was killed."""
    request = _making(path, data)
    request.shared = _spoken_of(HOLD, session, lease, hold)
    yield from call(session, request)


def renewed(session: Session, lease: Lease) -> Flow[bool]:
    """Renew it. False where that is refused, or gives so little that it is better replaced."""
    asked = session.clock()
    body = conceal({"lease_id": lease.id, "increment": int(lease.first)})
    request = make("POST", "sys/leases/renew", body=body, repeatable=True)
    request.shared = Shared(EXTEND, fresh=lease.given / 3, lease=lease.id)
    try:
        response = yield from call(session, request)
    except Refusal:
        return False
    answer = read_answer(response)
    if answer.lease_duration < lease.first / 3:
        return False
    lease.given = float(answer.lease_duration)
    lease.until = asked - response.age + lease.given
    lease.secret.ends_at = datetime.fromtimestamp(time.time() + lease.given - response.age, UTC)
    return True


def lives(session: Session, lease: Lease) -> Flow[bool]:
    """Does the server know it still? Where it may not be asked: as far as we know."""
    if not lease.id or session.clock() >= lease.until:
        return False
    body = conceal({"lease_id": lease.id})
    request = make("POST", "sys/leases/lookup", body=body, repeatable=True)
    request.shared = Shared(ANSWER, fresh=_LOOKED_UP)
    try:
        yield from ask(session, request)
    except (Invalid, NotFound):
        return False
    except Denied:
        pass
    return True


def ended(session: Session, lease: Lease, hold: Hold) -> Flow[None]:
    """Have the server end it, where it is a lease; where processes beside us have it, too, the last of them does."""
    if not lease.id:
        return
    request = make("POST", "sys/leases/revoke", body=conceal({"lease_id": lease.id}), repeatable=True)
    if hold.shared:
        request.shared = _spoken_of(LEAVE, session, lease, hold)
    yield from call(session, request)


def _making(path: str, data: Mapping[str, Any] | None) -> Request:
    body = None if data is None else conceal(data)
    return make("GET" if body is None else "POST", path, body=body)


def _spoken_of(kind: str, session: Session, lease: Lease, hold: Hold) -> Shared:
    left = max(lease.until - session.clock(), 0.0)
    return Shared(kind, lease=lease.id, hold=hold, held=lease.answer, left=left)
