"""One sealed row accounts for all others: what a thief of the disk swaps, deletes, brings back or rolls back, shows.

    barrier/state    sealed State, rewritten in every commit

`total` is the sum modulo 2^256 of HMAC(state key, row's place and bytes) over all rows, so that a commit costs as much
as it changes. `sequence` counts the commits: an anchor outside the store that knows it tells a whole store that was
put back. Reads do not look at the sum; `verify` does.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.crypto import kdf
from ml_secrets.crypto.aead import epoch_of
from ml_secrets.errors import TamperFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml_secrets.crypto.hmac import Hmac
    from ml_secrets.storage.interface import Transaction

STATE_ROW: Final = "barrier/state"
_MODULUS: Final = 2**256
_AT_ONCE: Final = 512


class State(msgspec.Struct, frozen=True):
    """What the newest commit left.

    seals: records made in the newest epoch. rows: how many rows each epoch has. incarnation: how often this store came
    back from a backup.
    """

    sequence: int
    total: bytes
    generation: int
    seals: int
    rows: dict[int, int]
    incarnation: int = 0


EMPTY: Final = State(0, bytes(32), 0, 0, {})


class Tally:
    """A state that is being changed by one transaction. `changed`: any row is another."""

    __slots__ = ("_mac", "_rows", "_seals", "_start", "_total", "changed")

    def __init__(self, mac: Hmac, start: State) -> None:
        self._mac = mac
        self._start = start
        self._total = int.from_bytes(start.total, "big")
        self._rows = dict(start.rows)
        self._seals = start.seals
        self.changed = False

    def replace(self, place: str, old: bytes | None, new: bytes | None) -> None:
        """The row at `place` was `old` and becomes `new`; None means no row."""
        if old == new:
            return
        self.changed = True
        if old is not None:
            self._total -= self._term(place, old)
        if new is not None:
            self._total += self._term(place, new)
            self._seals += 1
        if old is None or new is None or epoch_of(old) != epoch_of(new):
            self._count(old, -1)
            self._count(new, 1)

    def state(self) -> State:
        """The state after this commit, whose row is itself one record more."""
        return msgspec.structs.replace(
            self._start,
            sequence=self._start.sequence + 1,
            total=(self._total % _MODULUS).to_bytes(32, "big"),
            seals=self._seals + 1,
            rows=self._rows,
        )

    def matches(self, state: State) -> bool:
        """True when the rows counted here are the ones `state` accounts for."""
        return (
            hmac.compare_digest((self._total % _MODULUS).to_bytes(32, "big"), state.total)
            and self._rows == state.rows
        )

    def _count(self, row: bytes | None, change: int) -> None:
        if row is None:
            return
        epoch = epoch_of(row)
        rows = self._rows.get(epoch, 0) + change
        if rows:
            self._rows[epoch] = rows
        else:
            self._rows.pop(epoch, None)

    def _term(self, place: str, row: bytes) -> int:
        return int.from_bytes(self._mac.digest(kdf.frame(place.encode()) + row), "big")


def digest(key: memoryview, state: State) -> str:
    """The state as an anchor may know it: tells states apart, and nothing else."""
    return hmac.digest(
        key, kdf.framed("digest", state.sequence.to_bytes(8, "big"), state.total), "sha256"
    ).hex()


def mac_of(key: bytes, content: msgspec.Struct) -> str:
    """The MAC that belongs into the field `mac` of what lies outside the store: an anchor, a backup's manifest."""
    plain = msgspec.structs.replace(content, mac="")
    return hmac.digest(key, msgspec.msgpack.encode(plain), "sha256").hex()


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found. damaged: places of rows that do not open, are missing, or that nobody accounts for."""

    rows: int
    commit_seq: int
    state_digest: str
    damaged: tuple[str, ...]
    accounted: bool

    @property
    def clean(self) -> bool:
        """Everything opens, and it is the same rows that the newest commit left."""
        return self.accounted and not self.damaged

    def check(self) -> None:
        """Raise `TamperFault` unless all is clean."""
        if self.damaged:
            raise TamperFault(
                f"{len(self.damaged)} rows are damaged or missing, {self.damaged[0]} first",
                hint="restore the store from a backup",
            )
        if not self.accounted:
            raise TamperFault(
                "the rows are not those of the newest commit: some were put back, or taken out",
                hint="restore the store from a backup",
            )


def walk(tx: Transaction, prefix: str, after: str = "") -> Iterator[str]:
    """All keys below `prefix` that come after that one, in order, without holding them all at once."""
    name, slash, rest = after[len(prefix) :].partition("/")
    if slash:
        yield from walk(tx, f"{prefix}{name}/", f"{prefix}{name}/{rest}")
    start = name + slash
    while True:
        names = tx.list(prefix, after=start, limit=_AT_ONCE)
        for found in names:
            if found.endswith("/"):
                yield from walk(tx, prefix + found)
            else:
                yield prefix + found
        if len(names) < _AT_ONCE:
            return
        start = names[-1]


def stale_rows(rows: Mapping[int, int], newest: int) -> int:
    """How many rows are sealed under older epochs."""
    return sum(count for epoch, count in rows.items() if epoch != newest)
