"""`ml-secrets operator restore`: a backup in the place of a stopped server's store, or only a check of one.

    1  settings   whose store, and which seal opens it
    2  unlock     by key file or passphrase, or by key shares (under Shamir, or when the key file is lost)
    3  restore    into a new folder, where every row and the whole are checked
    4  swap       the store that was there is kept beside the new one; nothing is deleted

Every token of before is dead afterwards, unless `keep_tokens`: log in again, or make a root token from key shares. An
anchor notices that the store is older than it was, so the server starts once with --accept-rollback.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from ml_secrets.barrier import backup
from ml_secrets.domain.backup_plan import made_of
from ml_secrets.domain.instant import rfc3339
from ml_secrets.errors import Invalid
from ml_secrets.server import config as configuration
from ml_secrets.server.assemble import auto_seal
from ml_secrets.server.local import local_config, set_token_aside
from ml_secrets.storage.folders import sync_folder
from ml_secrets.storage.sqlite import SqliteStorage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ml_secrets.barrier.backup import Unlock
    from ml_secrets.barrier.backup_file import Manifest
    from ml_secrets.server.config import Config
    from ml_secrets.server.options import ServerOptions


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked or restored. `replaced`: where the store that was there lies now, "" when there was none."""

    created: str
    cluster_id: str
    rows: int
    commits: int
    store: str = ""
    replaced: str = ""


def restore(
    file: Path,
    options: ServerOptions,
    *,
    verify_only: bool = False,
    shares: Sequence[str] = (),
    keep_tokens: bool = False,
) -> Report:
    """Check a backup and, unless `verify_only`, put it in the place of the store. `shares`: key shares as text."""
    config = (
        configuration.load(options.config) if options.config is not None else local_config(options.data_dir)
    )
    unlock = _unlock(config, shares)
    if verify_only:
        return _report(backup.verify(file, unlock, os.urandom))
    if config.path is None:
        raise Invalid(
            "a store in memory cannot be restored", hint="name a configuration with a store on the disk"
        )
    report = _restore(file, config.path, unlock, keep_tokens=keep_tokens)
    if config.mode == "local" and not keep_tokens:
        set_token_aside()  # it died with the others; the server makes its owner a new one
    return report


def latest(folder: Path) -> Path:
    """The newest backup that a server made by itself in that folder. Raises `Invalid` for none, and for those of several stores."""
    try:
        found = [made for path in folder.iterdir() if (made := made_of(path.name)) is not None]
    except OSError as error:
        raise Invalid(
            f"cannot read {folder}: {error.strerror}", hint="name the folder of the backups"
        ) from None
    if not found:
        raise Invalid(f"{folder} holds no backup that a server made by itself", hint="name the file")
    if len({made.store for made in found}) > 1:
        raise Invalid(f"{folder} holds backups of several stores", hint="name the file of the right one")
    return folder / max(found, key=lambda made: made.created).name


def _unlock(config: Config, shares: Sequence[str]) -> Unlock:
    if shares:
        return backup.by_shares(shares)
    auto = auto_seal(config)
    if auto is None:
        raise Invalid(
            "the store has a shamir seal: its key shares are needed",
            hint="add --with-shares, and give them on stdin, one a line",
        )
    return backup.by_seal(auto)


def _restore(file: Path, store: Path, unlock: Unlock, *, keep_tokens: bool) -> Report:
    old = store.exists() and any(store.iterdir())
    if old:
        SqliteStorage(store).close()  # raises when a server has it
    fresh = store.with_name(f"{store.name}.restored") if old else store
    manifest = backup.restore(file, fresh, unlock, os.urandom, keep_tokens=keep_tokens)
    aside = _free_name(store) if old else None
    if aside is not None:
        store.rename(aside)
        fresh.rename(store)
        sync_folder(store.parent)
    return _report(manifest, store=str(store), replaced=str(aside or ""))


def _free_name(store: Path) -> Path:
    names = (store.with_name(f"{store.name}.replaced-{number}") for number in count(1))
    return next(name for name in names if not name.exists())


def _report(manifest: Manifest, *, store: str = "", replaced: str = "") -> Report:
    return Report(
        created=rfc3339(manifest.created),
        cluster_id=manifest.cluster_id,
        rows=manifest.rows,
        commits=manifest.commit_seq,
        store=store,
        replaced=replaced,
    )
