"""Bounds of time that stay strict on a machine where other programs run too.

What else runs can only make a sound server slower, now and then; a server that waits where it should not is slow every
time. So a strict bound that holds in one of a few tries has held. Whatever else a try finds wrong is wrong at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Measured = TypeVar("Measured")


def holds_once(tries: int, measure: Callable[[], Measured], good: Callable[[Measured], bool]) -> Measured:
    """The first measurement that is good. Raises `AssertionError` with all of them when none of `tries` is."""
    found: list[Measured] = []
    while len(found) < tries:
        found.append(measure())
        if good(found[-1]):
            return found[-1]
    raise AssertionError(f"none of {tries} tries held: {found}")
