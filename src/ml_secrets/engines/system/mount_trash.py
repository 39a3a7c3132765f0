"""Mounts that were disabled and can be restored: those that were tuned with a `trash_retention`.

    opaque  mount-trash/<when>-<uuid>       the mount, in the order of purging

A mount in the trash is out of everybody's reach, with all its data; its path is free. What is due counts as gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from ml_secrets.contract import Context, Help, Response
from ml_secrets.domain.instant import ordered, rfc3339
from ml_secrets.domain.mount import Mount
from ml_secrets.domain.path import canonical_path
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid, NotFound

if TYPE_CHECKING:
    from ml_secrets.contract.access import SystemAccess
    from ml_secrets.registry.unit import Unit

Name = Annotated[str, Help("Which one, as the list of mounts-trash shows it.")]
To = Annotated[str, Help("Where to mount it; empty is where it was.", name="path")]

_ROWS: Final = "mount-trash/"
_OWN_PREFIXES: Final = ("sys/", "cubbyhole/", "identity/")


class Removed(msgspec.Struct):
    """A disabled mount. Times are in seconds since 1970."""

    mount: Mount
    removed: float
    purge_at: float


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Removed).decode


def throw(ctx: Context, mount: Mount) -> None:
    """Keep a mount that was taken out of the table."""
    removed = Removed(mount, ctx.now, ctx.now + mount.trash_retention)
    ctx.opaque.put(f"{_ROWS}{ordered(removed.purge_at)}-{mount.uuid}", _encode(removed))


def check_target(target: str, *, auth: bool) -> None:
    """Raise `Invalid` for a path, ending in "/", where a mount of that kind cannot be."""
    if target.startswith(_OWN_PREFIXES) or target.startswith("auth/") != auth:
        raise Invalid(
            f"cannot remount to destination {target}",
            hint="an auth method stays below auth/, a secrets engine outside it",
        )


@ENGINE.list("mounts-trash", sudo=True)
def list_removed(ctx: Context) -> Response | None:
    """List the disabled secrets engines and auth methods that can still be restored."""
    found = {name: _find(ctx, name) for name in ctx.opaque.list(_ROWS)}
    info = {name: _shown(removed) for name, removed in found.items() if removed is not None}
    return Response({"keys": list(info), "key_info": info}) if info else None


def _shown(removed: Removed) -> dict[str, Any]:
    mount = removed.mount
    return {
        "path": mount.path,
        "type": mount.kind,
        "accessor": mount.accessor,
        "uuid": mount.uuid,
        "description": mount.description,
        "options": mount.options,
        "removed_time": rfc3339(removed.removed),
        "purge_time": rfc3339(removed.purge_at),
    }


@ENGINE.write("mounts-trash/{name}/restore", sudo=True, plain=("path",), plain_response=("path",))
def restore(ctx: Context, name: Name, path: To = "") -> Response:
    """Mount a disabled engine or auth method again, with all its data. The tokens that a method had issued stay dead."""
    removed = _find(ctx, name)
    if removed is None:
        raise NotFound(hint="list what is there: LIST sys/mounts-trash")
    mount = removed.mount
    target = canonical_path(path.strip("/"))[0] + "/" if path else mount.path
    check_target(target, auth=mount.is_auth)
    ctx.access.mounts.add(ctx.unit, msgspec.structs.replace(mount, path=target))
    ctx.opaque.delete(_ROWS + name)
    return Response({"path": target})


@ENGINE.delete("mounts-trash/{name}", sudo=True)
def purge(ctx: Context, name: Name) -> None:
    """Remove a disabled engine or auth method now, with all its data, for good."""
    row = ctx.opaque.get(_ROWS + name)
    if row is not None:
        ctx.access.wipe(ctx.unit, _decode(row).mount)
        ctx.opaque.delete(_ROWS + name)


def tidy(access: SystemAccess, unit: Unit, mount: Mount, limit: int) -> bool:
    """Purge mounts that are due; true where more are. With a limit of 0 nothing is done."""
    opaque = access.opaque_of(unit, mount)
    names = opaque.list(_ROWS, limit=max(1, limit))
    due = [name for name in names if name[:15] <= ordered(unit.now)]
    for name in due[:limit]:
        access.wipe(unit, _decode(opaque.get(_ROWS + name) or b"").mount)
        opaque.delete(_ROWS + name)
    return bool(due)


ENGINE.tidy = tidy


def _find(ctx: Context, name: str) -> Removed | None:
    """A mount that can be restored; None where there is none, or it is due."""
    row = ctx.opaque.get(_ROWS + name)
    removed = None if row is None else _decode(row)
    return None if removed is None or removed.purge_at <= ctx.now else removed
