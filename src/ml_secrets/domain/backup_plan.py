"""When a server makes a backup by itself, what it is called, and which older ones are no longer wanted. Pure.

Times are seconds since 1970. A clock that jumps makes one extra backup at most: what counts is the time of the newest one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY: Final = 24 * 3600
FEWEST: Final = 3
"""So many stay, however old: a clock that runs ahead is not to take all of them."""

_NAME: Final = re.compile(r"ml-secrets-([0-9a-f]{8})-([0-9]{8}T[0-9]{6}Z)\.snapshot", re.ASCII)
_STAMP: Final = "%Y%m%dT%H%M%SZ"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """every: seconds from one to the next; 0 for once a day, `at` so many seconds after midnight UTC.

    keep: so many stay; 0 for as many as are younger than `keep_for` seconds, and the newest `FEWEST`.
    """

    every: int = DAY
    at: int = 0
    keep: int = 0
    keep_for: int = 0


class Made(msgspec.Struct, frozen=True):
    """A backup, as its name tells."""

    name: str
    store: str
    created: float


def next_time(plan: Plan, newest: float | None) -> float:
    """When the one after the newest is due. Without any, it is due at once."""
    if newest is None:
        return 0.0
    if plan.every:
        return newest + plan.every
    return ((newest - plan.at) // DAY + 1) * DAY + plan.at


def surplus(plan: Plan, made: Iterable[Made], now: float) -> list[Made]:
    """Those to remove. What is from the future (a clock was wrong) neither goes nor counts."""
    past = sorted((one for one in made if one.created <= now), key=lambda one: one.created, reverse=True)
    if plan.keep:
        return past[plan.keep :]
    return [one for one in past[FEWEST:] if one.created < now - plan.keep_for]


def name_of(cluster_id: str, created: float) -> str:
    """A backup's name: names of one store order as their times do, and several stores may share a folder."""
    return (
        f"ml-secrets-{store_of(cluster_id)}-{datetime.fromtimestamp(created, UTC).strftime(_STAMP)}.snapshot"
    )


def store_of(cluster_id: str) -> str:
    """How names tell one store from another."""
    return cluster_id[:8]


def made_of(name: str) -> Made | None:
    """What a name tells; None for one that is not ours."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    try:
        created = datetime.strptime(found[2], _STAMP).replace(tzinfo=UTC)
    except ValueError:  # a month 13, say
        return None
    return Made(name, found[1], created.timestamp())
