"""`KnownValues`: the values that were handed out, found in any bytes in every form of `encodings`.

What is short is masked in part or not at all, by the rule of `rule`; `notes` says for which names, so that a caller can warn.

Values may be added at any time, from any thread, and stay known for good. They lie in parts of growing size: a new value costs a small
part, and now and then two parts become one. A part is made ready when it is first searched, or by `prepare()`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ml_secrets.detect import finders, rule
from ml_secrets.detect.table import Table
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml_secrets.detect.table import Span

    Value = bytes | str | Sensitive


class KnownValues(finders.Unlisted):
    """Values to find, alone or by name: `KnownValues({"db/password": password})`. It prints its size only and does not pickle."""

    __slots__ = ("_count", "_make", "_merging", "_parts", "notes")

    def __init__(self, values: Iterable[Value] | Mapping[str, Value] = (), *, engine: str = "") -> None:
        self._make = finders.engine(engine)
        self._parts: list[_Part] = []
        self._merging = threading.Lock()
        self._count = 0
        self.notes: dict[str, str] = {}
        self.update(values)

    def add(self, value: Value, name: str = "") -> None:
        """One more value; of the same name too, after a rotation."""
        self.update({name: value} if name else [value])

    def update(self, values: Iterable[Value] | Mapping[str, Value]) -> None:
        """Several more values. From this call's return on every search finds them."""
        named = values.items() if isinstance(values, Mapping) else (("", value) for value in values)
        part = _Part()
        for name, value in named:
            self._count += 1
            self._take(part, name or f"value {self._count}", Sensitive(_plain(value)).reveal_bytes())
        if part.forms:
            self._parts.append(part)
            self._merge()

    def prepare(self) -> None:
        """Make ready now what the first search would make ready: with hyperscan and thousands of values this takes seconds."""
        self.search(b"")

    def forms(self) -> frozenset[bytes]:
        """Every form that is looked for. Handle it as the values themselves."""
        return frozenset(form for part in tuple(self._parts) for form in part.forms)

    def search(self, data: bytes) -> tuple[list[Span], int]:
        """Every form in the data, in order of its start; and where the first begins that the end of the data may have cut off."""
        found: list[Span] = []
        under_way = len(data)
        for part in tuple(self._parts):
            spans, open_from = part.table(self._make).search(data)
            found += spans
            under_way = min(under_way, open_from)
        return sorted(found), under_way

    def telling(self, beginning: bytes) -> bool:
        """Does this begin a form, and is it too long to be an accident: half of the form, or as long as a head?"""
        return len(beginning) >= rule.SHORT and any(
            part.table(self._make).telling(beginning) for part in tuple(self._parts)
        )

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"KnownValues({self._count} values)"

    def _take(self, part: _Part, name: str, value: bytes) -> None:
        self.notes.pop(name, None)
        if note := rule.note(value):
            self.notes[name] = note
        part.add(rule.forms_by_rule(value), name)

    def _merge(self) -> None:
        """Join the last parts while the newer is no smaller. Who comes while another merges leaves it to the next."""
        if not self._merging.acquire(blocking=False):
            return
        try:
            parts = self._parts.copy()
            known = len(parts)
            while len(parts) > 1 and len(parts[-2].forms) <= len(parts[-1].forms):
                parts[-2:] = [_Part.joined(parts[-2], parts[-1])]
            self._parts[:known] = parts  # others may have appended meanwhile
        finally:
            self._merging.release()


class _Part(finders.Unlisted):
    """Forms with the names of their values, and the table of them once it was needed. Two threads may both make it."""

    __slots__ = ("_table", "forms")

    def __init__(self) -> None:
        self.forms: dict[bytes, frozenset[str]] = {}
        self._table: Table | None = None

    @classmethod
    def joined(cls, one: _Part, other: _Part) -> _Part:
        both = cls()
        for part in (one, other):
            for form, names in part.forms.items():
                both.forms[form] = both.forms.get(form, frozenset()) | names
        return both

    def add(self, forms: Iterable[bytes], name: str) -> None:
        names = frozenset((name,))
        for form in forms:
            self.forms[form] = self.forms.get(form, names) | names

    def table(self, make: finders.Maker) -> Table:
        if self._table is None:
            self._table = Table(self.forms, make)
        return self._table


def _plain(value: Value) -> bytes | str:
    return value.reveal_bytes() if isinstance(value, Sensitive) else value
