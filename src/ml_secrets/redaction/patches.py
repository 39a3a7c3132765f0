"""Guards stand in functions of others: put on, taken off, and never twice.

Once taken off, a function that somebody wrapped meanwhile stays where it is and does nothing of its own.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Patches:
    """The functions that one guard stands in."""

    def __init__(self) -> None:
        self.on = True
        self._undo: list[Callable[[], None]] = []

    def around(self, owner: Any, name: str, replacement: Callable[..., Any]) -> None:
        """Have `owner.name(…)` call `replacement(original, …)`."""
        there = vars(owner).get(name)
        kind = type(there) if isinstance(there, staticmethod | classmethod) else None
        original = there.__func__ if isinstance(there, staticmethod | classmethod) else getattr(owner, name)

        @functools.wraps(original)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            return replacement(original, *args, **kwargs) if self.on else original(*args, **kwargs)

        placed = guarded if kind is None else kind(guarded)
        setattr(owner, name, placed)
        self._undo.append(lambda: _restore(owner, name, placed, there))

    def swap(self, owner: Any, name: str, new: Any) -> None:
        """Have this attribute be another; take it back later if it still is."""
        old = getattr(owner, name)
        setattr(owner, name, new)
        self._undo.append(lambda: setattr(owner, name, old) if getattr(owner, name) is new else None)

    def take_off(self) -> None:
        """All is as it was."""
        self.on = False
        while self._undo:
            self._undo.pop()()


def _restore(owner: Any, name: str, placed: Any, there: Any) -> None:
    if vars(owner).get(name) is not placed:
        return
    if there is None:
        delattr(owner, name)
    else:
        setattr(owner, name, there)
