r"""The file of a backup, read where it lies: it looks like a storage that nobody writes to, and takes no memory to speak of.

    "ml-secrets backup 1\n"
    one frame for each stored row, in order: 1, lengths of key and value, CRC of both, key, value
    one frame for the manifest:              2, its length, 0, its CRC, JSON

Opening it goes over all of it once: the CRCs and the manifest's SHA-256 tell what is broken, to anyone. Where each block of some
rows begins is remembered, so that one can be looked up.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from bisect import bisect_right
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, Self, overload

import msgspec

from ml_secrets.errors import Invalid, StoreFault
from ml_secrets.storage.staged import ReadOnly, list_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ml_secrets.storage.interface import Transaction, Writable

MAGIC: Final = b"ml-secrets backup 1\n"
ROW: Final = 1
MANIFEST: Final = 2
_FRAME: Final = struct.Struct(">BIII")
_ROWS: Final = 16
_BYTES: Final = 16 * 1024
"""A block has so many rows, and ends after so many bytes."""
_WINDOW: Final = 16 * 1024


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says about itself. `created` in seconds since 1970; `sha256` covers all bytes before it."""

    cluster_id: str
    commit_seq: int
    state_digest: str
    created: float
    rows: int
    sha256: str
    mac: str = ""


def frame(kind: int, first: bytes, second: bytes) -> bytes:
    """One frame."""
    return _FRAME.pack(kind, len(first), len(second), zlib.crc32(first + second)) + first + second


@contextmanager
def opened(path: Path) -> Iterator[BackupFile]:
    """The backup in a file. What is wrong with it is told with the file's name."""
    with _opened(path) as file:
        try:
            backup = BackupFile(file)
        except Invalid as error:
            raise Invalid(
                f"{path}: {error.message}",
                hint=error.hint or "take another backup; this one cannot be restored",
            ) from None
        yield backup


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise StoreFault(f"cannot read {path}: {error.strerror}") from None


class BackupFile(ReadOnly):
    """Raises `Invalid`, which says where the file is broken. `manifest` is not checked against a key.

    interrupt: called now and then while rows are read; what it raises ends that.
    """

    revision = 0
    overdue = False

    def __init__(self, file: BinaryIO) -> None:
        self._window = _Window(file)
        self._firsts: list[bytes] = []
        self._places: list[int] = []
        self.interrupt: Callable[[], None] = lambda: None
        self.manifest = self._scan()

    # ── a storage, and a transaction of it ──────────────────────────────────────────────────────────────────────────

    @overload
    def begin(self, *, write: Literal[True]) -> AbstractContextManager[Writable]: ...
    @overload
    def begin(self, *, write: bool) -> AbstractContextManager[Transaction]: ...
    def begin(self, *, write: bool) -> AbstractContextManager[Transaction]:
        """Open a transaction, to read."""
        if write:
            raise StoreFault("a backup is not written to", hint="restore it into a store")
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def close(self) -> None:
        """The file is the caller's."""

    def freeze(self, *, lookups: bool = False) -> BackupFile:  # noqa: ARG002 - it is of one moment as it is
        """The rows."""
        return self

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Each row, in the order of the keys."""
        return ((key.decode(), value) for key, value in self._from(0))

    def look(self, keys: Sequence[str]) -> list[bytes | None]:
        """Some rows; None for one that is not there."""
        return [self.get(key) for key in keys]

    def get(self, key: str) -> bytes | None:
        """One row."""
        found = self._at(key)
        return found[1] if found is not None and found[0] == key.encode() else None

    def list(self, prefix: str, *, after: str = "", limit: int = -1) -> list[str]:
        """Names below a prefix."""
        return list_names(self, prefix, after, limit)

    def next_after(self, key: str, below: str, *, inclusive: bool) -> str | None:
        """The first key > `key` (>= if inclusive) that begins with `below`."""
        found = self._at(key if inclusive else f"{key}\0")
        return found[0].decode() if found is not None and found[0].startswith(below.encode()) else None

    # ── within ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _at(self, key: str) -> tuple[bytes, bytes] | None:
        """The first row whose key is not before that one. UTF-8 orders as the text does."""
        wanted = key.encode()
        rows = self._from(max(0, bisect_right(self._firsts, wanted) - 1))
        return next((row for row in rows if row[0] >= wanted), None)

    def _from(self, block: int) -> Iterator[tuple[bytes, bytes]]:
        """The rows from that block on."""
        return chain.from_iterable(map(self._block, range(block, len(self._firsts))))

    def _block(self, number: int) -> Iterator[tuple[bytes, bytes]]:
        self.interrupt()
        start, end = self._places[number : number + 2]
        block, at = self._window.take(start, end - start), 0
        while at < len(block):
            _, first, second, _ = _FRAME.unpack_from(block, at)
            key_at = at + _FRAME.size
            value_at = key_at + first
            at = value_at + second
            yield block[key_at:value_at], block[value_at:at]

    def _scan(self) -> Manifest:
        frames, count, newest, ordered, full = _Frames(self._window), 0, b"", True, 0
        while True:
            at = frames.at
            kind, first = frames.next(count)
            if kind == MANIFEST:
                break
            _check_text(first, count)
            ordered, newest = ordered and first > newest, first
            if count >= full or at - self._places[-1] >= _BYTES:
                full = count + _ROWS
                self._firsts.append(first)
                self._places.append(at)
            count += 1
        self._places.append(at)
        manifest = _manifest(first, frames, count)
        if not ordered:
            raise Invalid("its rows are not in order")
        return manifest


class _Window:
    """A file's bytes, in pieces; what is near to what was read last is at hand."""

    def __init__(self, file: BinaryIO) -> None:
        self._handle = file.fileno()
        self.size = os.fstat(self._handle).st_size
        self._start = 0
        self._bytes = b""

    def take(self, at: int, size: int) -> bytes:
        offset = at - self._start
        if offset < 0 or offset + size > len(self._bytes):
            self._bytes = os.pread(self._handle, max(size, _WINDOW), at)
            self._start, offset = at, 0
        found = self._bytes[offset : offset + size]
        if len(found) < size:
            raise Invalid("it was cut short while it was read")
        return found


