"""Cuts: the end of every token that was made below a path, in one small write, and the rounds that clear up after it.

open/token/cuts     Cuts
open/token/sweep    the round over all tokens after a cut: "<its first generation> <last key seen>"

Looking at the rows is the registry's (tokens.py); here is only how far it has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ml_secrets.registry.cache import Cache

if TYPE_CHECKING:
    from ml_secrets.domain.token import TokenEntry
    from ml_secrets.registry.unit import Unit

_CUTS: Final = "open/token/cuts"
_ROUND: Final = "open/token/sweep"
_MOST_CUTS: Final = 1000


class Cuts(msgspec.Struct):
    """Ends of everything below a path, batch tokens too: `below[prefix]` is the generation that is no longer live there.

    Each cut begins a new generation, and each token carries the one it was made in, so no clock is asked which came
    first. A cut of "" ends every token that can expire.

    Once every row has been looked at, a cut is for batch tokens only. The newest thousand are kept; of an older one only
    its generation is: batch tokens of that one and before are over, wherever they were made.
    """

    generation: int = 0
    below: dict[str, int] = msgspec.field(default_factory=dict)
    batch_below: int = 0

    def end(self, entry: TokenEntry) -> bool:
        """True when a cut has ended this token. Tokens that never expire (root's) are no leases: no cut ends them."""
        made = entry.generation
        if made == self.generation or entry.expires is None:
            return False
        if entry.kind == "batch" and made < self.batch_below:
            return True
        path, at = entry.path + "/", -1
        if self.below.get("", -1) >= made:
            return True
        while (at := path.find("/", at + 1)) >= 0:
            if self.below.get(path[: at + 1], -1) >= made:
                return True
        return False

    def shorter(self, swept: int) -> Cuts:
        """Without the oldest ones that are too many, now that no row is left that a cut before generation `swept` has ended."""
        oldest = sorted(self.below, key=self.below.__getitem__)[: max(0, len(self.below) - _MOST_CUTS)]
        gone = {path: made for path in oldest if (made := self.below[path]) < swept}
        if not gone:
            return self
        kept = {path: made for path, made in self.below.items() if path not in gone}
        return Cuts(self.generation, kept, max(self.batch_below, max(gone.values()) + 1))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Cuts).decode


class Round(NamedTuple):
    """How far the look at every token's row has come."""

    first: int
    """The generation in which it began: cuts before that one are looked for in all rows."""
    after: str


class KeptCuts:
    """The cuts of a store, and the round that goes on, if one does."""

    def __init__(self) -> None:
        self._cache: Cache[str, Cuts] = Cache(1, self._read)

    def forget(self) -> None:
        """Drop what is cached."""
        self._cache.forget()

    def load(self, unit: Unit) -> Cuts:
        """All of them."""
        return self._cache.load(unit, _CUTS) or Cuts()

    def add(self, unit: Unit, prefix: str) -> None:
        """One more, and a round if none goes on."""
        cuts = self.load(unit)
        kept = {path: made for path, made in cuts.below.items() if not path.startswith(prefix)}
        kept[prefix] = cuts.generation
        self._store(unit, Cuts(cuts.generation + 1, kept, cuts.batch_below))
        if not self.in_round(unit):
            self.go_on(unit, Round(cuts.generation + 1, ""))

    # ── rounds ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def in_round(self, unit: Unit) -> bool:
        """True when rows have to be looked at."""
        return unit.tx.get(_ROUND) is not None

    def round(self, unit: Unit) -> Round | None:
        """The round that goes on."""
        row = unit.tx.get(_ROUND)
        if row is None:
            return None
        first, space, after = row.partition(b" ")
        if not space:  # one that version 0.1 began
            return Round(self.load(unit).generation, "")
        return Round(int(first), after.decode())

    @staticmethod
    def go_on(unit: Unit, at: Round) -> None:
        """Note how far it has come."""
        unit.tx.put(_ROUND, b"%d %b" % (at.first, at.after.encode()))

    def end_round(self, unit: Unit, at: Round) -> bool:
        """Every row has been looked at. True when one more round is due, because there was a cut meanwhile."""
        cuts = self.load(unit)
        shorter = cuts.shorter(at.first)
        if shorter is not cuts:
            self._store(unit, shorter)
        if cuts.generation == at.first:
            unit.tx.delete(_ROUND)
            return False
        self.go_on(unit, Round(cuts.generation, ""))
        return True

    # ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _store(self, unit: Unit, cuts: Cuts) -> None:
        unit.tx.put(_CUTS, _encode(cuts))
        unit.changes(self._cache)

    @staticmethod
    def _read(unit: Unit, key: str) -> Cuts:
        row = unit.tx.get(key)
        return Cuts() if row is None else _decode(row)
