r"""Backup and restore of a whole store, as sealed as it lies there: the file gives a thief what the disk would.

    "ml-secrets backup 1\n"
    one frame for each stored row, in order: 1, lengths of key and value, CRC of both, key, value
    one frame for the manifest:              2, its length, 0, its CRC, JSON

The CRCs and the manifest's SHA-256 tell what is broken, to anyone. The manifest's MAC and the barrier's own check of
every row tell whether it is what we wrote, to those with the key.

A restore never touches a store: it fills a new folder, checks all of it there, and moves it into place at the end.
What was revoked after the backup must not come back to life, so a restored store starts a new incarnation: every
token and lease id of before is dead, unless `keep_tokens` says otherwise.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

import msgspec

from ml_secrets.barrier.barrier import Barrier
from ml_secrets.barrier.files import replacing
from ml_secrets.barrier.integrity import STATE_ROW, mac_of
from ml_secrets.barrier.seals import locks, shamir
from ml_secrets.crypto.memory import wipe
from ml_secrets.errors import Invalid, MlSecretsError, StoreFault, TamperFault
from ml_secrets.storage.folders import make_folder, sync_folder
from ml_secrets.storage.memory import MemoryStorage
from ml_secrets.storage.sqlite import SqliteStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ml_secrets.barrier.seals.locks import AutoSeal, SealConfig
    from ml_secrets.storage.interface import Freezable, Storage

    Unlock = Callable[[SealConfig], bytearray]

_MAGIC: Final = b"ml-secrets backup 1\n"
_FRAME: Final = struct.Struct(">BIII")
_ROW: Final = 1
_MANIFEST: Final = 2
_PURPOSE: Final = "backup"
_ROWS_AT_ONCE: Final = 2000


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says about itself. `created` in seconds since 1970; `sha256` covers all bytes before it."""

    cluster_id: str
    commit_seq: int
    state_digest: str
    created: float
    rows: int
    sha256: str
    mac: str = ""


class Keyed(Protocol):
    """What a backup needs of the open barrier. `position_of` tells a state's commit and digest from its row."""

    @property
    def cluster_id(self) -> str: ...
    def position_of(self, state_row: bytes) -> tuple[int, str]: ...
    def subkey(self, purpose: str) -> bytes: ...


# ── backup ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def snapshot(storage: Freezable, barrier: Keyed, *, now: float) -> Iterator[bytes]:
    """The backup of one committed state, piece by piece; which one is settled by the first piece. Writers go on meanwhile.

    `storage` is the one below the barrier.
    """
    digest, rows, position = hashlib.sha256(_MAGIC), 0, (0, "")
    frozen = storage.freeze()
    yield _MAGIC
    for key, value in frozen:
        if key == STATE_ROW:
            position = barrier.position_of(value)
        frame = _frame(_ROW, key.encode(), value)
        digest.update(frame)
        rows += 1
        yield frame
    manifest = Manifest(
        cluster_id=barrier.cluster_id,
        commit_seq=position[0],
        state_digest=position[1],
        created=now,
        rows=rows,
        sha256=digest.hexdigest(),
    )
    signed = msgspec.structs.replace(manifest, mac=mac_of(barrier.subkey(_PURPOSE), manifest))
    yield _frame(_MANIFEST, msgspec.json.encode(signed), b"")