class _Frames:
    """All frames, from the first. `digest` covers all but the manifest's."""

    def __init__(self, window: _Window) -> None:
        self._window = window
        self.at = 0
        self.digest = hashlib.sha256(MAGIC)
        if window.size < len(MAGIC):
            raise Invalid("it is cut short: it ends within its first line")
        if self._take(len(MAGIC), 0) != MAGIC:
            raise Invalid(
                "it is no backup of ours, or of a newer version",
                hint="backups come from `ml-secrets operator backup`",
            )

    @property
    def left(self) -> int:
        """Bytes after the newest frame."""
        return self._window.size - self.at

    def next(self, count: int) -> tuple[int, bytes]:
        """(kind, first part) of the next frame; `count` rows came before."""
        head = self._take(_FRAME.size, count)
        kind, first, second, crc = _FRAME.unpack(head)
        if kind not in (ROW, MANIFEST):
            raise Invalid(f"row {count + 1} is damaged: it does not begin as a row does")
        body = self._take(first + second, count)
        if zlib.crc32(body) != crc:
            what = "the manifest" if kind == MANIFEST else f"row {count + 1}"
            raise Invalid(f"{what} is damaged: its checksum is another")
        if kind == ROW:
            self.digest.update(head)
            self.digest.update(body)
        return kind, body[:first]

    def _take(self, size: int, count: int) -> bytes:
        at, self.at = self.at, self.at + size
        if self.left < 0:
            raise Invalid(f"it is cut short: it ends within row {count + 1}")
        return self._window.take(at, size)


def _check_text(key: bytes, count: int) -> None:
    try:
        key.decode()
    except UnicodeDecodeError:
        raise Invalid(f"row {count + 1} has a name that is not UTF-8") from None


def _manifest(raw: bytes, frames: _Frames, count: int) -> Manifest:
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (ValueError, RecursionError):
        raise Invalid("its manifest is not readable") from None
    if frames.left:
        raise Invalid(f"{frames.left} bytes follow its end")
    if manifest.rows != count:
        raise Invalid(
            f"it has {count} rows, and its manifest tells of {manifest.rows}: rows were taken out or put in"
        )
    if manifest.sha256 != frames.digest.hexdigest():
        raise Invalid("its rows were edited: the checksum in the manifest is another")
    return manifest
