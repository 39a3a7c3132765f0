"""What a rule's pattern matches, and which of two matching patterns wins.

`*` is a wildcard only as the last character; `+` only as a whole segment. Everywhere else both are plain characters,
as they are in a request path. An exact pattern beats all others; among the rest the winner has, in this order:
its first wildcard further right, no `*` at its end, fewer `+`, more characters, the later place in the alphabet.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_TEMPLATE: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_SEGMENT_WITH_TEMPLATE: Final = re.compile(r"[^/]*\0[^/]*")


class Pattern(NamedTuple):
    """A compiled pattern. `parts` are the segments of `literal`, the text without its closing `*`.

    segmented: has `+` (or a segment that begins with one, which the peers rank alike).
    """

    text: str
    literal: str
    glob: bool
    segmented: bool
    parts: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Matches one path only."""
        return not self.glob and not self.segmented

    @property
    def rank(self) -> tuple[int, bool, int, int, str]:
        """The greater wins. For patterns that are not exact."""
        first = self.text.index("+") if self.segmented else len(self.literal)
        return first, not self.glob, -self.parts.count("+"), len(self.literal), self.literal

    def fits(self, parts: list[str]) -> bool:
        """The path with these segments matches. For segmented patterns; `+` takes an empty segment, too."""
        mine = self.parts
        if len(parts) < len(mine) if self.glob else len(parts) != len(mine):
            return False
        last = len(mine) - 1
        for at, part in enumerate(mine):
            if part not in ("+", parts[at]) and not (self.glob and at == last and parts[at].startswith(part)):
                return False
        return True

    def matches(self, path: str) -> bool:
        """A plain reading of the rules above, for any kind of pattern."""
        if self.segmented:
            return self.fits(path.split("/"))
        return path.startswith(self.literal) if self.glob else path == self.literal

    def reaches(self, folder: str) -> bool:
        """Something at or below `folder` (which ends in "/") could match."""
        if not self.segmented:
            at_or_below = self.literal.startswith(folder) or self.literal + "/" == folder
            return at_or_below or (self.glob and folder.startswith(self.literal))
        theirs = folder[:-1].split("/")
        for at, part in enumerate(self.parts[: len(theirs)]):
            at_end = self.glob and at == len(self.parts) - 1
            if part not in ("+", theirs[at]) and not (at_end and theirs[at].startswith(part)):
                return False
        return self.glob or len(self.parts) >= len(theirs)

    def covers(self, other: Pattern) -> bool:
        """Every path that `other` matches, this one matches, too. May say False where it is hard to tell."""
        if other.exact:
            return self.matches(other.literal)
        if other.glob and not self.glob:
            return False
        if not self.segmented:
            head = other.text.split("+", 1)[0] if other.segmented else other.literal
            return self.glob and head.startswith(self.literal)
        return self._covers_parts(other)

    def _covers_parts(self, other: Pattern) -> bool:
        if not other.segmented or len(other.parts) < len(self.parts):
            return False
        if not self.glob and len(other.parts) != len(self.parts):
            return False
        last = len(self.parts) - 1
        for at, part in enumerate(self.parts):
            theirs = other.parts[at]
            if self.glob and at == last:
                return part == "" or (theirs != "+" and theirs.startswith(part))
            if part not in ("+", theirs):
                return False
        return True


def compile_pattern(text: str) -> Pattern:
    """Read a pattern."""
    segmented = text == "+" or text.startswith("+/") or "/+" in text
    glob = text.endswith("*")
    literal = text[:-1] if glob else text
    return Pattern(text, literal, glob, segmented, tuple(literal.split("/")))


def widened(text: str) -> Pattern:
    """A pattern whose templates stand for anything: each segment with a `{{...}}` in it becomes `+`.

    It matches at least what the pattern would match once filled in, because no template brings a slash with it.
    """
    marked = _TEMPLATE.sub("\0", text)
    glob = marked.endswith("*")
    body = _SEGMENT_WITH_TEMPLATE.sub("+", marked[:-1] if glob else marked)
    if glob and body.endswith("+"):
        # "x/{{name}}*" reaches below its segment once filled in: everything under "x/"
        return compile_pattern(body[:-1] + "*")
    return compile_pattern(body + "*" if glob else body)
