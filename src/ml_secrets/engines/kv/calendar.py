"""The calendar of a mount: the dates of its secrets (domain/dates.py) in the order of time, so that what is due is found at once.

    opaque  dates/<when>-<what>-<uid>    Entry, for each date that is in force

Whoever stores a secret notes it here (rows.py does). The secret keeps what was noted (`Secret.noted`), so nothing is
looked up for one without dates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from ml_secrets.domain import dates
from ml_secrets.domain.instant import ordered
from ml_secrets.errors import TamperFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml_secrets.contract import Transaction
    from ml_secrets.domain.version import Secret

FOLDER: Final = "dates/"
AFTER_ALL: Final = "~"
"""Follows the time in the name of a row, and so comes after all rows of that time."""
_DIGITS: Final = len(ordered(0.0))
_AT_ONCE: Final = 250


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """Whose date it is, by its name in the mount, and since when it has stood there."""

    path: str
    since: float


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


def note(opaque: Transaction, path: str, secret: Secret, now: float) -> Secret:
    """Bring the calendar in line with a secret that is about to be stored; the secret as it is to be stored."""
    return _bring(opaque, path, secret, dates.in_force(secret, now), now)


def forget(opaque: Transaction, secret: Secret) -> Secret:
    """Take the dates of a secret out that goes away; the secret with nothing noted."""
    return _bring(opaque, "", secret, {}, 0.0)


def rename(opaque: Transaction, secret: Secret, path: str) -> None:
    """The secret has another name."""
    for what, when in secret.noted.items():
        name = name_of(secret, what, when)
        opaque.put(FOLDER + name, _encode(replace(entry(opaque, name), path=path)))


def _bring(opaque: Transaction, path: str, secret: Secret, wanted: Mapping[str, float], now: float) -> Secret:
    noted = secret.noted
    if wanted == noted:
        return secret
    for what, when in noted.items() - wanted.items():
        opaque.delete(FOLDER + name_of(secret, what, when))
    for what, when in wanted.items() - noted.items():
        opaque.put(FOLDER + name_of(secret, what, when), _encode(Entry(path, now)))
    return replace(secret, noted=dict(wanted))


def name_of(secret: Secret, what: str, when: float) -> str:
    """The row of a date."""
    return f"{ordered(when)}-{what}-{secret.uid}"


def entry(opaque: Transaction, name: str) -> Entry:
    """A row of the calendar."""
    row = opaque.get(FOLDER + name)
    if row is None:
        raise TamperFault("the date of a secret is missing from the store")
    return _decode(row)


def read(name: str) -> tuple[int, str]:
    """(milliseconds since 1970, what is then) of a row's name."""
    return int(name[:_DIGITS]), name[_DIGITS + 1]


def names(opaque: Transaction, until: float, after: str = "") -> Iterator[str]:
    """Rows up to a moment, in order. Few in memory at once."""
    end = ordered(until) + AFTER_ALL
    while True:
        found = opaque.list(FOLDER, after=after, limit=_AT_ONCE)
        for name in found:
            if name > end:
                return
            yield name
        if len(found) < _AT_ONCE:
            return
        after = found[-1]
