"""Until when something lasts: a job's end as it is stated, and what is known to end before it.

What can end is the value (its lease, the secret's own `expires_at`) and the token that reads it. A token that the client
renews, or replaces by logging in again, ends when it can be renewed no longer, as far as it says when that is.
"""

from __future__ import annotations

import os
import time
import warnings
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from ml_secrets.client.kv import metadata
from ml_secrets.client.tokens import look_up
from ml_secrets.domain.instant import parse_moment, rfc3339
from ml_secrets.errors import Invalid, MlSecretsError

if TYPE_CHECKING:
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.session import Session

VARIABLE: Final = "ML_SECRETS_JOB_END"


class EndsEarly(UserWarning):
    """A secret, its lease or the token that reads it will end before the job does."""


class Unknown:
    """Stands for a state that nobody has seen."""


UNKNOWN: Final = Unknown()


class Named(Protocol):
    """What a secret is called."""

    name: str
    mount: str | None


class End(NamedTuple):
    """What ends, and when (seconds since 1970)."""

    what: str
    at: float


def moment(at: float) -> datetime:
    """Seconds since 1970 as a datetime, in UTC."""
    return datetime.fromtimestamp(at, UTC)


def job_end(needed_for: Any, now: float) -> float | None:
    """The stated end of the job: "6h" or seconds from now, a timedelta, a moment; else ML_SECRETS_JOB_END; None when none is stated.

    The variable may also be seconds since 1970, as Slurm has it in SLURM_JOB_END_TIME. Raises `Invalid`.
    """
    if needed_for is None:
        stated = os.environ.get(VARIABLE, "")
        return float(stated) if stated.isdecimal() else _parsed(stated, now, VARIABLE)
    if isinstance(needed_for, timedelta):
        return now + needed_for.total_seconds()
    if isinstance(needed_for, datetime):
        return needed_for.timestamp()
    if isinstance(needed_for, int) and not isinstance(needed_for, bool):
        return now + needed_for
    return _parsed(needed_for, now, "needed_for")


def _parsed(text: Any, now: float, what: str) -> float | None:
    if not isinstance(text, str):
        raise Invalid(f"{what} is no time", hint='such as "6h", a timedelta or a datetime')
    try:
        return parse_moment(text, now) or None
    except Invalid as error:
        raise Invalid(f"{what} is {error.message}", hint=error.hint) from None


def in_time(session: Session, handle: Named | None, needed: float) -> Flow[bool]:
    """Does nothing end before that? Warns of what does."""
    end = yield from earliest(session, handle)
    if end is None or end.at >= needed:
        return True
    warnings.warn(
        f"{end.what} ends at {rfc3339(end.at // 1)}, before the job does at {rfc3339(needed // 1)}",
        EndsEarly,
        stacklevel=2,
    )
    return False


def earliest(session: Session, handle: Named | None) -> Flow[End | None]:
    """What is known to end first, of the token and the secret, if it is about one; None where no end is known."""
    ends = [(yield from _token_end(session))]
    if handle is not None:
        ends.append((yield from _own_end(session, handle)))
    return min((end for end in ends if end is not None), key=lambda end: end.at, default=None)


def _token_end(session: Session) -> Flow[End | None]:
    if session.login is not None or session.token is None:
        return None
    try:
        told = (yield from look_up(session)).data
    except MlSecretsError:
        return None
    ttl, longest = float(told.get("ttl") or 0), float(told.get("explicit_max_ttl") or 0)
    if ttl and not told.get("renewable"):
        return End("the token", time.time() + ttl)
    if not ttl or not longest or told.get("period"):
        return None
    return End("the token, even renewed,", float(told["creation_time"]) + longest)


def _own_end(session: Session, handle: Named) -> Flow[End | None]:
    """The secret's own end, where it has one that may be seen."""
    try:
        mount = (handle.mount or session.settings.mount).strip("/")
        stated = (yield from metadata(session, mount, handle.name)).data.get("expires_at")
    except MlSecretsError:
        return None
    return End(f"the secret {handle.name!r}", parse_moment(stated, 0.0)) if stated else None
