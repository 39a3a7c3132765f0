"""Durations as the wire writes them: 90, "90", "1h30m", "1.5h", "2d". Whole seconds here; "" and 0 mean "not set".

Refused, because guessing would hide a mistake: negative ones, weeks, a bare fraction (3600.5), digits outside ASCII,
anything longer than Go's own clock can say, and a duration that is not nothing but would round down to nothing.
"""

from __future__ import annotations

import re
from typing import Final

from ml_secrets.errors import Invalid

MOST: Final = 9_223_372_036
"""The longest duration in seconds (292 years): what the peers' 64-bit nanoseconds hold."""

_SECOND: Final = 1_000_000_000
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek mu
    "ms": 1_000_000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}
_BARE: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_DAYS: Final = re.compile(r"([0-9]{1,8})d", re.ASCII)
_PART: Final = re.compile(r"([0-9]{1,12})?(?:\.([0-9]{0,18}))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_LONGEST_TEXT: Final = 64


def parse_duration(value: object) -> int:
    """Whole seconds. Raises `Invalid`, which never shows the value."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _malformed()
    seconds = value if isinstance(value, int) else _parse_text(value)
    if seconds < 0:
        raise Invalid("a duration must not be negative")
    if seconds > MOST:
        raise Invalid("the duration is too long", hint=f"the longest is {MOST} seconds")
    return seconds


def go_text(seconds: int) -> str:
    """12319 -> "3h25m19s", 0 -> "0s": as Go prints a duration."""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{sign}{hours}h{minutes}m{rest}s"
    return f"{sign}{minutes}m{rest}s" if minutes else f"{sign}{rest}s"


def _parse_text(text: str) -> int:
    if not text:
        return 0
    if _BARE.fullmatch(text):
        return int(text)
    days = _DAYS.fullmatch(text)
    if days:
        return int(days[1]) * 86_400
    if len(text) > _LONGEST_TEXT:
        raise _malformed()
    seconds, rest = divmod(_nanoseconds(text), _SECOND)
    if rest and not seconds:
        raise Invalid("a duration must be at least one second")
    return seconds


def _nanoseconds(text: str) -> int:
    total, at = 0, 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or not (part[1] or part[2]):
            raise _malformed()
        unit = _UNITS[part[3]]
        fraction = part[2] or "0"
        total += int(part[1] or 0) * unit + int(fraction) * unit // 10 ** len(fraction)
        at = part.end()
    return total


def _malformed() -> Invalid:
    return Invalid(
        "not a duration", hint='a whole number of seconds, or a text such as "90s", "1h30m" or "2d"'
    )
