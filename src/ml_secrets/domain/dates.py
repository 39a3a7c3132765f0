"""The dates of a secret: when what it holds stops being valid, and when it is to be rotated. Pure.

- `expires_at` stays when there is a new version, until somebody sets another: a date that was forgotten shows as overdue,
  never as nothing. A version that has an end of its own (other dialects set one) goes by that.
- A new version is a rotation: it moves `rotate_at` on by `rotate_every`; without one, it takes it away (version.py).
- A date is in force while the current version can be read. What is deleted, or dies before its date, is never due.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from ml_secrets.domain.version import Secret, State

EXPIRY: Final = "e"
ROTATION: Final = "r"
END: Final = "x"
"""The moment when the current version dies by itself, and with it the dates: noted only beside these."""


def expiry(secret: Secret, number: int) -> float:
    """When what that version holds stops being valid; 0 where nobody has said."""
    expires = secret.versions[number].expires
    if expires is not None:
        return expires
    return secret.expires_at if number == secret.current else 0.0


def settle(
    secret: Secret, *, expires_at: float | None, rotate_every: int | None, rotate_at: float | None
) -> Secret:
    """The secret with other dates: None leaves one as it is, 0 takes it away.

    A new interval counts from the current version on, unless the next date is said, too.
    """
    every = secret.rotate_every if rotate_every is None else rotate_every
    at = secret.rotate_at if rotate_at is None else rotate_at
    if not rotate_at and (rotate_every is not None or rotate_at is not None):
        current = secret.versions.get(secret.current)
        at = current.created // 1 + every if every and current is not None else 0.0
    ends = secret.expires_at if expires_at is None else expires_at
    return replace(secret, expires_at=ends, rotate_every=every, rotate_at=at)


def in_force(secret: Secret, now: float) -> dict[str, float]:
    """The dates that count, by what they are, with the `END` of them all where it is known."""
    current = secret.versions.get(secret.current)
    if secret.removed is not None or current is None or current.state(now) is not State.ENABLED:
        return {}
    dates = {EXPIRY: expiry(secret, secret.current), ROTATION: secret.rotate_at}
    dies = current.deleted
    found = {what: when for what, when in dates.items() if when and (dies is None or when < dies)}
    return {**found, END: dies} if found and dies is not None else found


def first(dates: dict[str, float]) -> tuple[str, float] | None:
    """The earliest of the dates that somebody has to act on; None for none."""
    acts = [(when, what) for what, when in dates.items() if what != END]
    return (min(acts)[1], min(acts)[0]) if acts else None
