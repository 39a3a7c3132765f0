"""What a transaction changed, told once it is durable: never before, and never when it rolled back.

A change names what was changed, never what it holds. Who listens is called by the thread that committed, while other
writers wait: listeners hand on and return.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.registry.unit import Unit

    Topic = tuple[str, str]


class Change(msgspec.Struct, frozen=True):
    """One change. topic: UUID of the mount and the secret's name in it. kind: what was done ("write", "delete", …)."""

    topic: Topic
    kind: str
    now: float


class Changes:
    """Where engines tell what they changed, and where others hear of it."""

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[Change], None], ...] = ()

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` with every change from now on. Returns what ends that."""
        self._listeners = (*self._listeners, listener)

        def end() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not listener)

        return end

    def tell(self, unit: Unit, mount: str, path: str, kind: str) -> None:
        """This unit changes a secret of the mount with that UUID."""
        change = Change((mount, path), kind, unit.now)
        unit.after_commit(lambda: self._publish(change))

    def _publish(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)
