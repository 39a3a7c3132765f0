"""Shamir's seal: a key of 32 bytes in shares, any `threshold` of which give it back (Vault's share format).

A single share is the key itself. Shares travel as hex or base64 text.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from ml_secrets.barrier.seals.locks import KEY_SIZE
from ml_secrets.crypto import shamir
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MOST_SHARES: Final = 255
_SHORTEST: Final = 16
_LONGEST: Final = KEY_SIZE + 1
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)


def check_counts(shares: int, threshold: int, *, prefix: str = "invalid seal configuration") -> None:
    """Raise `Invalid` unless `threshold` of `shares` makes sense."""
    problem = _problem(shares, threshold)
    if problem:
        raise Invalid(
            f"{prefix}: {problem}", hint="for instance 5 shares with a threshold of 3, or one single share"
        )


def _problem(shares: int, threshold: int) -> str:
    if shares < 1:
        return "shares must be at least one"
    if threshold < 1:
        return "threshold must be at least one"
    if shares > _MOST_SHARES:
        return "shares must be less than 256"
    if threshold > shares:
        return "threshold cannot be larger than shares"
    if shares > 1 and threshold == 1:
        return "threshold must be greater than one for multiple shares"
    return ""


def split(key: bytes, shares: int, threshold: int, random: Callable[[int], bytes]) -> list[bytes]:
    """The key in shares."""
    return [key] if shares == 1 else shamir.split(key, shares, threshold, random)


def join(parts: Iterable[bytes]) -> bytes:
    """The key from shares. Raises `Invalid` when they cannot belong together; whether they do, the lock tells."""
    parts = list(parts)
    size = KEY_SIZE if len(parts) == 1 else KEY_SIZE + 1
    if any(len(part) != size for part in parts):
        raise Invalid(
            "invalid key: the shares do not belong together", hint="give shares of one and the same set"
        )
    return parts[0] if len(parts) == 1 else shamir.combine(parts)


def read_share(text: str) -> bytes:
    """A share from its hex or base64 text."""
    share = _decode(text.strip())
    if len(share) < _SHORTEST:
        raise Invalid(
            f"invalid key: key is shorter than minimum {_SHORTEST} bytes", hint="copy the whole share"
        )
    if len(share) > _LONGEST:
        raise Invalid(
            f"invalid key: key is longer than maximum {_LONGEST} bytes", hint="give one share at a time"
        )
    return share


def _decode(text: str) -> bytes:
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Invalid("'key' must be a valid hex or base64 string", hint="copy the whole share") from None
