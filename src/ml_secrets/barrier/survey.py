"""Going over every row: to verify the store, and to seal rows anew after a rotation.

Damage stops neither: what does not open is passed over, and with a page of names the rows that only it could name.

A store is verified as it was at one moment, so that writers go on, and a backup in the same way. Nothing of that is kept in the
caches: they are for what is in use. It rests after every few rows, since a thread that never does keeps every request waiting for
milliseconds.
"""

from __future__ import annotations

import time
from collections import Counter
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final

from ml_secrets.barrier.integrity import EMPTY, STATE_ROW, Report, Tally, digest, walk
from ml_secrets.barrier.names import ROOT, Names, Page
from ml_secrets.barrier.opened import NAMES, OPEN, SEALED, Opened
from ml_secrets.barrier.transaction import ReadPages
from ml_secrets.errors import TamperFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.barrier.names import Readable
    from ml_secrets.barrier.transaction import Writing
    from ml_secrets.storage.interface import Moment, Transaction

Cursor = tuple[str, str]
"""(kind of row, the last row of that kind that was visited)."""

START: Final[Cursor] = (OPEN, "")
_KINDS: Final = (OPEN, NAMES, SEALED)
_CLEAR: Final = "barrier/"
_AT_ONCE: Final = 32
_REST: Final = 0.0002
_PAGES: Final = 64


class SoundPages:
    """Pages of names; one that is damaged or missing counts as empty, and its place is in `damaged`."""

    def __init__(self, pages: Readable) -> None:
        self._pages = pages
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
    visited = list(islice(rows(opened, tx, SoundPages(ReadPages(opened, tx)), start), limit))
    for _, place, context in visited:
        try:
            writing.reseal(place, context)
        except TamperFault:
            continue
    return visited[-1][0] if len(visited) == limit else START


class _MomentPages:
    """Pages as they were at one moment."""

    def __init__(self, opened: Opened, moment: Moment) -> None:
        self._opened = opened
        self._moment = moment
        self.load = lru_cache(_PAGES)(self._load)  # each leaf is found from the root

    def _load(self, page_id: str) -> Page | None:
        place = NAMES + page_id
        (row,) = self._moment.look([place])
        return None if row is None else self._opened.open_page(row, place)


def verify(opened: Opened, moment: Moment) -> Report:
    """Open every row, and compare all rows with what the commit of that moment accounts for.

    First all rows as they lie, and then those of people by their names, which tell what each is bound to.
    """
    tally, counted = Tally(opened.state_mac, EMPTY), Counter[str]()
    state, damaged = EMPTY, set[str]()
    for place, row in _resting(moment):
        kind = place[: place.find("/") + 1]
        if kind in _KINDS:
            counted[kind] += 1
            tally.replace(place, None, row)
        if place == STATE_ROW and _opens(opened, row, opened.state_context):
            state = opened.reveal_state(row)
        elif kind != SEALED and not _opens_in_place(opened, kind, place, row):
            damaged.add(place)
    pages = SoundPages(_MomentPages(opened, moment))
    named, missing = _verify_named(opened, moment, Names(pages))
    damaged |= missing | pages.damaged
    if named != counted[SEALED]:
        damaged.add(SEALED)
    return Report(
        counted.total(),
        state.sequence,
        digest(opened.state_key, state),
        tuple(sorted(damaged)),
        tally.matches(state),
    )


def _verify_named(opened: Opened, moment: Moment, names: Names) -> tuple[int, set[str]]:
    """(how many rows are named, places of those that do not open or are missing)."""
    named, damaged, scan = 0, set[str](), names.scan()
    while places := [opened.place_of(name) for name in islice(scan, _AT_ONCE)]:
        named += len(places)
        rows = moment.look([place for place, _ in places])
        damaged.update(
            place
            for (place, context), row in zip(places, rows, strict=True)
            if row is None or not _opens(opened, row, context)
        )
        time.sleep(_REST)
    return named, damaged


def _resting(moment: Moment) -> Iterator[tuple[str, bytes]]:
    """All rows; after every few, whoever waits for the processor has a turn."""
    for number, row in enumerate(moment, 1):
        yield row
        if not number % _AT_ONCE:
            time.sleep(_REST)


def _opens_in_place(opened: Opened, kind: str, place: str, row: bytes) -> bool:
    """The row is one that has its name from us, is in the clear as it should be, and opens."""
    if kind == _CLEAR:
        return place != STATE_ROW
    if kind == OPEN:
        return _opens(opened, row, opened.place_of(place)[1])
    return kind == NAMES and _opens(opened, row, opened.page_context(place))


def _opens(opened: Opened, row: bytes, context: bytes) -> bool:
    try:
        opened.reveal(row, context)
    except TamperFault:
        return False
    return True
