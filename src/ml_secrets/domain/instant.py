"""Moments as the wire writes them: RFC 3339 in UTC with nanoseconds."""

from __future__ import annotations

import time


def rfc3339(seconds: float) -> str:
    """1700000000.5 -> "2023-11-14T22:13:20.5Z". Trailing zeros of the fraction are left out, as Go does."""
    whole = int(seconds // 1)
    nanoseconds = round((seconds - whole) * 1e9)
    if nanoseconds == 1_000_000_000:  # a fraction so close below one that it rounds up
        whole, nanoseconds = whole + 1, 0
    fraction = f"{nanoseconds:09d}".rstrip("0")
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{stamp}.{fraction}Z" if fraction else f"{stamp}Z"
