"""Whether an audit log still reaches as far as it is known to have come (the store's anchor knows).

    the record is there, in the file or in one rotated beside it     fine
    the file begins after that record, with a line of ours           it was rotated, and the older file moved on: fine
    there is no file, or nothing in it                               rotated while no server ran, or taken away: said loudly
    anything else                                                    it was cut back, or replaced

Only the record itself is looked for; `ml-secrets audit verify` checks all of them.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
from typing import TYPE_CHECKING, BinaryIO, Final

from ml_secrets.domain.audit_chain import Head, head_of, verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADS: Final = re.compile(r"(?:^| )(.+?/)([0-9]{1,18}):([0-9a-f]{64})(?= |$)", re.ASCII)
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK: Final = 65_536


class Gone(Exception):  # noqa: N818 - no error: the caller says it loudly and goes on
    """There is no log to look at; the text says why."""


def read_heads(text: str) -> dict[str, Head]:
    """Device -> the end of its chain, from what `AuditTrail.heads` gave."""
    return {path: Head(int(seq), hash_) for path, seq, hash_ in _HEADS.findall(text)}


def problem(path: Path, known: Head, key: bytes) -> str:
    """What is wrong with a log that had come as far as `known`; "" if nothing is. Raises `Gone`.

    `key` is its device's verification key.
    """
    try:
        with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123 - opened by descriptor
            return _problem(path, file, known, key)
    except FileNotFoundError:
        return _elsewhere(path, known, "does not exist")
    except OSError as error:
        raise Gone(f"the audit log {path} cannot be read: {error.strerror}") from None


def sync(path: Path) -> None:
    """Make the log durable, as far as it can be had: an anchor must not know what a power cut takes away."""
    try:
        file = os.open(path, _FLAGS)
    except OSError:
        return
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _problem(path: Path, file: BinaryIO, known: Head, key: bytes) -> str:
    first = file.readline(_CHUNK)
    if not first.endswith(b"\n"):
        return _elsewhere(path, known, "is empty")
    found = _find(file, known.seq)
    if found == known or _beside(path, known):
        return ""
    if found is not None:
        return f"the audit log {path} is not the one that was here: record {known.seq} is another"
    begins = head_of(first.removesuffix(b"\n"))
    if begins is None or begins.seq <= known.seq:
        return f"the audit log {path} was cut back: it had reached record {known.seq}, which is not there"
    follows = begins.seq > known.seq + 1 or b'"prev":"%b"' % known.hash.encode() in first
    if follows and verify([("", [first])], keys=[key]).intact:
        return ""
    return f"the audit log {path} is not the one that was here: its first line does not follow record {known.seq}"


def _elsewhere(path: Path, known: Head, what: str) -> str:
    if not _beside(path, known):
        raise Gone(
            f"the audit log {path} {what}, and the store knows {known.seq} records of it: was it rotated while no server ran?"
        )
    return ""


def _beside(path: Path, known: Head) -> bool:
    """A log that was rotated into the same folder ("audit.log.1", "audit.log-20261130") has the record."""
    for other in path.parent.glob(f"{glob.escape(path.name)}?*"):
        with contextlib.suppress(OSError), open(os.open(other, _FLAGS), "rb") as file:  # noqa: PTH123 - opened by descriptor
            if _find(file, known.seq) == known:
                return True
    return False


def _find(file: BinaryIO, seq: int) -> Head | None:
    """The record of that number, looked for from the end, where it mostly is."""
    for line in _backwards(file):
        head = head_of(line)
        if head is not None and head.seq <= seq:
            return head if head.seq == seq else None
    return None


def _backwards(file: BinaryIO) -> Iterator[bytes]:
    """Whole lines, the last one first; what follows the last newline is none."""
    position, rest = file.seek(0, os.SEEK_END), b""
    whole = False
    while position:
        start = max(0, position - _CHUNK)
        file.seek(start)
        lines = (file.read(position - start) + rest).split(b"\n")
        rest, position = lines[0], start
        ended = reversed(lines[1:]) if whole else reversed(lines[1:-1])
        whole = whole or len(lines) > 1
        yield from ended
    if whole:
        yield rest
