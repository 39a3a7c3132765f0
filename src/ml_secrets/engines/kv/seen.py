"""Whose names are shown to whom, where lists are filtered: yours are those that you may do something with.

A mount whose `filtered_lists` is on can give everybody `list` and `scan` on all of it; each sees their own names in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ml_secrets.domain.capability import Capability
from ml_secrets.engines.kv.pages import Walk
from ml_secrets.engines.kv.rights import Rights

if TYPE_CHECKING:
    from ml_secrets.contract import Context

_USES: Final = frozenset(
    {Capability.CREATE, Capability.READ, Capability.UPDATE, Capability.PATCH, Capability.DELETE}
)
_PARTS: Final = ("data/", "metadata/")
_LOOKS: Final = 1000
"""Into a folder, to find out whether there is anything of the caller's in it."""


class Seen:
    """What the caller may do something with, on this mount. Names are without data/."""

    def __init__(self, ctx: Context, rights: Rights) -> None:
        self._store = ctx.store
        self._mount = ctx.mount.path
        self._rights = rights

    def secret(self, name: str) -> bool:
        """There is a right on the secret of that name, or on its metadata, beside those to list."""
        return any(self._rights.any(f"{self._mount}{part}{name}", _USES) for part in _PARTS)

    def could(self, folder: str) -> bool:
        """Some rule speaks of names below the folder, which ends in "/"."""
        return any(self._rights.reaches(f"{self._mount}{part}{folder}", _USES) for part in _PARTS)

    def folder(self, top: str, folder: str, around: Walk) -> bool:
        """There is something of the caller's below the folder. One where none shows early is not shown; its names can still be asked for."""
        if not self.could(folder):
            return False
        walk = Walk(
            self._store, f"{top}{folder}", enter=lambda inner: self.could(folder + inner), looks=_LOOKS
        )
        found = any(self.secret(folder + name) for name in walk.names())
        around.charge(_LOOKS - walk.looks)
        return found
