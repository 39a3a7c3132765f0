"""A storage in memory: for development servers and tests. Gone with the process.

Keys are kept in order as text: code points order as the bytes of their UTF-8 do.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

from ml_secrets.storage.staged import StagedStorage, not_new

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ml_secrets.storage.interface import Moment


class MemoryStorage(StagedStorage):
    """Rows in a dictionary, their keys in order beside it."""

    def __init__(self) -> None:
        self._own = _Rows()
        super().__init__(self._own)

    def freeze(self, *, lookups: bool = False) -> Moment:  # noqa: ARG002 - a copy of the references has all of them at hand
        """The rows as they are now."""
        with self._rows.lock:
            return _Copied(self._own.all())


class _Rows:
    overdue = False

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self.peek = self._values.get
        self._keys: list[str] = []

    def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    def all(self) -> dict[str, bytes]:
        return {key: self._values[key] for key in self._keys}

    def next_after(self, key: str, below: str, *, inclusive: bool) -> str | None:
        find = bisect_left if inclusive else bisect_right
        at = find(self._keys, key)
        if at == len(self._keys):
            return None
        found = self._keys[at]
        return found if found.startswith(below) else None

    def store(self, changes: Mapping[str, bytes | None], new: AbstractSet[str]) -> None:  # noqa: ARG002 - `show` takes them
        """As durable as it gets."""
        if not new.isdisjoint(self._values):
            raise not_new()

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


class _Copied:
    def __init__(self, rows: dict[str, bytes]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return iter(self._rows.items())

    def look(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self._rows.get(key) for key in keys]
