"""Where ml-secrets keeps things for one user, when nobody says otherwise. Both wings agree on these places here.

data    $ML_SECRETS_DATA_DIR, else $XDG_DATA_HOME/ml-secrets, else ~/.local/share/ml-secrets
          store/        the embedded store
          audit.log     its audit log
          server.json   address of the server that runs now
config  $ML_SECRETS_CONFIG_DIR, else $XDG_CONFIG_HOME/ml-secrets, else ~/.config/ml-secrets
          config.toml   client settings
          token         what `ml-secrets login` stored
          unseal.key    the key file that opens the embedded store; never inside the data folder
          anchor        the newest state the store has had, to notice one that was rolled back
"""

from __future__ import annotations

import os
from pathlib import Path


def data_dir() -> Path:
    """The user's data folder. It need not exist."""
    return _place("ML_SECRETS_DATA_DIR", "XDG_DATA_HOME", ".local/share")


def config_dir() -> Path:
    """The user's configuration folder. It need not exist."""
    return _place("ML_SECRETS_CONFIG_DIR", "XDG_CONFIG_HOME", ".config")


def _place(own: str, general: str, below_home: str) -> Path:
    if os.environ.get(own):
        return Path(os.environ[own]).expanduser().absolute()
    above = os.environ.get(general, "")
    return (Path(above) if os.path.isabs(above) else Path.home() / below_home) / "ml-secrets"  # noqa: PTH117 - Path("") would be relative, and XDG says to ignore a relative one
