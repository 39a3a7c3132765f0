"""Shamir's secret sharing over GF(256), in Vault's format: a share is one byte y for each byte of the secret, then x.

- Arithmetic without tables and without branches on secret bits: which bits are set shows neither in memory accesses
  nor in the path of the code (Python's integers themselves make no promise).
- Shares that cannot belong together are refused with one error. Whether they do, only a check of the secret can tell.
"""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Final

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MOST: Final = 255
_FIELD: Final = 0x11B


def split(secret: bytes, shares: int, threshold: int, random: Callable[[int], bytes]) -> list[bytes]:
    """`shares` shares, any `threshold` of which give the secret back and fewer tell nothing of it."""
    if not secret or not 2 <= threshold <= shares <= _MOST:
        raise Invalid(
            "a secret is split into 2 to 255 shares, with a threshold of at least 2 and at most all of them"
        )
    polynomials = [bytes([byte]) + random(threshold - 1) for byte in secret]
    return [
        bytes(_evaluate(polynomial, x) for polynomial in polynomials) + bytes([x])
        for x in _points(shares, random)
    ]


def combine(shares: Sequence[bytes]) -> bytes:
    """The secret. Raises `Invalid` for too few, repeated or unequal shares; foreign ones give a wrong secret."""
    points = [share[-1] for share in shares if len(share) > 1]
    if (
        len(shares) < 2
        or len(points) < len(shares)
        or len(set(points)) < len(points)
        or 0 in points
        or len({len(share) for share in shares}) > 1
    ):
        raise Invalid(
            "invalid key: the shares do not belong together",
            hint="give each share of one and the same set once",
        )
    weights = [_weight(x, points) for x in points]
    columns = zip(*(share[:-1] for share in shares), strict=True)
    return bytes(reduce(xor, map(_multiply, column, weights)) for column in columns)


def _points(shares: int, random: Callable[[int], bytes]) -> list[int]:
    """Distinct numbers from 1 to 255, shuffled. They are no secret."""
    ranks = random(4 * _MOST)
    return sorted(range(1, _MOST + 1), key=lambda x: ranks[4 * x - 4 : 4 * x])[:shares]


def _evaluate(polynomial: bytes, x: int) -> int:
    value = 0
    for coefficient in reversed(polynomial):
        value = _multiply(value, x) ^ coefficient
    return value


def _weight(x: int, points: Sequence[int]) -> int:
    """Lagrange's weight of the point x for the value at 0."""
    weight = 1
    for other in points:
        if other != x:
            weight = _multiply(weight, _multiply(other, _inverse(other ^ x)))
    return weight


def _inverse(a: int) -> int:
    """The 254th power, which is 1/a."""
    power, result = a, 1
    for _ in range(7):
        power = _multiply(power, power)
        result = _multiply(result, power)
    return result


def _multiply(a: int, b: int) -> int:
    product = 0
    for _ in range(8):
        product ^= -(b & 1) & a
        a = (a << 1) ^ (-(a >> 7) & _FIELD)
        b >>= 1
    return product
