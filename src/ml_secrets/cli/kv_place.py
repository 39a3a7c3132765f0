"""Where a secret is: which mount, which version of KV, and the paths that follow. Shared by kv, import and export.

A path such as `team-a/db` names the mount `team-a` when the server has a KV mount there (that you may see), as in
Vault's CLI. Otherwise it is a name in the default mount (`secret`, or ML_SECRETS_MOUNT), as in the SDK. `--mount` says
which one, and then nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli.failures import LocalError
from ml_secrets.errors import Denied, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.cli.session import Session


@dataclass(frozen=True, slots=True)
class Place:
    """A name in a KV mount. `name` is "" for the mount itself."""

    mount: str
    name: str
    version: int

    @property
    def data(self) -> str:
        """The API path of its data."""
        return self.path("data")

    @property
    def keys(self) -> str:
        """The API path to list."""
        return self.path("metadata")

    @property
    def shown(self) -> str:
        """How people write it."""
        return f"{self.mount}/{self.name}".rstrip("/")

    def path(self, part: str) -> str:
        """The API path of one of its parts (data, metadata, undelete …). KV 1 has no parts."""
        return f"{self.mount}/{part}/{self.name}".rstrip("/") if self.version == 2 else self.shown

    def below(self, name: str) -> Place:
        """A name under this one."""
        return Place(self.mount, f"{self.name}/{name}".lstrip("/"), self.version)

    def needs_versions(self) -> Place:
        """Itself. Raises `LocalError` where the mount keeps no versions."""
        if self.version != 2:
            raise LocalError(
                f"{self.mount}/ is KV 1, which keeps no versions",
                hint=f"ml-secrets secrets tune {self.mount} --options version=2 turns them on",
            )
        return self


def mount_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option --mount."""
    return click.option(
        "--mount", metavar="PATH", help="The KV mount that PATH is in. Default: found by the server."
    )(function)


def find(run: Session, path: str, mount: str | None, *, whole_mount: bool = False) -> Place:
    """The place that a path on the command line means. Only listing takes a whole mount."""
    path = path.strip("/")
    if mount is not None:
        place = _in_mount(run, mount.strip("/"), path)
    else:
        place = _by_path(run, path) or _in_mount(run, run.client.settings.mount, path)
    if not place.name and not whole_mount:
        raise LocalError(
            f"{place.shown}/ is a mount, not a secret", hint=f"name a secret in it: {place.shown}/NAME"
        )
    return place


def _by_path(run: Session, path: str) -> Place | None:
    """By the list of mounts that the caller may see: asking for a path that is in none of them would be an audited refusal."""
    if not path:
        return None
    try:
        seen = run.read("sys/internal/ui/mounts").data.get("secret") or {}
    except (Denied, NotFound):
        return None
    mount = max((name for name in seen if f"{path}/".startswith(name)), key=len, default="")
    if not mount or seen[mount].get("type") not in {"kv", "generic"}:
        return None
    return Place(mount.strip("/"), path.removeprefix(mount.strip("/")).strip("/"), _version(seen[mount]))


def _in_mount(run: Session, mount: str, name: str) -> Place:
    try:
        found = run.read(f"sys/internal/ui/mounts/{mount}").data
    except (Denied, NotFound) as error:
        raise type(error)(
            f"there is no mount {mount}/, or your policies reach nothing in it",
            hint=f'see the mounts with ml-secrets secrets list, or ask for a policy with a rule such as path "{mount}/data/{name or "*"}"',
        ) from None
    if found.get("type") not in {"kv", "generic"}:
        raise LocalError(
            f"{mount}/ holds no KV secrets, but {found.get('type')}",
            hint="use ml-secrets read and write there",
        )
    return Place(mount, name, _version(found))


def _version(found: dict[str, Any]) -> int:
    return 2 if (found.get("options") or {}).get("version") == "2" else 1