def save(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a backup to a file that only we may read: all of it, or nothing."""
    with replacing(path, mode=0o600) as file:
        for piece in pieces:
            file.write(piece)


def _frame(kind: int, first: bytes, second: bytes) -> bytes:
    return _FRAME.pack(kind, len(first), len(second), zlib.crc32(first + second)) + first + second


# ── restore ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def by_seal(auto: AutoSeal) -> Unlock:
    """The root key by key file or passphrase."""

    def unlock(config: SealConfig) -> bytearray:
        if config.machine is None or config.kind != auto.kind:
            raise Invalid(
                f"the backup's store has a {config.kind} seal",
                hint="name that server's --config, or give its key shares: --with-shares",
            )
        return locks.open_(config.machine, auto.key(config.parameters), locks.MACHINE)

    return unlock


def by_shares(texts: Iterable[str]) -> Unlock:
    """The root key by key shares (or recovery shares), in hex or base64."""
    shares = list(dict.fromkeys(shamir.read_share(text) for text in texts))

    def unlock(config: SealConfig) -> bytearray:
        if len(shares) < config.threshold:
            raise Invalid(f"{config.threshold} different key shares are needed, and {len(shares)} were given")
        return locks.open_(config.people, shamir.join(shares[: config.threshold]), locks.PEOPLE)

    return unlock


def verify(file: Path, unlock: Unlock, random: Callable[[int], bytes]) -> Manifest:
    """Check a backup as a restore would, in memory.

    Raises `Invalid` for a file that is broken, `TamperFault` for one that is whole but not ours.
    """
    storage = MemoryStorage()
    manifest = _load(file, storage)
    _check(Barrier(storage, random), manifest, unlock)
    return manifest


def restore(
    file: Path, folder: Path, unlock: Unlock, random: Callable[[int], bytes], *, keep_tokens: bool = False
) -> Manifest:
    """Make a store in `folder` (absent or empty) from a backup. Raises as `verify` does; `folder` is untouched then."""
    if folder.exists() and any(folder.iterdir()):
        raise Invalid(f"{folder} is not empty", hint="restore into a new folder, then point the server to it")
    make_folder(folder.parent)
    part = folder.with_name(f".{folder.name}.restoring")
    if part.exists():
        shutil.rmtree(part)
    try:
        manifest = _restore(file, part, unlock, random, keep_tokens=keep_tokens)
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    return manifest


def _restore(
    file: Path, folder: Path, unlock: Unlock, random: Callable[[int], bytes], *, keep_tokens: bool
) -> Manifest:
    storage = SqliteStorage(folder)
    try:
        manifest = _load(file, storage)
        barrier = Barrier(storage, random)
        _check(barrier, manifest, unlock, stay_open=True)
        if not keep_tokens:
            barrier.bump_incarnation()
        barrier.seal()
    finally:
        storage.close()
    return manifest


def _check(barrier: Barrier, manifest: Manifest, unlock: Unlock, *, stay_open: bool = False) -> None:
    """Every claim of the manifest, and every row. Leaves the barrier sealed unless told otherwise."""
    if not barrier.initialized:
        raise Invalid("the backup holds no store", hint="it has rows, but not the header of one")
    root_key = unlock(locks.decode(barrier.seal_config))
    try:
        barrier.unseal(root_key)
    finally:
        wipe(root_key)
    try:
        mac = mac_of(barrier.subkey(_PURPOSE), manifest)
        if not hmac.compare_digest(mac.encode(), manifest.mac.encode()):
            raise TamperFault("the backup's manifest was edited: its MAC does not fit")
        if (manifest.cluster_id, manifest.commit_seq, manifest.state_digest) != (
            barrier.cluster_id,
            barrier.commit_seq,
            barrier.state_digest,
        ):
            raise TamperFault("the backup's rows are not those that its manifest is about")
        _check_rows(barrier)
    except MlSecretsError:
        barrier.seal()
        raise
    if not stay_open:
        barrier.seal()


def _check_rows(barrier: Barrier) -> None:
    report = barrier.verify()
    if not report.clean:
        rows = ", ".join(report.damaged[:3]) or "rows that nobody accounts for, or that are missing"
        raise TamperFault(f"the backup's rows are not what was written: {rows}")


def _load(file: Path, storage: Storage) -> Manifest:
    """Put a backup's rows into an empty storage. Raises `Invalid` that says where the file is broken."""
    try:
        with file.open("rb") as opened:
            return _load_rows(_Reader(opened, os.fstat(opened.fileno()).st_size), storage)
    except OSError as error:
        raise StoreFault(f"cannot read {file}: {error.strerror}") from None
    except Invalid as error:
        raise Invalid(
            f"{file}: {error.message}", hint=error.hint or "take another backup; this one cannot be restored"
        ) from None


def _load_rows(reader: _Reader, storage: Storage) -> Manifest:
    rows: dict[str, bytes] = {}
    count = 0
    while True:
        kind, first, second = reader.frame(count)
        if kind == _MANIFEST:
            break
        rows[_key(first, count)] = second
        count += 1
        if len(rows) >= _ROWS_AT_ONCE:
            _put(storage, rows)
    _put(storage, rows)
    return _manifest(first, reader, count)


def _key(raw: bytes, count: int) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Invalid(f"row {count + 1} has a name that is not UTF-8") from None


def _put(storage: Storage, rows: dict[str, bytes]) -> None:
    with storage.begin(write=True) as tx:
        for key, value in rows.items():
            tx.put(key, value)
    rows.clear()


def _manifest(raw: bytes, reader: _Reader, count: int) -> Manifest:
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (ValueError, RecursionError):
        raise Invalid("its manifest is not readable") from None
    if reader.left:
        raise Invalid(f"{reader.left} bytes follow its end")
    if manifest.rows != count:
        raise Invalid(
            f"it has {count} rows, and its manifest tells of {manifest.rows}: rows were taken out or put in"
        )
    if manifest.sha256 != reader.digest.hexdigest():
        raise Invalid("its rows were edited: the checksum in the manifest is another")
    return manifest


class _Reader:
    """Frames of a backup file. `digest` covers all frames but the manifest's."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.left = size
        self.digest = hashlib.sha256(_MAGIC)
        if self._take(len(_MAGIC), "its first line") != _MAGIC:
            raise Invalid(
                "it is no backup of ours, or of a newer version",
                hint="backups come from `ml-secrets operator backup`",
            )

    def frame(self, count: int) -> tuple[int, bytes, bytes]:
        """(kind, first, second) of the next frame; `count` rows came before."""
        what = f"row {count + 1}"
        head = self._take(_FRAME.size, what)
        kind, first_size, second_size, crc = _FRAME.unpack(head)
        if kind not in (_ROW, _MANIFEST):
            raise Invalid(f"{what} is damaged: it does not begin as a row does")
        first, second = self._take(first_size, what), self._take(second_size, what)
        if zlib.crc32(first + second) != crc:
            raise Invalid(
                f"{'the manifest' if kind == _MANIFEST else what} is damaged: its checksum is another"
            )
        if kind == _ROW:
            self.digest.update(head + first + second)
        return kind, first, second

    def _take(self, size: int, what: str) -> bytes:
        if size > self.left:
            raise Invalid(f"it is cut short: it ends within {what}")
        self.left -= size
        return self._file.read(size)
