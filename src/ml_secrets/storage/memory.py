"""A storage in memory: for development servers and tests. Gone with the process.

Keys are kept in order as text: code points order as the bytes of their UTF-8 do.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

from ml_secrets.storage.staged import StagedStorage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class MemoryStorage(StagedStorage):
    """Rows in a dictionary, their keys in order beside it."""

    def __init__(self) -> None:
        self._own = _Rows()
        super().__init__(self._own)

    def freeze(self) -> Iterable[tuple[str, bytes]]:
        """Every row as it is now, in the order of the keys."""
        with self._rows.lock:
            return self._own.all()


class _Rows:
    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._keys: list[str] = []

    def peek(self, key: str) -> bytes | None:
        return self._values.get(key)

    def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    def all(self) -> list[tuple[str, bytes]]:
        return [(key, self._values[key]) for key in self._keys]

    def next_after(self, key: str, below: str, *, inclusive: bool) -> str | None:
        find = bisect_left if inclusive else bisect_right
        at = find(self._keys, key)
        if at == len(self._keys):
            return None
        found = self._keys[at]
        return found if found.startswith(below) else None

    def store(self, changes: Mapping[str, bytes | None]) -> None:
        """As durable as it gets."""

    def show(self, changes: Mapping[str, bytes | None]) -> None:
        for key, value in changes.items():
            known = key in self._values
            if value is None and known:
                del self._values[key]
                del self._keys[bisect_left(self._keys, key)]
            elif value is not None:
                self._values[key] = value
                if not known:
                    insort(self._keys, key)
