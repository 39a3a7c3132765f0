"""`Mask`: a stream of bytes with every known value replaced, however the stream is cut.

    mask = Mask(known)
    out.write(mask.feed(chunk))     # as often as something comes
    out.write(mask.flush())         # at the end, and whenever the stream was quiet for a moment

Rules.

1. Places where forms overlap or touch are one place and become one replacement. So the output does not depend on how the input was cut.
2. `feed` holds back only what may still become a value: from the first byte on at which the beginning of a form stands unfinished. That is
   never more than the longest form, a few kilobytes, and for most output nothing.
3. `flush` lets go of what is held. It is the caller's decision, for it knows when a prompt is waiting. If half of a form is held, or 16 bytes
   of one, these are masked all the same: a value that is printed slowly, or cut off by the end, does not come out.
4. What was let go is remembered: if it does become a value, the rest of it is masked.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol, overload

from ml_secrets.detect.finders import Unlisted
from ml_secrets.detect.table import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

REPLACEMENT: Final = b"[masked]"


class Known(Protocol):
    """What a mask asks: `KnownValues`, or another that knows values in another way."""

    def search(self, data: bytes) -> tuple[list[Span], int]:
        """Every form in the data, in order of its start; and where the first begins that the end of the data may have cut off."""

    def telling(self, beginning: bytes) -> bool:
        """Does this begin a form, and is it too long to be an accident?"""


class Mask(Unlisted):
    """Masks one stream; each stream has a mask of its own, and all may share what they know."""

    __slots__ = ("_by_name", "_done", "_held", "_inside", "_known", "_replacement", "found")

    def __init__(self, known: Known, replacement: bytes = REPLACEMENT) -> None:
        self.found = 0
        self._by_name: Counter[str] = Counter()
        self._known = known
        self._replacement = replacement
        self._held = b""
        self._done = 0  # so many of the bytes held are out already, masked or let go
        self._inside: set[str] | None = (
            None  # names found in the place that reaches up to `_done`, if one does
        )

    @property
    def found_by_name(self) -> Mapping[str, int]:
        """How many places were masked for each value's name."""
        return dict(self._by_name)

    def feed(self, data: bytes) -> bytes:
        """What may go out now that these bytes came."""
        self._held += data
        spans, under_way = self._known.search(self._held)
        return self._advance(spans, upto=under_way, keep=under_way)

    def flush(self) -> bytes:
        """Let go of what is held back."""
        spans, under_way = self._known.search(self._held)
        size = len(self._held)
        for start in range(under_way, size):
            if self._known.telling(self._held[start:]):
                spans = sorted([*spans, Span(start, size, frozenset())])
                break
        return self._advance(spans, upto=size, keep=under_way)

    def _advance(self, spans: list[Span], *, upto: int, keep: int) -> bytes:
        """Put out all before `upto` and any place that begins there; hold on to the bytes from `keep` on."""
        out: list[bytes] = []
        at = self._done
        for start, end, names in spans:
            if self._inside is None or start > at:
                if end <= at:
                    continue
                if start >= upto:
                    break
                out += (self._held[at : max(at, start)], self._replacement)
                self._inside = set()
                self.found += 1
            self._by_name.update(names - self._inside)
            self._inside |= names
            at = max(at, end)
        if at < upto:
            out.append(self._held[at:upto])
            at, self._inside = upto, None
        self._held, self._done = self._held[keep:], at - keep
        return b"".join(out)


@overload
def masked(data: str, known: Known, replacement: bytes = REPLACEMENT) -> str: ...
@overload
def masked(data: bytes, known: Known, replacement: bytes = REPLACEMENT) -> bytes: ...
def masked(data: str | bytes, known: Known, replacement: bytes = REPLACEMENT) -> str | bytes:
    """A whole text, or bytes, with every known value replaced."""
    mask = Mask(known, replacement)
    if isinstance(data, bytes):
        return mask.feed(data) + mask.flush()
    content = data.encode("utf-8", "surrogatepass")
    return _text(mask.feed(content) + mask.flush())


def _text(content: bytes) -> str:
    """A value that is no text may have been cut out of the middle of a character. The standard error would hold the rest."""
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return content.decode("utf-8", "replace")
