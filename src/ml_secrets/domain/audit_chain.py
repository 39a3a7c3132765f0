"""The chain that binds the lines of an audit log together, and how it is checked. Pure: lines and keys are arguments.

Every line ends in three members of ours:

    ..., "seq": 17, "prev": SHA-256 of the line before, "mac": HMAC(segment key, SHA-256 of this line up to "mac")}

- The segment key changes every hour: next = HKDF-Expand(key, "next"), and the old one is forgotten: whoever gets hold of
  the present one cannot rewrite what was written before. Whoever controls an open server can, because the verification
  key follows from the barrier's: only a head that was noted elsewhere (the anchor, another machine) tells then.
- A *segment* line opens each segment. It names the run (a random number, from which with the device's verification
  key the first segment key follows) and the segment's number within it.
- A file begins with a segment line that says `begins`, so lines missing at its head show. Lines missing at its end show only against a
  known head (`sys/audit-head`, the anchor, or the next file, whose first line carries on the numbers).

Without the verification key only the hash chain is checked: it shows accidents and clumsy edits, but anybody can
compute it anew.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NO_HASH: Final = "0" * 64
_TAIL: Final = re.compile(rb',"seq":([0-9]{1,18}),"prev":"([0-9a-f]{64})","mac":"([0-9a-f]{64})"\}', re.ASCII)
_MAC_LENGTH: Final = len(',"mac":""}') + 64
_LONGEST_TAIL: Final = 256
_MOST_SEGMENTS: Final = 200_000
_decode = msgspec.json.Decoder().decode


class Head(msgspec.Struct, frozen=True):
    """The end of a chain: the number of its last line, and that line's SHA-256."""

    seq: int = 0
    hash: str = NO_HASH


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def expand(key: bytes | bytearray, info: bytes) -> bytes:
    """HKDF-Expand (RFC 5869) with SHA-256, for the one block that a key is."""
    return hmac.digest(bytes(key), info + b"\x01", "sha256")


def key_id(verification_key: bytes) -> str:
    """A name for a verification key, to tell a wrong one from a broken chain."""
    return expand(verification_key, b"ml-secrets audit key id")[:8].hex()


def first_key(verification_key: bytes, run: str) -> bytes:
    """The key of a run's first segment."""
    return expand(verification_key, b"ml-secrets audit run\0" + run.encode())


def next_key(key: bytes | bytearray) -> bytes:
    """The key of the segment after this one."""
    return expand(key, b"ml-secrets audit next")


# ── lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def head_of(line: bytes) -> Head | None:
    """The head that a chain has after this line (without its newline); None when it is no line of a chain."""
    tail = _tail_of(line)
    return None if tail is None else Head(int(tail[1]), hashlib.sha256(line).hexdigest())


def _tail_of(line: bytes) -> re.Match[bytes] | None:
    start = line.rfind(b',"seq":', max(0, len(line) - _LONGEST_TAIL))
    return None if start < 0 else _TAIL.fullmatch(line, start)


# ── checking ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Problem:
    """The first bad line: its file, its number from 1, and what is wrong with it."""

    file: str
    line: int
    what: str


@dataclass(slots=True)
class Verdict:
    """What a check found. `keyed` tells whether the MACs were checked too; `notes` are no faults (a repaired tail)."""

    keyed: bool
    lines: int = 0
    head: Head = field(default_factory=Head)
    problem: Problem | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """No line is missing, changed or out of place, as far as this check can tell."""
        return self.problem is None


_Hex = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{1,128}\Z")]
_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Opening(msgspec.Struct):
    """What a segment line says of its segment. Nothing in it can steer a terminal: it is shown before it is proved."""

    run: _Hex
    number: Annotated[int, msgspec.Meta(ge=0, lt=_MOST_SEGMENTS)]
    key: _Hex
    repaired: _Count = 0
    lost: Head | None = None


@dataclass(slots=True)
class _Segment:
    run: str
    number: int
    key: bytes | None


@dataclass(slots=True)
class _Line:
    """The line before, kept to decide which of two lines that do not fit was changed."""

    file: str
    number: int
    head: Head


def verify(
    files: Iterable[tuple[str, Iterable[bytes]]],
    *,
    keys: Sequence[bytes] = (),
    head: Head | None = None,
) -> Verdict:
    """Check files of one device, oldest first, and stop at the first bad line.

    `keys` are verification keys; none means that the hash chain alone is checked. `head`, if known, is where the log must
    reach at least.
    """
    return _Check(keys, head).run(files)


