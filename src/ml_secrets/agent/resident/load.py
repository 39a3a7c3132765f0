"""An agent's configuration file: ours in TOML, or a Vault agent's in HCL or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.agent.resident import own_config, vault_config
from ml_secrets.domain.tree import parse
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from pathlib import Path

    from ml_secrets.agent.resident.config import Config


def load(path: Path) -> Config:
    """Read it. Raises `Invalid` that names the file and the setting."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}", hint="check its name and rights") from None
    except UnicodeDecodeError:
        raise Invalid(f"cannot read {path}: it is not UTF-8 text", hint="save it as UTF-8") from None
    read = own_config.read if path.suffix == ".toml" else vault_config.read
    try:
        return read(parse(text, path.suffix), path.parent)
    except ModuleNotFoundError as error:
        raise Invalid(
            f"{path}: HCL needs {error.name}", hint="pip install 'ml-secrets[server]', or write TOML"
        ) from None
    except Invalid as error:
        raise Invalid(f"{path}: {error.message}", hint=error.hint) from None
