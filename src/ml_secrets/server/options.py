"""What the command line says about a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class ServerOptions:
    """Flags of `ml-secrets server`. None means: not given.

    Without `dev` and `config` the server is the local one: the user's own embedded store, opened by its key file.
    """

    dev: bool = False
    dev_listen_address: str | None = None
    dev_root_token_id: str | None = None
    config: Path | None = None
    data_dir: Path | None = None
    listen: str | None = None
    log_level: str | None = None
    accept_rollback: bool = False
