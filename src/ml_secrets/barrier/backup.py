"""Backup and restore of a whole store, as sealed as it lies there: the file (backup_file.py) gives a thief what the disk would.

Its checksums tell what is broken, to anyone. The manifest's MAC and the barrier's own check of every row tell whether it is
what we wrote, to those with the key.

A restore never touches a store: it fills a new folder, checks all of it there, and moves it into place at the end.
What was revoked after the backup must not come back to life, so a restored store starts a new incarnation: every
token and lease id of before is dead, unless `keep_tokens` says otherwise.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from ml_secrets.barrier.backup_file import MAGIC, MANIFEST, ROW, BackupFile, Manifest, frame, opened
from ml_secrets.barrier.barrier import Barrier
from ml_secrets.barrier.files import make_durable, replacing
from ml_secrets.barrier.integrity import STATE_ROW, mac_of
from ml_secrets.barrier.opened import sealed
from ml_secrets.barrier.seals import locks, shamir
from ml_secrets.crypto.memory import wipe
from ml_secrets.errors import Invalid, MlSecretsError, TamperFault
from ml_secrets.storage.folders import make_folder, sync_folder
from ml_secrets.storage.sqlite import SqliteStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ml_secrets.barrier.seals.locks import AutoSeal, SealConfig
    from ml_secrets.storage.interface import Freezable, Storage

    Unlock = Callable[[SealConfig], bytearray]

_PURPOSE: Final = "backup"
_ROWS_AT_ONCE: Final = 2000


class Keyed(Protocol):
    """What a backup needs of the open barrier. `position_of` tells a state's commit and digest from its row."""

    @property
    def cluster_id(self) -> str: ...
    @property
    def sealed(self) -> bool: ...
    def position_of(self, state_row: bytes) -> tuple[int, str]: ...
    def subkey(self, purpose: str) -> bytes: ...
    def reveal_root_key(self) -> bytearray: ...


# ── backup ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def snapshot(storage: Freezable, barrier: Keyed, *, now: float) -> Iterator[bytes]:
    """The backup of one committed state, piece by piece; which one is settled by the first piece. Writers go on meanwhile.

    `storage` is the one below the barrier.
    """
    digest, rows, position = hashlib.sha256(MAGIC), 0, (0, "")
    frozen = storage.freeze()
    yield MAGIC
    for key, value in frozen:
        if key == STATE_ROW:
            position = barrier.position_of(value)
        piece = frame(ROW, key.encode(), value)
        digest.update(piece)
        rows += 1
        yield piece
    manifest = Manifest(
        cluster_id=barrier.cluster_id,
        commit_seq=position[0],
        state_digest=position[1],
        created=now,
        rows=rows,
        sha256=digest.hexdigest(),
    )
    signed = msgspec.structs.replace(manifest, mac=mac_of(barrier.subkey(_PURPOSE), manifest))
    yield frame(MANIFEST, msgspec.json.encode(signed), b"")


def save(path: Path, pieces: Iterable[bytes], check: Callable[[BackupFile], None] | None = None) -> Manifest:
    """Write a backup to a file that only we may read: all of it, or nothing.

    It is read back from the disk, and has that name only once it is whole and has passed the `check`.
    """
    with replacing(path) as file:
        for piece in pieces:
            file.write(piece)
        make_durable(file)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        saved = BackupFile(file)
        if check is not None:
            check(saved)
        return saved.manifest


def opens(barrier: Keyed, random: Callable[[int], bytes]) -> Callable[[BackupFile], None]:
    """The check of a backup just made: as a restore would, with the open store's own root key, and only while that is open."""

    def interrupt() -> None:
        if barrier.sealed:
            raise sealed()

    def check(saved: BackupFile) -> None:
        saved.interrupt = interrupt
        _check(Barrier(saved, random), saved.manifest, lambda _: barrier.reveal_root_key())

    return check


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
    """Check a backup as a restore would, where it lies: nothing is written anywhere.

    Raises `Invalid` for a file that is broken, `TamperFault` for one that is whole but not ours.
    """
    with opened(file) as backup:
        _check(Barrier(backup, random), backup.manifest, unlock)
        return backup.manifest


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
        with opened(file) as backup:
            _fill(storage, backup)
            manifest = backup.manifest
        barrier = Barrier(storage, random)
        _check(barrier, manifest, unlock, stay_open=True)
        if not keep_tokens:
            barrier.bump_incarnation()
        barrier.seal()
    finally:
        storage.close()
    return manifest


def _fill(storage: Storage, backup: BackupFile) -> None:
    rows = iter(backup)
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        with storage.begin(write=True) as tx:
            for key, value in some:
                tx.put(key, value)


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
