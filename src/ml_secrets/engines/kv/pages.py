"""A list in pages, of bounded work, from which names are left out: by a filter, by depth, by what the caller may see.

A page ends when it is full, or when its walk has looked at enough; `next` is the sealed cursor from where it goes on.
So a page may be short, even empty, with more to come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.contract import Response
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ml_secrets.contract import Context, Transaction

MOST: Final = 10_000
"""Names on a page."""
MOST_LOOKS: Final = 10_000
"""What one request's walk may cost: a name looked at costs 1, a row read more."""
ROW: Final = 10
_AT_ONCE: Final = 250


class Walk:
    """Goes through all names below `top` ("" or ending in "/") in byte order, until `looks` are used up.

    enter(folder): whether to go into a folder, named from `top` on. depth: how many levels to show; 0 is all. A folder
    at the last level is shown itself, ending in "/".
    """

    def __init__(
        self,
        store: Transaction,
        top: str,
        *,
        enter: Callable[[str], bool],
        depth: int = 0,
        looks: int = MOST_LOOKS,
    ) -> None:
        self._store = store
        self._top = top
        self._enter = enter
        self._depth = depth
        self.looks = looks
        self.last = ""
        self.spent = False

    def charge(self, cost: int) -> None:
        """More work was done for the name at hand."""
        self.looks -= cost

    def names(self, after: str = "") -> Iterator[str]:
        """Names after `after`. Once it ends, `spent` tells whether there was more, and `last` from where to go on."""
        self.last = after
        yield from self._within("", after, 1)

    def _within(self, folder: str, after: str, level: int) -> Iterator[str]:
        first, slash, rest = after.partition("/")
        if slash and not self._shows(level) and self._enter(f"{folder}{first}/"):
            yield from self._within(f"{folder}{first}/", rest, level + 1)
        last = first + slash
        while not self.spent:
            names = self._store.list(self._top + folder, after=last, limit=_AT_ONCE)
            for name in names:
                if not self._look(folder + name):
                    return
                if not name.endswith("/") or self._shows(level):
                    yield folder + name
                elif self._enter(folder + name):
                    yield from self._within(folder + name, "", level + 1)
            if len(names) < _AT_ONCE:
                return
            last = names[-1]

    def _shows(self, level: int) -> bool:
        return self._depth > 0 and level >= self._depth

    def _look(self, name: str) -> bool:
        if self.spent or self.looks <= 0:
            self.spent = True
            return False
        self.looks -= 1
        self.last = name
        return True


class Page(msgspec.Struct):
    """Names, and the place where the next page begins; None where this one is the last."""

    names: list[str]
    place: str | None


def fill(walk: Walk, after: str, wanted: Callable[[str], bool], limit: int, *, end: str = "") -> Page:
    """The first names of a walk that are wanted, up to `end` if there is one."""
    found: list[str] = []
    for name in walk.names(after):
        if end and name > end:
            return Page(found, None)
        if wanted(name):
            if len(found) == limit:
                return Page(found, found[-1])
            found.append(name)
    return Page(found, walk.last if walk.spent else None)


def begin(ctx: Context, purpose: str, after: str, cursor: str) -> str:
    """After which name a page begins."""
    if after and cursor:
        raise Invalid("after and cursor exclude each other", hint="go on with the cursor alone")
    return ctx.access.cursors.open(_bound(ctx, purpose), cursor) if cursor else after


def size(limit: int) -> int:
    """Names on a page. 0 and less mean as many as there may be."""
    return min(limit, MOST) if limit > 0 else MOST


def answer(ctx: Context, purpose: str, page: Page, info: dict[str, Any] | None = None) -> Response | None:
    """The page on the wire; nothing at all (a 404) where nothing was found and no more is to come."""
    if not page.names and page.place is None and "cursor" not in ctx.request.fields:
        return None
    data: dict[str, Any] = {"keys": page.names}
    if info is not None:
        data["key_info"] = info
    if page.place is None:
        return Response(data)
    data["next"] = ctx.access.cursors.seal(_bound(ctx, purpose), page.place)
    return Response(data, warnings=["There is more: ask again with the same fields and cursor set to next."])


def _bound(ctx: Context, purpose: str) -> str:
    return f"{ctx.mount.uuid}/{purpose}"
