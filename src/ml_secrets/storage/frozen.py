"""All rows as they were at one moment, read in rounds while writers go on.

Whoever is about to change rows says so first: those that have not been read yet are kept as they are (`keep`). So memory
grows with what changes meanwhile, not with the store, and a writer waits for one round at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from threading import Lock

ROUND: Final = 500
"""So many rows are read while others wait; it takes some milliseconds."""


class Frozen:
    """The moment is that of making it, under `lock`. `read` gives the rows after a key, so many at most, in order."""

    def __init__(self, lock: Lock, read: Callable[[str, int], list[tuple[str, bytes]]]) -> None:
        self._lock = lock
        self._read = read
        self._kept: dict[str, bytes | None] = {}
        self._after: str | None = ""

    def keep(self, keys: Iterable[str], get: Callable[[str], bytes | None]) -> None:
        """Rows that are about to change; `get` gives one as it is. Called under the lock."""
        after = self._after
        if after is not None:
            for key in keys:
                if key > after and key not in self._kept:
                    self._kept[key] = get(key)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Each row once, in the order of the keys. To be gone through once."""
        while self._after is not None:
            yield from self._round(self._after)

    def _round(self, after: str) -> list[tuple[str, bytes]]:
        with self._lock:
            found = self._read(after, ROUND)
            self._after = found[-1][0] if len(found) == ROUND else None
            past = [key for key in self._kept if self._after is None or key <= self._after]
            changed = {key: self._kept.pop(key) for key in past}
        if not changed:
            return found
        rows = {**dict(found), **changed}
        return [(key, value) for key in sorted(rows) if (value := rows[key]) is not None]
