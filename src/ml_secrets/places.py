"""Where ml-secrets keeps things for one user, when nobody says otherwise. Both wings agree on these places here.

data    $ML_SECRETS_DATA_DIR, else $XDG_DATA_HOME/ml-secrets, else ~/.local/share/ml-secrets
          store/        the embedded store
          audit.log     its audit log
          server.json   address of the server that runs now, its process and when that began
config  $ML_SECRETS_CONFIG_DIR, else $XDG_CONFIG_HOME/ml-secrets, else ~/.config/ml-secrets
          config.toml   client settings
          token         what `ml-secrets login` stored; token.1, token.2 …: those that a new local store has set aside
          unseal.key    the key file that opens the embedded store; never inside the data folder
          anchor        the newest state the store has had, to notice one that was rolled back
run     $XDG_RUNTIME_DIR/ml-secrets, else /dev/shm/ml-secrets-UID: in memory, and gone with the machine's
          node/         sockets of processes that ask together
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """The user's data folder. It need not exist."""
    return _place(
        os.environ if environ is None else environ, "ML_SECRETS_DATA_DIR", "XDG_DATA_HOME", ".local/share"
    )


def config_dir(environ: Mapping[str, str] | None = None) -> Path:
    """The user's configuration folder. It need not exist."""
    return _place(
        os.environ if environ is None else environ, "ML_SECRETS_CONFIG_DIR", "XDG_CONFIG_HOME", ".config"
    )


def runtime_dirs(environ: Mapping[str, str]) -> Iterator[Path]:
    """The user's folders in memory, the better one first. None of them need exist, or be safe."""
    named = Path(environ.get("XDG_RUNTIME_DIR", ""))
    if named.is_absolute():
        yield named / "ml-secrets"
    yield Path(f"/dev/shm/ml-secrets-{os.geteuid()}")  # noqa: S108 - a folder of our own in it, to be checked


def home(environ: Mapping[str, str]) -> Path:
    """The user's home: HOME if it is one, else what the system says. A user id without a name, as containers have, and without HOME has nothing anywhere."""
    if Path(environ.get("HOME", "")).is_absolute():
        return Path(environ["HOME"])
    import pwd  # noqa: PLC0415 - rarely needed, and not everywhere there

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path("/nonexistent")


def _place(environ: Mapping[str, str], own: str, general: str, below_home: str) -> Path:
    if environ.get(own):
        return Path(environ[own]).expanduser().absolute()
    above = environ.get(general, "")
    return (Path(above) if Path(above).is_absolute() else home(environ) / below_home) / "ml-secrets"


def process_started(pid: int) -> str:
    """When that process began, as the kernel counts it; "" where there is none. Tells it from a later one of the same number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]  # field 22; the name before it may hold spaces and brackets


def process_namespace() -> int:
    """Which numbers of processes ours is one of: containers count their own. 0 where /proc shows those of another."""
    try:
        ours = os.readlink("/proc/self") == str(os.getpid())  # noqa: PTH115 - a number, not a path
        return Path("/proc/self/ns/pid").stat().st_ino if ours else 0
    except OSError:
        return 0


def process_over(pid: int, started: str) -> bool:
    """Has the process ended that had this number, of ours, and began then? What a /proc with hidepid does not show may live on."""
    found = process_started(pid)
    if found:
        return found != started
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError) as error:
        return isinstance(error, ProcessLookupError)
    return False
