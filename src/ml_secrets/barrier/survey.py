"""Going over every row: to verify the store, and to seal rows anew after a rotation.

Damage stops neither: what does not open is passed over, and with a page of names the rows that only it could name.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from ml_secrets.barrier.integrity import EMPTY, Report, Tally, digest, walk
from ml_secrets.barrier.names import ROOT, Names, Page
from ml_secrets.barrier.opened import NAMES, OPEN, SEALED, Opened
from ml_secrets.barrier.transaction import ReadPages
from ml_secrets.errors import TamperFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ml_secrets.barrier.transaction import Writing
    from ml_secrets.storage.interface import Transaction

Cursor = tuple[str, str]
"""(kind of row, the last row of that kind that was visited)."""

START: Final[Cursor] = (OPEN, "")
_KINDS: Final = (OPEN, NAMES, SEALED)
_ROOMS: Final = frozenset({"barrier/", *_KINDS})
_OFTEN: Final = 1000


class SoundPages:
    """Pages of names; one that is damaged or missing counts as empty, and its place is in `damaged`."""

    def __init__(self, opened: Opened, tx: Transaction) -> None:
        self._pages = ReadPages(opened, tx)
        self.damaged: set[str] = set()

    def load(self, page_id: str) -> Page:
        """A page."""
        try:
            page = self._pages.load(page_id)
        except TamperFault:
            page = None
            self.damaged.add(NAMES + page_id)
        if page is None and page_id != ROOT:
            self.damaged.add(NAMES + page_id)
        return page or Page([])


def rows(
    opened: Opened, tx: Transaction, pages: SoundPages, start: Cursor = START
) -> Iterator[tuple[Cursor, str, bytes]]:
    """Every row that has a name, from `start` on: (cursor, place, what it is bound to)."""
    for kind in _KINDS[_KINDS.index(start[0]) :]:
        after = start[1] if kind == start[0] else ""
        if kind == SEALED:
            for name in Names(pages).scan(after):
                yield (kind, name), *opened.place(name)
            continue
        for place in walk(tx, kind, after):
            yield (kind, place), place, opened.place(place)[1] if kind == OPEN else opened.page_context(place)


def reseal(opened: Opened, tx: Transaction, writing: Writing, start: Cursor, limit: int) -> Cursor:
    """Go over `limit` rows and seal those of older epochs anew; returns where to go on, `START` after the last.

    Damaged rows stay as they are.
    """
    visited = list(islice(rows(opened, tx, SoundPages(opened, tx), start), limit))
    for _, place, context in visited:
        try:
            writing.reseal(place, context)
        except TamperFault:
            continue
    return visited[-1][0] if len(visited) == limit else START


def verify(opened: Opened, tx: Transaction, progress: Callable[[int, int], None]) -> Report:
    """Open every row, and compare all rows with what the newest commit accounts for."""
    total = sum(opened.state.rows.values())
    tally, counted, damaged = Tally(opened.state_key, EMPTY), 0, set[str]()
    for kind in _KINDS:
        for place in walk(tx, kind):
            tally.replace(place, None, tx.get(place))
            counted += 1
            if not counted % _OFTEN:
                progress(counted, total)
    damaged.update(name for name in tx.list("") if name not in _ROOMS)
    damaged.update(_damaged(opened, tx))
    progress(counted, total)
    return Report(
        counted,
        opened.state.sequence,
        digest(opened.state_key, opened.state),
        tuple(sorted(damaged)),
        tally.matches(opened.state),
    )


def _damaged(opened: Opened, tx: Transaction) -> Iterator[str]:
    """Places of rows and pages that do not open or are missing; `SEALED` when there are rows that no page names."""
    named, pages = 0, SoundPages(opened, tx)
    for (kind, _), place, context in rows(opened, tx, pages):
        row = tx.get(place)
        named += kind == SEALED
        try:
            if row is None:
                yield place
            else:
                opened.reveal(row, context)
        except TamperFault:
            yield place
    yield from pages.damaged
    if named != sum(1 for _ in walk(tx, SEALED)):
        yield SEALED
