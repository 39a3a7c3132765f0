"""Leases. What lives for a while here are tokens: a token's lease is its path and its key, and ends it when revoked."""

from __future__ import annotations

from typing import Annotated

from ml_secrets.contract import Context, Help, Response, Seconds, Shape
from ml_secrets.domain.instant import rfc3339
from ml_secrets.domain.token import TokenEntry, renewed_expiry
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid

LeaseId = Annotated[str, Help("The lease, as the answer that created it named it.")]


def _find(ctx: Context, lease_id: str, complaint: str) -> tuple[str, TokenEntry]:
    path, _, key = lease_id.rpartition("/")
    entry = ctx.access.tokens.entry(ctx.unit, key) if key else None
    if entry is None or entry.path != path:
        raise Invalid(complaint)
    return key, entry


@ENGINE.write("leases/lookup", changes=False, shape=Shape.ENVELOPE, plain=("lease_id",))
def lookup(ctx: Context, lease_id: LeaseId = "") -> Response:
    """Show a lease."""
    if not lease_id:
        raise Invalid("lease_id must be specified")
    _, entry = _find(ctx, lease_id, "invalid lease")
    data = {
        "id": lease_id,
        "issue_time": rfc3339(entry.created),
        "expire_time": rfc3339(entry.expires) if entry.expires is not None else None,
        "last_renewal": rfc3339(entry.last_renewal) if entry.last_renewal else None,
        "renewable": entry.renewable,
        "ttl": entry.ttl(ctx.now),
    }
    return Response(data)


@ENGINE.list("leases/lookup", sudo=True)
def list_all(ctx: Context) -> Response | None:
    """List the first segments of all leases."""
    return list_leases(ctx, "")


@ENGINE.list("leases/lookup/{prefix:path}", sudo=True)
def list_leases(ctx: Context, prefix: str) -> Response | None:
    """List leases below a path."""
    start = f"{prefix.strip('/')}/" if prefix else ""
    names: set[str] = set()
    for key, entry in ctx.access.tokens.all(ctx.unit):
        lease = f"{entry.path}/{key}"
        if lease.startswith(start):
            name, slash, _ = lease[len(start) :].partition("/")
            names.add(name + slash)
    return Response({"keys": sorted(names)}) if names else None


@ENGINE.write("leases/renew", plain=("lease_id", "increment"))
@ENGINE.write("leases/renew/{url_lease_id:path}", plain=("lease_id", "increment"))
def renew(ctx: Context, url_lease_id: str = "", lease_id: LeaseId = "", increment: Seconds | None = None) -> Response:
    """Renew a lease."""
    lease = lease_id or url_lease_id
    if not lease:
        raise Invalid("lease_id must be specified")
    key, entry = _find(ctx, lease, "lease not found")
    if not entry.renewable or entry.expires is None:
        raise Invalid("lease is not renewable")
    expires, warnings = renewed_expiry(entry, increment=increment or 0, now=ctx.now, max_ttl=ctx.access.settings.max_lease_ttl)
    renewed = ctx.access.tokens.renew(ctx.unit, key, entry, expires=expires)
    return Response(lease_id=lease, renewable=True, lease_duration=renewed.ttl(ctx.now), warnings=warnings)


@ENGINE.write("leases/revoke", plain=("lease_id",))
@ENGINE.write("leases/revoke/{url_lease_id:path}", plain=("lease_id",))
def revoke(ctx: Context, url_lease_id: str = "", lease_id: LeaseId = "", sync: bool = False) -> None:  # noqa: ARG001 - `sync` is part of the wire: we always are
    """Revoke a lease at once."""
    lease = lease_id or url_lease_id
    if not lease:
        raise Invalid("lease_id must be specified")
    path, _, key = lease.rpartition("/")
    entry = ctx.access.tokens.entry(ctx.unit, key) if key else None
    if entry is not None and entry.path == path:
        ctx.access.end_token(ctx.unit, key)


@ENGINE.write("leases/revoke-prefix/{prefix:path}", sudo=True)
@ENGINE.write("leases/revoke-force/{prefix:path}", sudo=True)
def revoke_prefix(ctx: Context, prefix: str, sync: bool = True) -> None:  # noqa: ARG001 - `sync` is part of the wire: we always are
    """Revoke every lease below a path at once."""
    start = prefix.strip("/") + "/"
    due = [key for key, entry in ctx.access.tokens.all(ctx.unit) if f"{entry.path}/".startswith(start)]
    for key in due:
        ctx.access.end_token(ctx.unit, key)


@ENGINE.write("leases/tidy", sudo=True, changes=False)
def tidy(ctx: Context) -> Response:  # noqa: ARG001 - every operation is given its context
    """Sweep away leases that have ended. The server does so by itself all the time."""
    return Response(warnings=["Expired leases are swept away continuously; there is nothing left to tidy."], status=202)


@ENGINE.read("leases/count", sudo=True)
def count(ctx: Context) -> Response:
    """Count the live leases."""
    number = sum(1 for _ in ctx.access.tokens.all(ctx.unit))
    return Response({"lease_count": number, "counts": {"": number}})
