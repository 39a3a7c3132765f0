"""`swept`: text, bytes or anything made of them, with every known value replaced; and the names of what was found.

Rules
- What holds no known value comes back as it is, the same object. What does is built anew; nothing of the caller's is changed in place.
- Texts, bytes, numbers, paths are looked at; so are mappings (keys too), sequences, sets and dataclasses. Of other
  objects nothing is asked, least of all `repr`: they come back as they are.
- Too deep to walk is too deep to pass: below `DEEPEST` it is cut off.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.detect.finders import SHORTEST
from ml_secrets.detect.mask import REPLACEMENT
from ml_secrets.detect.rule import SHORT
from ml_secrets.redaction.fingerprints import merged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ml_secrets.detect.table import Span

    Search = Callable[[bytes], list[Span]]

DEEPEST: Final = 64
CUT: Final = "[too deep to be looked through]"


class Sweep:
    """One walk. `names` has what was found."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self.names: set[str] = set()
        self._seen: dict[int, Any] = {}

    def clean(self, thing: Any, depth: int = 0) -> Any:
        """The thing without known values."""
        if thing is None or isinstance(thing, bool):
            return thing
        if isinstance(thing, str):
            return self._text(thing)
        if isinstance(thing, bytes | bytearray):
            return self._bytes(thing)
        if isinstance(thing, int | float):
            return self._number(thing)
        if isinstance(thing, PurePath):
            text = self._text(str(thing))
            return thing if text == str(thing) else type(thing)(text)
        return self._made_of_others(thing, depth)

    def _made_of_others(self, thing: Any, depth: int) -> Any:
        kind = _kind(thing)
        if kind is None:
            return thing
        if depth >= DEEPEST:
            return CUT
        if id(thing) in self._seen:
            return self._seen[id(thing)]
        self._seen[id(thing)] = thing  # what holds itself is cut here
        found = self._seen[id(thing)] = kind(self, thing, depth + 1)
        return found

    def mapping(self, thing: Mapping[Any, Any], depth: int) -> Any:
        """Keys and values."""
        pairs = [(self.clean(key, depth), self.clean(value, depth)) for key, value in thing.items()]
        if all(old is key and thing[old] is value for old, (key, value) in zip(thing, pairs, strict=True)):
            return thing
        return _like(thing, dict(pairs))

    def several(self, thing: Iterable[Any], depth: int) -> Any:
        """The members of a list, a tuple or a set."""
        old = list(thing)
        new = [self.clean(each, depth) for each in old]
        if all(one is other for one, other in zip(old, new, strict=True)):
            return thing
        if hasattr(thing, "_fields"):
            return type(thing)(*new)
        return _like(thing, new)

    def record(self, thing: Any, depth: int) -> Any:
        """The fields of a dataclass; a dictionary where it cannot be made anew."""
        old = {each.name: getattr(thing, each.name, None) for each in dataclasses.fields(thing)}
        new = {name: self.clean(value, depth) for name, value in old.items()}
        if all(new[name] is value for name, value in old.items()):
            return thing
        try:
            return dataclasses.replace(thing, **{n: v for n, v in new.items() if v is not old[n]})
        except (TypeError, ValueError):
            return new

    def _number(self, number: float) -> Any:
        """A value of digits alone is a value like another."""
        text = str(number)
        return number if len(text) < SHORT or self._text(text) is text else REPLACEMENT.decode()

    def _text(self, text: str) -> str:
        if len(text) < SHORTEST:
            return text
        data = text.encode("utf-8", "surrogatepass")
        masked = self._masked(data)
        return text if masked is data else masked.decode("utf-8", "replace")

    def _bytes(self, data: bytes | bytearray) -> bytes | bytearray:
        plain = bytes(data)
        masked = self._masked(plain)
        return data if masked is plain else type(data)(masked)

    def _masked(self, data: bytes) -> bytes:
        places = merged(self._search(data))
        if not places:
            return data
        out: list[bytes] = []
        at = 0
        for start, end, names in places:
            out += (data[at:start], REPLACEMENT)
            at = end
            self.names |= names
        return b"".join([*out, data[at:]])


def _kind(thing: Any) -> Any:
    if isinstance(thing, Mapping):
        return Sweep.mapping
    if isinstance(thing, list | tuple | set | frozenset):
        return Sweep.several
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return Sweep.record
    return None


def _like(thing: Any, new: Any) -> Any:
    """Of the same type, where that can be; of the plain one, where not."""
    try:
        return type(thing)(new)
    except Exception:  # noqa: BLE001 - a type of the caller's, which may do anything
        return new
