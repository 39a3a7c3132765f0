"""All rows as they were at one moment, read in rounds while writers go on.

Whoever is about to change rows says so first: those that are still needed are kept as they are (`keep`). So memory grows
with what changes meanwhile, not with the store, and a writer waits for one round at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from threading import Lock

ROUND: Final = 500
"""So many rows are read while others wait; it takes some milliseconds."""


class Frozen:
    """The moment is that of making it, under `lock`. `read` gives the rows after a key, so many at most, in order; `get` one row.

    lookups: rows are looked up by name, too, so that what changes is kept to the end; else only until a round is past it.
    """

    def __init__(
        self,
        lock: Lock,
        read: Callable[[str, int], list[tuple[str, bytes]]],
        get: Callable[[str], bytes | None],
        *,
        lookups: bool,
    ) -> None:
        self._lock = lock
        self._read = read
        self._get = get
        self._lookups = lookups
        self._kept: dict[str, bytes | None] = {}
        self._ahead: set[str] = set()
        self._after: str | None = ""

    def keep(self, keys: Iterable[str]) -> None:
        """Rows that are about to change. Called under the lock."""
        after = self._after
        for key in keys:
            ahead = after is not None and key > after
            if (ahead or self._lookups) and key not in self._kept:
                self._kept[key] = self._get(key)
                if ahead:
                    self._ahead.add(key)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Each row once, in the order of the keys. To be gone through once."""
        while self._after is not None:
            yield from self._round(self._after)

    def look(self, keys: Sequence[str]) -> list[bytes | None]:
        """Some rows; None for one that was not there. A round's worth at most, since writers wait."""
        with self._lock:
            return [self._kept[key] if key in self._kept else self._get(key) for key in keys]

    def _round(self, after: str) -> list[tuple[str, bytes]]:
        with self._lock:
            found = self._read(after, ROUND)
            self._after = found[-1][0] if len(found) == ROUND else None
            past = {key for key in self._ahead if self._after is None or key <= self._after}
            self._ahead -= past
            changed = {key: self._kept[key] if self._lookups else self._kept.pop(key) for key in past}
        if not changed:
            return found
        rows = {**dict(found), **changed}
        return [(key, value) for key in sorted(rows) if (value := rows[key]) is not None]
