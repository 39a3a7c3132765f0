"""A fixed set of forms: where they stand in some bytes, and from which byte on one may still be under way.

Forms are kept sorted, each with the longest other form that it begins with. One binary search then gives the longest form at a place, and
the chain the shorter ones: time does not grow with the number of forms that begin alike.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from ml_secrets.detect.finders import HEAD, Unlisted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml_secrets.detect.finders import Maker


class Span(NamedTuple):
    """Bytes `start` to `end` are a form of the values with these names."""

    start: int
    end: int
    names: frozenset[str]


class Table(Unlisted):
    """Forms and the names of their values, ready to be searched."""

    __slots__ = ("_edge", "_finder", "_longest", "_parents", "_sorted", "forms")

    def __init__(self, forms: Mapping[bytes, frozenset[str]], make: Maker) -> None:
        self.forms = forms
        self._sorted = sorted(forms)
        self._parents = _parents(self._sorted)
        self._longest = max(map(len, self._sorted))
        heads = {form[:HEAD] for form in self._sorted}
        self._edge = frozenset(b"".join(heads))
        self._finder = make(sorted(heads))

    def search(self, data: bytes) -> tuple[list[Span], int]:
        """All forms in the data, and where the first begins that the data may have cut off (its length, if none does)."""
        spans: list[Span] = []
        under_way = len(data)
        for start in sorted(set(self._finder.starts(data))):
            spans.extend(self._at(data, start))
            if under_way == len(data) and self._unfinished(data, start):
                under_way = start
        return spans, min(under_way, self._at_the_edge(data))

    def telling(self, beginning: bytes) -> bool:
        """Does a form go on after this, and is this half of it, or as long as a head?"""
        return any(
            len(beginning) >= HEAD or 2 * len(beginning) >= len(form) for form in self._continuing(beginning)
        )

    def _continuing(self, beginning: bytes) -> Iterator[bytes]:
        place = bisect_right(self._sorted, beginning)
        while place < len(self._sorted) and self._sorted[place].startswith(beginning):
            yield self._sorted[place]
            place += 1

    def _at(self, data: bytes, start: int) -> Iterator[Span]:
        rest = data[start : start + self._longest]
        place = bisect_right(self._sorted, rest) - 1
        while place >= 0:
            form = self._sorted[place]
            if rest.startswith(form):
                yield Span(start, start + len(form), self.forms[form])
            place = self._parents[place]

    def _unfinished(self, data: bytes, start: int) -> bool:
        return len(data) - start < self._longest and any(self._continuing(data[start:]))

    def _at_the_edge(self, data: bytes) -> int:
        """The same for places so near to the end that not even a head has room."""
        if not data or data[-1] not in self._edge:
            return len(data)
        for start in range(max(0, len(data) - HEAD + 1), len(data)):
            if any(self._continuing(data[start:])):
                return start
        return len(data)


def _parents(forms: list[bytes]) -> list[int]:
    """For each of the sorted forms the place of the longest other one that it begins with, or -1."""
    parents: list[int] = []
    chain: list[int] = []
    for place, form in enumerate(forms):
        while chain and not form.startswith(forms[chain[-1]]):
            chain.pop()
        parents.append(chain[-1] if chain else -1)
        chain.append(place)
    return parents
