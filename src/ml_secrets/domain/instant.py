"""Moments as texts: as the wire writes them, and as names of rows that lie in the order of time."""

from __future__ import annotations

import time
from typing import Final

_LAST: Final = 10**15 - 1


def rfc3339(seconds: float) -> str:
    """1700000000.5 -> "2023-11-14T22:13:20.5Z". Trailing zeros of the fraction are left out, as Go does."""
    whole = int(seconds // 1)
    nanoseconds = round((seconds - whole) * 1e9)
    if nanoseconds == 1_000_000_000:  # a fraction so close below one that it rounds up
        whole, nanoseconds = whole + 1, 0
    fraction = f"{nanoseconds:09d}".rstrip("0")
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{stamp}.{fraction}Z" if fraction else f"{stamp}Z"


def ordered(seconds: float, *, newest_first: bool = False) -> str:
    """15 digits whose order is that of time, to the millisecond."""
    milliseconds = min(_LAST, max(0, int(seconds * 1000)))
    return f"{_LAST - milliseconds if newest_first else milliseconds:015d}"
