"""An agent's configuration file: ours in TOML, or a Vault agent's in HCL or JSON."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ml_secrets.agent.resident import own_config, vault_config
from ml_secrets.domain.tree import parse
from ml_secrets.errors import Denied, Invalid

if TYPE_CHECKING:
    from pathlib import Path

    from ml_secrets.agent.resident.config import Config


def load(path: Path) -> Config:
    """Read it. Raises `Invalid` that names the file and the setting, and `Denied` where anybody may have written it."""
    try:
        with path.open("rb") as file:
            text, about = file.read().decode(), os.fstat(file.fileno())
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}", hint="check its name and rights") from None
    except UnicodeDecodeError:
        raise Invalid(f"cannot read {path}: it is not UTF-8 text", hint="save it as UTF-8") from None
    if about.st_mode & stat.S_IWOTH:
        raise Denied(
            f"anybody may have written {path}, and it says what is run",
            hint=f"read it, then chmod o-w {path}",
        )
    read = own_config.read if path.suffix == ".toml" else vault_config.read
    try:
        return read(parse(text, path.suffix), path.parent)
    except ModuleNotFoundError as error:
        raise Invalid(
            f"{path}: HCL needs {error.name}", hint="pip install 'ml-secrets[server]', or write TOML"
        ) from None
    except Invalid as error:
        raise Invalid(f"{path}: {error.message}", hint=error.hint) from None
