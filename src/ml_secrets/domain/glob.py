"""A filter on names: `*` stands for any run of characters, slashes too; everything else stands for itself.

One wildcard and no backtracking, so that no filter makes matching slow: the pieces between the stars are looked for one
after another, each as early as it comes.
"""

from __future__ import annotations

from typing import Final

from ml_secrets.errors import Invalid

_LONGEST: Final = 512


class Glob:
    """A compiled filter. `prefix` is what every name that fits begins with."""

    __slots__ = ("_inner", "_last", "prefix")

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise Invalid(f"the filter is too long: at most {_LONGEST} characters")
        first, *rest = text.split("*")
        self.prefix = first
        self._last = rest.pop() if rest else None
        self._inner = [piece for piece in rest if piece]

    def matches(self, name: str) -> bool:
        """The whole name fits."""
        if self._last is None:
            return name == self.prefix
        end = len(name) - len(self._last)
        at = len(self.prefix)
        if at > end or not name.startswith(self.prefix) or not name.endswith(self._last):
            return False
        for piece in self._inner:
            found = name.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    def reaches(self, folder: str) -> bool:
        """Some name below `folder` (which ends in "/") could fit."""
        return folder.startswith(self.prefix) or self.prefix.startswith(folder)
