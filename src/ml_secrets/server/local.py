"""The local server: one user's own store, which opens by itself with a key file that lies outside its folder."""

from __future__ import annotations

import contextlib
import logging
import os
from itertools import count
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets import places
from ml_secrets.barrier.files import replacing
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive
from ml_secrets.server.config import Config, Listener

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADDRESS = "127.0.0.1:8200"
_log: Final = logging.getLogger("ml_secrets.local")


def local_config(data_dir: Path | None = None, address: str | None = None) -> Config:
    """The settings of the local server. Makes its folders (mode 0700)."""
    data, config = data_dir or places.data_dir(), places.config_dir()
    for folder in (data, config):
        _make(folder)
    return Config(
        mode="local",
        path=data / "store",
        listeners=[Listener(address or ADDRESS)],
        seal="keyfile",
        key_file=config / "unseal.key",
        anchor_file=config / "anchor",
        audit=[{"kind": "file", "path": "file", "file_path": str(data / "audit.log")}],
    )


def token_path() -> Path:
    """Where this user's clients look for their token."""
    return places.config_dir() / "token"


def stored_token() -> Sensitive | None:
    """The token that is there; empty for what cannot be read."""
    try:
        return Sensitive(token_path().read_bytes().strip())
    except FileNotFoundError:
        return None
    except OSError:
        return Sensitive(b"")


def set_token_aside() -> None:
    """Give a stored token another name: it may be one for another server, which its owner needs again."""
    path = token_path()
    if not path.exists():
        return
    aside = next(name for number in count(1) if not (name := path.with_name(f"token.{number}")).exists())
    path.rename(aside)
    _log.warning("the token that was in %s is in %s now: it may be one for another server", path, aside)


def keep_token(token: str) -> Path:
    """Store the first root token where the SDK and the CLI look for one, readable by this user only."""
    set_token_aside()
    path = token_path()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "w") as out:
        out.write(token)
    return path


@contextlib.contextmanager
def announced(config: Config) -> Iterator[None]:
    """While inside, `server.json` beside the store tells this user's clients where the server listens."""
    if config.path is None:
        raise Invalid("a store in memory is not announced")
    path = config.path.parent / "server.json"
    running = {
        "address": config.listeners[0].url,
        "pid": os.getpid(),
        "started": places.process_started(os.getpid()),
    }
    try:
        with replacing(path) as file:
            file.write(msgspec.json.encode(running))
    except OSError as error:
        raise Invalid(
            f"cannot write {path}: {error.strerror}",
            hint="let this user write to that folder, or choose another with --data-dir",
        ) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Invalid(
            f"cannot make the folder {folder}: {error.strerror}",
            hint="choose another with ML_SECRETS_DATA_DIR and ML_SECRETS_CONFIG_DIR",
        ) from None
