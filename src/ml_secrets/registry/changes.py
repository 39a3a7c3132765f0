"""What a transaction changed, told once it is durable: never before, and never when it rolled back.

A change names what was changed, never what it holds. Who listens is called by the thread that committed, while other
writers wait: listeners hand on and return. Who must miss nothing keeps a note of it in the unit that changes it
(`Changes.note`): it is there exactly when the change is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ml_secrets.domain.mount import Mount
    from ml_secrets.registry.unit import Unit

    Topic = tuple[str, str]

KINDS: Final = {
    "write": "There is a new version: a write, a patch, or a secret that was moved or copied here.",
    "delete": "Versions were deleted, and can be brought back.",
    "undelete": "Deleted versions were brought back.",
    "destroy": "Versions were destroyed for good.",
    "metadata": "Settings or custom metadata changed.",
    "remove": "The secret is gone with all its versions: removed, or moved away.",
    "restore": "A removed secret was brought back.",
    "due": "A date of the secret has come near: it expires soon, or is to be rotated soon.",
    "overdue": "The secret should have been rotated by now.",
    "expired": "What the secret holds has stopped being valid.",
}
"""What can happen to a secret."""


class Change(msgspec.Struct, frozen=True):
    """One change. topic: UUID of the mount and the secret's name in it. mount: the mount's path at that time.

    kind: one of `KINDS`. now: seconds since 1970. version, etag: what a read would give now; 0 and "" for nothing.
    """

    topic: Topic
    mount: str
    kind: str
    now: float
    version: int = 0
    etag: str = ""

    @property
    def path(self) -> str:
        """The secret's name in its mount."""
        return self.topic[1]


class Wanted(msgspec.Struct, frozen=True):
    """Which changes somebody wants to hear of. kinds: none is all. path: at or below it, mount included; "" is everywhere."""

    kinds: tuple[str, ...] = ()
    path: str = ""

    def fits(self, kind: str, mount: str, path: str) -> bool:
        """A change of that kind, of that secret of that mount, is one of them."""
        if self.kinds and kind not in self.kinds:
            return False
        return not self.path or f"{mount}{path}/".startswith(f"{self.path}/")


def wanted(kinds: Iterable[str], path: str) -> Wanted:
    """Read a filter; the kind "*" is all. Raises `Invalid` for a kind that there is not: nobody would ever hear of it."""
    chosen = tuple(sorted(set(kinds)))
    unknown = [kind for kind in chosen if kind not in KINDS and kind != "*"]
    if unknown:
        raise Invalid("unknown kind of change", hint=f"there are {', '.join(KINDS)}; * is all")
    return Wanted(() if "*" in chosen else chosen, path.strip("/"))


class Changes:
    """Where engines tell what they changed, and where others hear of it. `note` writes it down in the same unit."""

    def __init__(self, note: Callable[[Unit, Change], None] | None = None) -> None:
        self._listeners: tuple[Callable[[Change], None], ...] = ()
        self._note = note

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` with every change from now on. Returns what ends that."""
        self._listeners = (*self._listeners, listener)

        def end() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not listener)

        return end

    def tell(
        self, unit: Unit, mount: Mount, path: str, kind: str, *, version: int = 0, etag: str = ""
    ) -> None:
        """This unit changes a secret of that mount."""
        change = Change((mount.uuid, path), mount.path, kind, unit.now, version, etag)
        if self._note is not None:
            self._note(unit, change)
        unit.after_commit(lambda: self._publish(change))

    def _publish(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)
