"""Backups that the server makes by itself, as its configuration file says: what there is, how it goes, one more now."""

from __future__ import annotations

from ml_secrets.contract import Context, Response
from ml_secrets.engines.system.engine import ENGINE


@ENGINE.list("storage/backups", sudo=True, slow=True)
def list_made(ctx: Context) -> Response | None:
    """List the backups in the server's folder, the oldest first. Each was verified before it got its name."""
    info = {one["name"]: one for one in ctx.access.backups.made()}
    return Response({"keys": list(info), "key_info": info}) if info else None


@ENGINE.read("storage/backups/status", sudo=True, slow=True)
def status(ctx: Context) -> Response:
    """Tell when backups are made and kept, when the newest was, and whether they fail."""
    return Response(ctx.access.backups.status())


@ENGINE.write(
    "storage/backups/now",
    sudo=True,
    changes=False,
    slow=True,
    plain_response=("name", "created_time", "size", "rows", "commits"),
)
def make(ctx: Context) -> Response:
    """Make a backup in the server's folder, verify it, and remove what is older than the configuration wants kept.

    The answer comes once it is verified. Nobody else waits.
    """
    return Response(ctx.access.backups.make())
