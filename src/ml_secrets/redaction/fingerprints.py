"""`Fingerprints`: known values, found in text in all their encodings by one who does not keep them.

Of each form of a value (detect/encodings.py) these are kept, under keys of this process:

    a digest         BLAKE2b of the whole form: what is found is compared by it alone
    a few words      of its first bytes, and one of its last, each byte turned into one of a few classes, so that many texts have the same words

Text is turned into classes too, and is looked at in every few bytes only: a form, wherever it lies, has a whole
word at a multiple of the stride. So the time grows with the text, more than with the number of values. A word that fits is a candidate,
and its digest decides.

Who reads this process's memory can still try guesses against the digests: a guessable value stays guessable. What is kept is nothing that could be
printed, pickled or found by searching a core file.
"""

from __future__ import annotations

import os
import sys
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.detect.rule import forms_by_rule
from ml_secrets.detect.table import Span
from ml_secrets.sensitive import Masked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BLOCK: Final = 1 << 16  # a multiple of every stride
_BITS: Final = 20
_ODD: Final = 0x9E3779B97F4A7C15  # spreads neighbouring words over the table; no secret


class Fingerprints(Masked):
    """Values to find, by name. Threads may add while others search; a forked child goes on with what there is."""

    __slots__ = ("_digests", "_grids", "_key", "_values")

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._digests: dict[bytes, frozenset[str]] = {}
        self._values: set[bytes] = set()
        self._grids = (_Grid(8, 8, classes=8), _Grid(4, 4, classes=16), _Grid(4, 1, classes=16))

    def add(self, value: bytes, name: str) -> None:
        """One more value, by the rule of detect/rule.py for short ones."""
        digest = self._digest(value)
        if digest in self._values and name in self._digests.get(digest, ()):
            return
        for form in forms_by_rule(value):
            self._take(form, name)
        self._values.add(digest)

    def search(self, data: bytes) -> tuple[list[Span], int]:
        """Every form in the data, in order; and from which byte on one may be under way that the data's end has cut off."""
        spans: list[Span] = []
        under_way = len(data)
        for grid in self._grids:
            under_way = min(under_way, grid.blind_from(data))
            for start, end in grid.candidates(data):
                if end > len(data):
                    under_way = min(under_way, start)
                elif names := self._digests.get(self._digest(data[start:end])):
                    spans.append(Span(start, end, names))
        return sorted(spans), under_way

    def telling(self, beginning: bytes) -> bool:  # noqa: ARG002 - what a mask asks
        """Never: a fingerprint tells of a whole form only, and text is not masked on a suspicion."""
        return False

    def __len__(self) -> int:
        return len(self._values)

    def _take(self, form: bytes, name: str) -> None:
        digest = self._digest(form)
        self._digests[digest] = self._digests.get(digest, frozenset()) | {name}
        next(grid for grid in self._grids if len(form) >= grid.least).add(form)

    def _digest(self, form: bytes) -> bytes:
        return blake2b(form, digest_size=16, key=self._key).digest()


class _Grid:
    """Where forms of at least `width + stride - 1` bytes may begin. Words that fit by chance cost a digest, and no more."""

    __slots__ = ("_classes", "_lengths", "_stride", "_table", "_tails", "_width", "_words", "least")

    def __init__(self, width: int, stride: int, *, classes: int) -> None:
        self._width, self._stride = width, stride
        self.least = width + stride - 1
        self._classes = _classes(classes)
        self._words: set[bytes] = set()
        self._table: tuple[int, Any] | None = None  # of numpy, where the program has it: for long texts
        self._lengths: dict[bytes, frozenset[int]] = {}
        self._tails: set[tuple[int, bytes]] = set()

    def add(self, form: bytes) -> None:
        text, width = form.translate(self._classes), self._width
        head = text[:width]
        self._tails.add((len(text), text[-width:]))
        self._lengths[head] = self._lengths.get(head, frozenset()) | {len(text)}
        self._words.update(
            text[at : at + width] for at in range(self._stride)
        )  # last: from now on it is found

    def candidates(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Places (start, end) at which head and tail fit, or head alone where the data ends before."""
        if not self._words:
            return
        text, width = data.translate(self._classes), self._width
        for at in self._places(text):
            for start in range(at, max(-1, at - self._stride), -1):
                for length in self._lengths.get(text[start : start + width], ()):
                    end = start + length
                    if end > len(text) or (length, text[end - width : end]) in self._tails:
                        yield start, end

    def blind_from(self, data: bytes) -> int:
        """A form that begins here or later is too little to see, if there is one."""
        return max(0, len(data) - self.least + 1) if self._words else len(data)

    def _places(self, text: bytes) -> Iterator[int]:
        """Where a word stands that fits, at multiples of the stride."""
        numpy = sys.modules.get("numpy") if len(text) > _BLOCK else None
        width = self._width
        for begin in range(0, len(text), _BLOCK):
            if numpy is not None:
                places: Iterable[int] = self._likely(numpy, text, begin)
            else:
                places = range(begin, min(begin + _BLOCK, len(text) - width + 1), self._stride)
            words = [text[at : at + width] for at in places]
            if not self._words.isdisjoint(words):
                yield from (at for at, word in zip(places, words, strict=True) if word in self._words)

    def _likely(self, numpy: Any, text: bytes, begin: int) -> list[int]:
        """The same places of one block, and some more: words are looked up by their product with an odd number, all at once."""
        if self._table is None or self._table[0] != len(self._words):
            words = tuple(self._words)
            table = numpy.zeros(1 << _BITS, dtype=bool)
            table[self._products(numpy, b"".join(words), 0, len(words))] = True
            self._table = (len(words), table)
        likely: list[int] = []
        for shift in range(0, self._width, self._stride):
            count = min(_BLOCK, len(text) - begin - shift) // self._width
            if count > 0:
                fits = self._table[1][self._products(numpy, text, begin + shift, count)]
                likely += [begin + shift + int(at) * self._width for at in numpy.flatnonzero(fits)]
        return likely

    def _products(self, numpy: Any, text: bytes, begin: int, count: int) -> Any:
        kind = numpy.uint64 if self._width == 8 else numpy.uint32
        words = numpy.frombuffer(text, dtype=kind, count=count, offset=begin).astype(numpy.uint64)
        return (words * numpy.uint64(_ODD)) >> numpy.uint64(64 - _BITS)


def _classes(count: int) -> bytes:
    """A table that sends each byte to one of so many classes, by chance, and to each class as many."""
    noise = os.urandom(4 * 256)
    order = sorted(range(256), key=lambda byte: noise[4 * byte : 4 * byte + 4])
    return bytes(order.index(byte) % count for byte in range(256))


def merged(spans: list[Span]) -> list[Span]:
    """Places that overlap or touch are one place."""
    places: list[Span] = []
    for span in spans:
        if places and span.start <= places[-1].end:
            last = places.pop()
            span = Span(last.start, max(last.end, span.end), last.names | span.names)  # noqa: PLW2901
        places.append(span)
    return places