class _Check:
    def __init__(self, keys: Sequence[bytes], head: Head | None) -> None:
        self._keys = {key_id(key): key for key in keys}
        self._known = head
        self._known_seen = head is None or head.seq == 0
        self._before: _Line | None = None
        self._segment: _Segment | None = None
        self._verdict = Verdict(keyed=bool(keys))

    def run(self, files: Iterable[tuple[str, Iterable[bytes]]]) -> Verdict:
        verdict, last = self._verdict, ("", 0)
        for name, lines in files:
            rest, number = iter(lines), 0
            for number, line in enumerate(rest, 1):
                what = self._line(name, number, line)
                if what is not None:
                    verdict.problem = self._blame(name, number, line, what, rest)
                    return verdict
                verdict.lines += 1
            last = (name, number)
        if self._before is not None:
            verdict.head = self._before.head
        if not self._known_seen and self._known is not None:
            verdict.problem = Problem(
                *last,
                f"the log ends at record {verdict.head.seq}, but record {self._known.seq} is known to exist: its end was cut off",
            )
        return verdict

    def _line(self, file: str, number: int, raw: bytes) -> str | None:
        """What is wrong with this line, given those before it; None when it fits."""
        line = raw.removesuffix(b"\n")
        if line == raw:
            return "the line has no end: the server was killed while it wrote, or the end was cut off"
        tail, record = _tail_of(line), _read(line)
        if tail is None or record is None:
            return "this is no record of an audit log"
        seq, prev = int(tail[1]), tail[2].decode()
        return (
            self._check_place(number, record, seq, prev)
            or self._check_mac(record, line, tail[3].decode())
            or self._step(file, number, line, seq)
        )

    def _check_place(self, number: int, record: dict[str, Any], seq: int, prev: str) -> str | None:
        before = self._before
        if number == 1 and not _begins(record):
            return "the file does not begin with the line that opens a log: lines before this one are missing"
        if before is None:
            return _CHANGED if prev == NO_HASH and seq != 1 else None
        if number == 1 and seq == 1 and prev == NO_HASH:
            self._verdict.notes.append(
                f"a new log begins after record {before.head.seq}: nothing tells whether more came before it"
            )
            return None
        if seq > before.head.seq + 1:
            return f"{seq - before.head.seq - 1} records are missing before this line"
        if seq <= before.head.seq:
            return f"record {seq} comes after record {before.head.seq}: a line is repeated or out of place"
        return _UNCHAINED if prev != before.head.hash else None

    def _check_mac(self, record: dict[str, Any], line: bytes, mac: str) -> str | None:
        if record.get("type") == "segment":
            what = self._open_segment(record.get("segment"))
            if what is not None:
                return what
        if not self._keys:
            return None
        if self._segment is None or self._segment.key is None:
            return "this line belongs to no segment"
        digest = hashlib.sha256(line[:-_MAC_LENGTH]).digest()
        expected = hmac.digest(self._segment.key, digest, "sha256").hex()
        return None if hmac.compare_digest(expected, mac) else _CHANGED

    def _open_segment(self, header: Any) -> str | None:
        now = self._segment
        try:
            opened = msgspec.convert(header, _Opening)
        except msgspec.ValidationError:
            return "this segment line is malformed"
        run, number, key = opened.run, opened.number, opened.key
        if now is not None and run == now.run and number <= now.number:
            return "this segment was opened before: a line is repeated or out of place"
        if self._keys and key not in self._keys:
            return f"this segment was written under another verification key ({key})"
        self._segment = _Segment(run, number, self._key_of(run, number, key) if self._keys else None)
        if opened.repaired:
            self._verdict.notes.append(
                f"segment {run[:8]}/{number}: {opened.repaired} bytes of a torn line were cut off before it"
            )
        if opened.lost is not None:
            return f"when this line was written the file ended early: record {opened.lost.seq} had been written before"
        return None

    def _key_of(self, run: str, number: int, key: str) -> bytes:
        now = self._segment
        if now is not None and now.run == run and now.key is not None:
            current, at = now.key, now.number
        else:
            current, at = first_key(self._keys[key], run), 0
        for _ in range(number - at):
            current = next_key(current)
        return current

    def _step(self, file: str, number: int, line: bytes, seq: int) -> str | None:
        head = Head(seq, hashlib.sha256(line).hexdigest())
        self._before = _Line(file, number, head)
        if self._known is not None and seq == self._known.seq:
            self._known_seen = True
            if head.hash != self._known.hash:
                return "this is not the record that is known to have been written here"
        return None

    def _blame(self, file: str, number: int, raw: bytes, what: str, rest: Iterator[bytes]) -> Problem:
        """The bad line. Two lines that do not fit: the first was changed, unless the line after vouches against the second.

        With a key the first has passed its own check, so it is the second.
        """
        before = self._before
        if what is not _UNCHAINED or before is None:
            return Problem(file, number, what)
        after = next(rest, None)
        follows = None if after is None else _tail_of(after.removesuffix(b"\n"))
        vouched = (
            follows is None or follows[2].decode() == hashlib.sha256(raw.removesuffix(b"\n")).hexdigest()
        )
        if self._keys or not vouched:
            return Problem(file, number, _CHANGED)
        return Problem(before.file, before.number, _CHANGED)


_CHANGED: Final = "the line was changed after it was written"
_UNCHAINED: Final = "the line is not chained to the line before"


def _begins(record: dict[str, Any]) -> bool:
    header = record.get("segment")
    return record.get("type") == "segment" and isinstance(header, dict) and header.get("begins") is True


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        record = _decode(line)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return record if isinstance(record, dict) else None
