"""Moving mounts: an engine or auth method with its data to another path."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ml_secrets.contract import Context, Help, Response, Shape
from ml_secrets.domain.mount import FIXED
from ml_secrets.domain.path import canonical_path
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.engines.system.mount_trash import check_target
from ml_secrets.errors import Invalid


@ENGINE.write("remount", sudo=True, plain=("from", "to"), shape=Shape.REPEATED)
def remount(
    ctx: Context, from_: Annotated[str, Help("The present path.", name="from")] = "", to: str = ""
) -> Response:
    """Move a mount with its data to another path."""
    if not from_ or not to:
        raise Invalid("both 'from' and 'to' path must be specified as a string")
    source, target = from_.strip("/") + "/", canonical_path(to.strip("/"))[0] + "/"
    if source in FIXED:
        raise Invalid(f'cannot remount "{source}"', hint="every server has this mount at this path")
    mount = ctx.access.mounts.table(ctx.unit).by_path.get(source)
    if mount is None:
        raise Invalid(f'no matching mount at "{source}"', hint="list the mounts first")
    check_target(target, auth=mount.is_auth)
    if mount.is_auth:  # what is done to the method at its new path would not reach tokens from the old one
        ctx.access.end_tokens_below(ctx.unit, source)
    ctx.access.mounts.remove(ctx.unit, source)
    ctx.access.mounts.add(ctx.unit, msgspec.structs.replace(mount, path=target))
    migration = ctx.random(16).hex()
    info = {"source_mount": source, "target_mount": target, "status": "success"}
    ctx.opaque.put(f"remount/{migration}", msgspec.json.encode(info))
    return Response(
        {"migration_id": migration}, warnings=["The mount has moved; there is nothing to wait for."]
    )


@ENGINE.read("remount/status/{migration_id}")
def remount_status(ctx: Context, migration_id: str) -> Response | None:
    """Tell whether a move has ended. Moves are done at once, so it has."""
    row = ctx.opaque.get(f"remount/{migration_id}")
    if row is None:
        return None
    return Response({"migration_id": migration_id, "migration_info": msgspec.json.decode(row)})
