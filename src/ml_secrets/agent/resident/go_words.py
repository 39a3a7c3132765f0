"""An action of a Go template, word by word."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_WORD: Final = re.compile(
    r"""\s*("(?:[^"\\\n]|\\.)*" | `[^`]*` | :=  | \$?[A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)+ | \$[A-Za-z0-9_]* | -?[0-9]+ | [A-Za-z_][A-Za-z0-9_]* | [().|,=])""",
    re.VERBOSE | re.ASCII,
)


class Words:
    """The words that are left. `refused` makes an error of what is not understood."""

    def __init__(self, text: str, refused: Callable[[str], Exception]) -> None:
        self._refused = refused
        self._left: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            found = _WORD.match(text, at)
            if found is None:
                raise refused("what stands there")
            self._left.append(found[1])
            at = found.end()

    @property
    def peek(self) -> str:
        """The next one; "" at the end."""
        return self._left[0] if self._left else ""

    def take(self) -> str:
        """The next one, taken."""
        if not self._left:
            raise self._refused("an action that ends too early")
        return self._left.pop(0)

    def expect(self, word: str) -> None:
        """This one has to be next."""
        if self.take() != word:
            raise self._refused(f"an action without {word}")

    @property
    def assigned(self) -> str | None:
        """The variable in `$name := …`, taken; None where it is no such thing."""
        if self._left[1:2] == [":="] and self.peek.startswith("$"):
            name = self.take()
            self.take()
            return name
        return None

    @property
    def ranged(self) -> list[str]:
        """The variables of a range, taken."""
        if self._left[1:2] == [","] and self._left[3:4] == [":="]:
            names = [self._left[0], self._left[2]]
            del self._left[:4]
            return names
        name = self.assigned
        return [] if name is None else [name]

    def finish(self) -> None:
        """Nothing may be left."""
        if self._left:
            raise self._refused(f"{self._left[0]} at that place")
