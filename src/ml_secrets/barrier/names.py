"""The names that people chose, in the byte order of their UTF-8: one B+tree of sealed pages for the whole store.

Rows lie under HMACs of their names, which have no order; this tree has it. Folders are not entries of their own: a
name "a/b" makes the folder "a/" appear, and the last name below "a/" takes it along.

- A page holds up to 64 keys. A leaf's keys are names; the key of a child is a lower bound of the names below it.
- Adding or removing a name touches the pages on one way from the root, mostly only the leaf; the root keeps its id.
- A page goes when it is empty; half-empty ones are not joined. So every leaf a listing visits has something to tell.
- Pages are values: they are replaced, never changed, so that readers may share decoded ones.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from ml_secrets.errors import TamperFault

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = "0" * 32
MOST: Final = 64


class Page(msgspec.Struct, frozen=True, array_like=True):
    """`children` are page ids, one for each key; a leaf has none."""

    keys: list[bytes]
    children: list[str] = []


class Readable(Protocol):
    """Where pages are read."""

    def load(self, page_id: str) -> Page | None:
        """A page."""


class Pages(Readable, Protocol):
    """Where pages are kept."""

    def save(self, page_id: str, page: Page) -> None:
        """Create or replace a page."""

    def drop(self, page_id: str) -> None:
        """Remove a page."""

    def new_id(self) -> str:
        """An id that was never used."""


class Names:
    """The tree over `pages`, to read."""

    __slots__ = ("_pages",)

    def __init__(self, pages: Readable) -> None:
        self._pages = pages

    def below(self, prefix: str, *, after: str = "", limit: int = -1) -> list[str]:
        """Names directly below `prefix`; see `Transaction.list`."""
        start, found = prefix.encode(), list[str]()
        keys, at, bound = self._seek(_past(start, after.encode()))
        while limit < 0 or len(found) < limit:
            if at == len(keys):
                if bound is None:
                    break
                keys, at, bound = self._seek(bound)
                continue
            if not keys[at].startswith(start):
                break
            name, slash, _ = keys[at][len(start) :].partition(b"/")
            found.append((name + slash).decode())
            at += 1
            if slash:
                target = _past(start, name + slash)
                at = bisect_left(keys, target, at)
                if at == len(keys) and bound is not None:
                    keys, at, bound = self._seek(target)
        return found

    def has(self, name: str) -> bool:
        """Whether that name is there."""
        key = name.encode()
        keys, at, _ = self._seek(key)
        return at < len(keys) and keys[at] == key

    def scan(self, after: str = "") -> Iterator[str]:
        """All names after that one, in order."""
        keys, at, bound = self._seek(_past(b"", after.encode()) if after else b"")
        while True:
            for key in keys[at:]:
                yield key.decode()
            if bound is None:
                return
            keys, at, bound = self._seek(bound)

    def _seek(self, key: bytes) -> tuple[list[bytes], int, bytes | None]:
        """The keys of the leaf where `key` belongs, the place of the first one >= `key`, and where the next leaf begins."""
        page, bound = self._pages.load(ROOT) or Page([]), None
        while page.children:
            at = _child(page, key)
            if at + 1 < len(page.keys):
                bound = page.keys[at + 1]
            page = self._load(page.children[at])
        return page.keys, bisect_left(page.keys, key), bound

    def _load(self, page_id: str) -> Page:
        page = self._pages.load(page_id)
        if page is None:
            raise TamperFault(
                "a page of names is missing", hint="verify the store, and restore a backup if it is damaged"
            )
        return page


class GrowingNames(Names):
    """The tree over `pages`, to change."""

    __slots__ = ()

    _pages: Pages

    def __init__(self, pages: Pages) -> None:
        super().__init__(pages)

    def add(self, name: str) -> None:
        """Put a name in; nothing happens if it is there."""
        key = name.encode()
        page, way = self._descend(key)
        keys = page.keys.copy()
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            return
        keys.insert(at, key)
        self._store(way, Page(keys), appended=at == len(keys) - 1)

    def remove(self, name: str) -> None:
        """Take a name out; nothing happens if it is not there."""
        key = name.encode()
        page, way = self._descend(key)
        at = bisect_left(page.keys, key)
        if at == len(page.keys) or page.keys[at] != key:
            return
        keys = page.keys[:at] + page.keys[at + 1 :]
        if keys:
            self._pages.save(way[-1][0], Page(keys))
        else:
            self._cut(way)

    def _descend(self, key: bytes) -> tuple[Page, list[tuple[str, Page, int]]]:
        """The leaf where `key` belongs, and the way there: (id, page, index of the child taken); last the leaf itself."""
        page_id, page = ROOT, self._pages.load(ROOT) or Page([])
        way = []
        while page.children:
            at = _child(page, key)
            way.append((page_id, page, at))
            page_id = page.children[at]
            page = self._load(page_id)
        way.append((page_id, page, 0))
        return page, way

    def _store(self, way: list[tuple[str, Page, int]], page: Page, *, appended: bool) -> None:
        """Save the changed page at the end of `way`; split it, and those above, as far as they are too full."""
        page_id = way[-1][0]
        if len(page.keys) <= MOST:
            self._pages.save(page_id, page)
            return
        left, right = _split(page, len(page.keys) - 1 if appended else len(page.keys) // 2)
        bound = right.keys[0] if page.children else _shortest_between(left.keys[-1], right.keys[0])
        right_id = self._pages.new_id()
        self._pages.save(right_id, right)
        if page_id == ROOT:
            left_id = self._pages.new_id()
            self._pages.save(left_id, left)
            self._pages.save(ROOT, Page([b"", bound], [left_id, right_id]))
            return
        self._pages.save(page_id, left)
        _, parent, at = way[-2]
        keys = [*parent.keys[: at + 1], bound, *parent.keys[at + 1 :]]
        children = [*parent.children[: at + 1], right_id, *parent.children[at + 1 :]]
        self._store(way[:-1], Page(keys, children), appended=at + 1 == len(keys) - 1)

    def _cut(self, way: list[tuple[str, Page, int]]) -> None:
        """Remove the page at the end of `way`, which has become empty, and those above that thereby do."""
        page_id = way[-1][0]
        self._pages.drop(page_id)
        if page_id == ROOT:
            return
        parent_id, parent, at = way[-2]
        keys, children = parent.keys.copy(), parent.children.copy()
        del children[at]
        del keys[at or min(1, len(keys) - 1)]  # the first bound stays: it is that of whichever child is first
        if not children:
            self._cut(way[:-1])
        elif parent_id == ROOT and len(children) == 1:
            self._lower_root(children[0])
        else:
            self._pages.save(parent_id, Page(keys, children))

    def _lower_root(self, only_child: str) -> None:
        """The root has one child left: that one becomes the root."""
        page = self._load(only_child)
        self._pages.drop(only_child)
        if len(page.children) == 1:
            self._lower_root(page.children[0])
        else:
            self._pages.save(ROOT, page)


def _child(page: Page, key: bytes) -> int:
    return max(0, bisect_right(page.keys, key) - 1)


def _split(page: Page, at: int) -> tuple[Page, Page]:
    return Page(page.keys[:at], page.children[:at]), Page(page.keys[at:], page.children[at:])


def _shortest_between(left: bytes, right: bytes) -> bytes:
    """The shortest beginning of `right` that is greater than `left`."""
    same = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), len(left))
    return right[: same + 1]


def _past(below: bytes, name: bytes) -> bytes:
    """The smallest key after `name` (and, for a folder, after all below it)."""
    if not name:
        return below
    return below + name[:-1] + b"0" if name.endswith(b"/") else below + name + b"\0"
