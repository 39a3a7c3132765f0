"""A lease: credentials that the server made for us, how long they hold, and what there is to ask about them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ml_secrets.client.encoding import conceal, decode, members, part
from ml_secrets.client.flows import ask, call
from ml_secrets.client.messages import Lost
from ml_secrets.client.secret import Secret
from ml_secrets.client.sending import make
from ml_secrets.errors import Denied, Invalid, NotFound, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.client.messages import Flow
    from ml_secrets.client.session import Session


@dataclass(slots=True)
class Lease:
    """What was given, and until when; times are the session's clock's. `first` is how many seconds it had at first."""

    secret: Secret
    id: str
    renewable: bool
    first: float
    given: float
    until: float

    @property
    def due(self) -> float:
        """When to see to it."""
        return self.until - self.given / 3


def obtain(session: Session, path: str, data: Mapping[str, Any] | None) -> Flow[Lease]:
    """Have credentials made. A path that gives no lease gives what lasts: until then it is asked no more."""
    asked = session.clock()
    body = None if data is None else conceal(data)
    response = yield from call(session, make("GET" if body is None else "POST", path, body=body))
    content = part(response.body, "data")
    if content is None:
        raise Lost(f"the server gave nothing at {path!r}", hint="does that path make credentials?")
    lease_id, seconds, renewable = (
        None if (found := part(response.body, name)) is None else decode(found)
        for name in ("lease_id", "lease_duration", "renewable")
    )
    life = float(seconds or 0) if lease_id else float("inf")
    ends_at = datetime.fromtimestamp(time.time() + life, UTC) if lease_id else None
    secret = Secret(path, content, members(content), mount="", ends_at=ends_at)
    return Lease(secret, str(lease_id or ""), bool(renewable), life, life, asked + life)


def renewed(session: Session, lease: Lease) -> Flow[bool]:
    """Renew it. False where that is refused, or gives so little that it is better replaced."""
    asked = session.clock()
    body = conceal({"lease_id": lease.id, "increment": int(lease.first)})
    try:
        answer = yield from ask(session, make("POST", "sys/leases/renew", body=body, repeatable=True))
    except Refusal:
        return False
    if answer.lease_duration < lease.first / 3:
        return False
    lease.given = float(answer.lease_duration)
    lease.until = asked + lease.given
    lease.secret.ends_at = datetime.fromtimestamp(time.time() + lease.given, UTC)
    return True


def lives(session: Session, lease: Lease) -> Flow[bool]:
    """Does the server know it still? Where it may not be asked: as far as we know."""
    if not lease.id or session.clock() >= lease.until:
        return False
    body = conceal({"lease_id": lease.id})
    try:
        yield from ask(session, make("POST", "sys/leases/lookup", body=body, repeatable=True))
    except (Invalid, NotFound):
        return False
    except Denied:
        pass
    return True


def ended(session: Session, lease: Lease) -> Flow[None]:
    """Have the server end it, where it is a lease."""
    if not lease.id:
        return
    body = conceal({"lease_id": lease.id})
    yield from ask(session, make("POST", "sys/leases/revoke", body=body, repeatable=True))
