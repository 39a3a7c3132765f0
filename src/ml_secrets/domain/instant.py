"""Moments as texts: as the wire writes them, and as names of rows that lie in the order of time."""

from __future__ import annotations

import re
import time
from datetime import datetime
from functools import lru_cache
from typing import Final

from ml_secrets.domain.duration import parse_duration
from ml_secrets.errors import Invalid

_LAST: Final = 10**15 - 1
_WRITTEN: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2}))?",
    re.ASCII,
)


def rfc3339(seconds: float) -> str:
    """1700000000.5 -> "2023-11-14T22:13:20.5Z". Trailing zeros of the fraction are left out, as Go does."""
    whole = int(seconds // 1)
    nanoseconds = round((seconds - whole) * 1e9)
    if nanoseconds == 1_000_000_000:  # a fraction so close below one that it rounds up
        whole, nanoseconds = whole + 1, 0
    fraction = f"{nanoseconds:09d}".rstrip("0")
    return f"{_second(whole)}.{fraction}Z" if fraction else f"{_second(whole)}Z"


@lru_cache(256)
def _second(whole: int) -> str:
    """The calendar's part: most moments that are written lie in the same few seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def ordered(seconds: float, *, newest_first: bool = False) -> str:
    """15 digits whose order is that of time, to the millisecond."""
    milliseconds = min(_LAST, max(0, int(seconds * 1000)))
    return f"{_LAST - milliseconds if newest_first else milliseconds:015d}"


def parse_moment(text: str, now: float) -> float:
    """A moment as people write it: RFC 3339, a date (its first second, UTC), or how long from now ("90d"). "" is 0: none.

    One that counts from now is to the second. Raises `Invalid`, which never shows the text. A bare number is refused: it could be seconds from now, or since 1970.
    """
    if not text:
        return 0.0
    written = _WRITTEN.fullmatch(text)
    if written is None:
        if text.isdecimal():
            raise _malformed()
        return now // 1 + _distance(text)
    day, clock, fraction, zone = written.groups()
    try:
        whole = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}{(zone or 'Z').upper()}").timestamp()
    except (ValueError, OverflowError):  # a month 13, say
        raise _malformed() from None
    if whole <= 0:
        raise Invalid("the moment must lie after 1970")
    return whole + float(fraction or 0)


def _distance(text: str) -> int:
    try:
        seconds = parse_duration(text)
    except Invalid:
        raise _malformed() from None
    if not seconds:
        raise _malformed()
    return seconds


def _malformed() -> Invalid:
    return Invalid(
        "not a moment",
        hint='such as "2027-01-31T12:00:00Z", "2027-01-31", or how long from now: "90d", "12h"',
    )
