"""Reminders: that dates of secrets come near, and that they have come, each told once.

    opaque  reminded                Reminded: how far the calendar has been gone through, for each distance

A distance is how long ahead of a date it is told of (`reminders` of the mount); 0 is the date itself. A date is told of
at the smallest distance that it has come to: after a long stop, once. What had come before the date was set is not told.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.domain import dates
from ml_secrets.engines.kv import calendar, news, rows
from ml_secrets.engines.kv.engine import KV2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.contract import Transaction
    from ml_secrets.contract.access import SystemAccess
    from ml_secrets.domain.mount import Mount
    from ml_secrets.domain.version import Secret
    from ml_secrets.registry.unit import Unit

MOST: Final = 10_000
"""So many dates are counted in a mount; where there are more, the counts are too low."""
_ROW: Final = "reminded"
_WORDS: Final = {dates.EXPIRY: "expired", dates.ROTATION: "overdue"}
NAMES: Final = {dates.EXPIRY: "expiry", dates.ROTATION: "rotation"}


class Reminded(msgspec.Struct):
    """far: distance in seconds -> the last row of the calendar that was looked at for it."""

    far: dict[int, str] = msgspec.field(default_factory=dict)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Reminded).decode


def past(secret: Secret, now: float) -> list[str]:
    """What there is to say at once of dates that are set and lie behind: no reminder will come to them."""
    return [
        _WORDS[what]
        for what, when in dates.in_force(secret, now).items()
        if when <= now and secret.noted.get(what) != when
    ]


def remind(access: SystemAccess, unit: Unit, mount: Mount, limit: int) -> Counter[int] | None:
    """Tell of what has come nearer since last time; how many dates, by distance. None: nothing has.

    It looks at about `limit` rows, and the next round goes on; with a limit of 0 it tells only whether there is any.
    """
    opaque = access.opaque_of(unit, mount)
    row = opaque.get(_ROW)
    far = Reminded().far if row is None else _decode(row).far
    distances = (*rows.config(opaque).reminders, 0)
    reached = {
        distance: list(islice(calendar.names(opaque, unit.now + distance, after), max(1, limit)))
        for distance in distances
        for after in (far.get(distance, ""),)
    }
    if not any(reached.values()):
        return None
    told: Counter[int] = Counter()
    if limit:
        for distance, found in reached.items():
            told[distance] += sum(_tell(access, unit, mount, name, distance, distances) for name in found)
        last = {distance: found[-1] for distance, found in reached.items() if found}
        kept = {distance: name for distance, name in far.items() if distance in distances}
        opaque.put(_ROW, _encode(Reminded(kept | last)))
    return +told


def _tell(
    access: SystemAccess, unit: Unit, mount: Mount, name: str, distance: int, distances: tuple[int, ...]
) -> bool:
    """Tell of one date, if this is the distance to tell of it at."""
    moment, what = calendar.read(name)
    when, nearer = moment / 1000, [other for other in distances if other < distance]
    if (nearer and when <= unit.now + nearer[0]) or (what == dates.END and distance):
        return False
    opaque, store = access.opaque_of(unit, mount), access.store_of(unit, mount)
    entry = calendar.entry(opaque, name)
    secret = rows.find(store, entry.path)
    if secret is None:  # its row was taken out of the store: verifying says so
        return False
    if what == dates.END:  # its dates are over with it
        rows.keep(store, opaque, entry.path, secret, unit.now)
        return False
    if when - distance <= entry.since:
        return False
    news.announce(access, unit, mount, entry.path, "due" if distance else _WORDS[what], secret)
    return True


def count(access: SystemAccess, unit: Unit, mount: Mount) -> Counter[tuple[str, str]]:
    """How many dates are near and have come: (what, "due" or "overdue")."""
    opaque = access.opaque_of(unit, mount)
    widest = max((*rows.config(opaque).reminders, 0))
    return Counter(
        (NAMES[what], "overdue" if moment <= unit.now * 1000 else "due")
        for moment, what in _dates(opaque, unit.now + widest)
    )


def _dates(opaque: Transaction, until: float) -> Iterator[tuple[int, str]]:
    for name in islice(calendar.names(opaque, until), MOST):
        moment, what = calendar.read(name)
        if what in NAMES:
            yield moment, what


KV2.remind = remind
KV2.count_due = count
