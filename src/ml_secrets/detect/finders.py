"""Three engines that tell where in some bytes a known head begins. They differ in speed only; which one serves is a matter of what is installed.

    Hyperscan     gigabytes a second, whatever the number of heads; takes seconds to prepare ten thousand values
    AhoCorasick   prepared at once
    Windows       nothing to install, and it keeps its speed with many heads

A head is the beginning of a form, `HEAD` bytes at most. An engine may name a place where none begins (the table looks again), never miss one.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from ml_secrets.errors import Invalid, Unsupported
from ml_secrets.sensitive import Masked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    Maker = Callable[[Collection[bytes]], "Finder"]

HEAD: Final = 16
SHORTEST: Final = 4
"""Windows needs this many bytes, and a shorter value is not masked at all."""


class Unlisted(Masked):
    """Holds values: what lists attributes (rich's inspect, debuggers) finds neither its private ones nor `forms`."""

    __slots__ = ()

    def __dir__(self) -> list[str]:
        return [
            name
            for name in super().__dir__()
            if name.startswith("__") or not (name.startswith("_") or name == "forms")
        ]


class Finder(Protocol):
    """Where heads begin."""

    def starts(self, data: bytes) -> Iterable[int]:
        """Every place where a head begins, in any order, perhaps twice, perhaps with others."""


class Hyperscan(Unlisted):
    """Intel's matcher. Each thread scans with a scratch space of its own; nothing is locked, so a fork finds nothing held."""

    __slots__ = ("_database", "_lengths", "_local")

    def __init__(self, heads: Collection[bytes]) -> None:
        import hyperscan  # noqa: PLC0415 - comes with the extra `agent`

        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._lengths = [len(head) for head in heads]
        self._local = threading.local()
        self._database.compile(
            expressions=[_literal(head) for head in heads],
            ids=list(
                range(len(heads))
            ),  # they must differ: shared ones make its compiler's time grow with their square
            elements=len(heads),
            flags=0,
        )

    def starts(self, data: bytes) -> Iterable[int]:
        lengths = self._lengths
        found: list[int] = []

        def note(which: int, _start: int, end: int, _flags: int, _context: object) -> None:
            found.append(end - lengths[which])

        self._database.scan(data, note, scratch=self._scratch())
        return found

    def _scratch(self) -> Any:
        if not hasattr(self._local, "scratch"):
            import hyperscan  # noqa: PLC0415 - as above

            self._local.scratch = hyperscan.Scratch(self._database)
        return self._local.scratch


def _literal(head: bytes) -> bytes:
    """As an expression; the binding's own mode for literals ends them at a zero byte."""
    return b"\\x" + head.hex(",").replace(",", "\\x").encode()


class AhoCorasick(Unlisted):
    """The automaton of BurntSushi's crate."""

    __slots__ = ("_automaton",)

    def __init__(self, heads: Collection[bytes]) -> None:
        from ahocorasick_rs import BytesAhoCorasick  # noqa: PLC0415 - comes with the extra `agent`

        self._automaton = BytesAhoCorasick(heads)

    def starts(self, data: bytes) -> Iterable[int]:
        return {start for _, start, _ in self._automaton.find_matches_as_indexes(data, overlapping=True)}


class Windows(Unlisted):
    """Looks at every few bytes of the data only, as machine words, and in C: is any word part of a head?

    A head of `width + stride - 1` bytes, wherever it lies, has a whole word at a multiple of the stride; so it is known by the words
    that begin at its first `stride` bytes. Heads are sorted into layers by their length, as long words are cheapest.
    """

    __slots__ = ("_layers",)

    def __init__(self, heads: Collection[bytes]) -> None:
        layers = [_Layer("Q", 8, 8), _Layer("Q", 8, 4), _Layer("I", 4, 4), _Layer("I", 4, 1)]
        for head in heads:
            next(layer for layer in layers if len(head) >= layer.least).add(head)
        self._layers = [layer for layer in layers if layer.offsets]

    def starts(self, data: bytes) -> Iterable[int]:
        return {start for layer in self._layers for start in layer.starts(data) if start >= 0}


class _Layer(Unlisted):
    __slots__ = ("kind", "least", "offsets", "stride", "width")

    def __init__(self, kind: str, width: int, stride: int) -> None:
        self.kind, self.width, self.stride = kind, width, stride
        self.least = width + stride - 1
        self.offsets: dict[int, int] = {}  # word -> which offsets it has in heads, a bit for each

    def add(self, head: bytes) -> None:
        for offset in range(self.stride):
            (word,) = memoryview(head[offset : offset + self.width]).cast(self.kind)  # type: ignore[call-overload]
            self.offsets[word] = self.offsets.get(word, 0) | 1 << offset

    def starts(self, data: bytes) -> Iterable[int]:
        known = self.offsets.keys()
        for shift in range(0, self.width, self.stride):
            length = max(0, len(data) - shift) // self.width * self.width
            words = memoryview(data)[shift : shift + length].cast(self.kind)  # type: ignore[call-overload]
            if known.isdisjoint(words):
                continue
            for place in [place for place, word in enumerate(words) if word in known]:
                for offset in range(self.stride):
                    if self.offsets[words[place]] >> offset & 1:
                        yield shift + place * self.width - offset


ENGINES: Final[dict[str, Maker]] = {"hyperscan": Hyperscan, "ahocorasick": AhoCorasick, "python": Windows}
"""The fastest first."""


def installed() -> list[str]:
    """The engines that can serve here, the fastest first: they are there, and this processor has what they need."""
    return [name for name in ENGINES if _serves(ENGINES[name])]


def engine(name: str = "") -> Maker:
    """What makes finders of this engine; of the fastest that can serve, when none is named."""
    if name and name not in ENGINES:
        raise Invalid(f"there is no matching engine {name!r}", hint=f"one of {', '.join(ENGINES)}")
    for make in [ENGINES[name]] if name else ENGINES.values():
        if _serves(make):
            return make
    raise Unsupported(
        f"the matching engine {name!r} is not installed, or not for this processor",
        hint="pip install 'ml-secrets[agent]'",
    )


def _serves(make: Maker) -> bool:
    try:
        return 1 in make([b"trial"]).starts(b" trial")
    except Exception:  # noqa: BLE001 - whatever its reason, an engine that cannot be made is none
        return False
