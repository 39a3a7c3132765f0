"""Leases. What lives for a while here are tokens: a token's lease is its path and its accessor, and ends it when revoked.

Tokens are renewed below auth/token/, by whoever holds them, and not by their lease. A root token that never expires has
no lease.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ml_secrets.contract import Context, Help, Response, Seconds
from ml_secrets.domain.instant import rfc3339
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.domain.token import TokenEntry

LeaseId = Annotated[str, Help("The lease, as the answer that created it named it.")]
Sync = Annotated[bool | None, Help("Whether to wait for the end; it has always come when the answer does.")]


def _find(ctx: Context, lease_id: str) -> tuple[str, TokenEntry] | None:
    path, _, accessor = lease_id.rpartition("/")
    try:
        key, entry = ctx.access.tokens.by_accessor(ctx.unit, accessor)
    except Invalid:
        return None
    return (key, entry) if entry.path == path and entry.expires is not None else None


def _given(lease_id: str, url_lease_id: str = "") -> str:
    if not (lease_id or url_lease_id):
        raise Invalid("lease_id must be specified")
    return lease_id or url_lease_id


def _all(ctx: Context) -> Iterator[TokenEntry]:
    return (entry for _, entry in ctx.access.tokens.all(ctx.unit) if entry.expires is not None)


@ENGINE.write("leases/lookup", changes=False)
def lookup(ctx: Context, lease_id: LeaseId = "") -> Response:
    """Show a lease."""
    found = _find(ctx, _given(lease_id))
    if found is None:
        raise Invalid("invalid lease", hint="list them with LIST sys/leases/lookup/PREFIX")
    _, entry = found
    data = {
        "id": lease_id,
        "path": entry.path,
        "issue_time": rfc3339(entry.created),
        "expire_time": rfc3339(entry.expires or 0),
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
    for entry in _all(ctx):
        lease = f"{entry.path}/{entry.accessor}"
        if lease.startswith(start):
            name, slash, _ = lease[len(start) :].partition("/")
            names.add(name + slash)
    return Response({"keys": sorted(names)}) if names else None


@ENGINE.write("leases/renew", changes=False, plain=("increment",))
@ENGINE.write("leases/renew/{url_lease_id:path}", changes=False, plain=("increment",))
def renew(
    ctx: Context,
    url_lease_id: str = "",
    lease_id: LeaseId = "",
    increment: Seconds | None = None,  # noqa: ARG001 - part of the wire, though no lease here can be renewed
) -> Response:
    """Renew a lease. A token's is renewed by the token: see auth/token/renew."""
    if _find(ctx, _given(lease_id, url_lease_id)) is None:
        raise Invalid("lease not found", hint="list them with LIST sys/leases/lookup/PREFIX")
    raise Invalid(
        "tokens cannot be renewed through this endpoint",
        hint="write to auth/token/renew-self, renew or renew-accessor",
    )


@ENGINE.write("leases/revoke")
@ENGINE.write("leases/revoke/{url_lease_id:path}")
def revoke(
    ctx: Context, url_lease_id: str = "", lease_id: LeaseId = "", sync: Sync = None
) -> Response | None:
    """Revoke a lease at once. One that is not known has ended already."""
    found = _find(ctx, _given(lease_id, url_lease_id))
    if found is not None:
        ctx.access.end_token(ctx.unit, found[0])
    return _done(sync)


@ENGINE.write("leases/revoke-prefix/{prefix:path}", sudo=True)
def revoke_prefix(ctx: Context, prefix: str, sync: Sync = None) -> Response | None:
    """Revoke every lease below a path at once, batch tokens too."""
    ctx.access.end_tokens_below(ctx.unit, prefix.strip("/") + "/")
    return _done(sync)


@ENGINE.write("leases/revoke-force/{prefix:path}", sudo=True)
def revoke_force(ctx: Context, prefix: str) -> None:
    """Revoke every lease below a path at once, whatever another system says to it. No lease here asks another system."""
    ctx.access.end_tokens_below(ctx.unit, prefix.strip("/") + "/")


def _done(sync: bool | None) -> Response | None:
    """204; 202 for clients that said they will not wait, and expect to be told so."""
    return Response(status=202) if sync is False else None


@ENGINE.write("leases/tidy", sudo=True, changes=False)
def tidy(ctx: Context) -> Response:  # noqa: ARG001 - every operation is given its context
    """Sweep away leases that have ended. The server does so by itself all the time."""
    return Response(
        warnings=["Expired leases are swept away continuously; there is nothing left to tidy."], status=202
    )


@ENGINE.read("leases", sudo=True)
def list_irrevocable(ctx: Context, type_: Annotated[str, Help("irrevocable.", name="type")] = "") -> Response:  # noqa: ARG001 - every operation is given its context
    """List leases that could not be revoked. There are none: what a lease stands for here ends with it."""
    if type_ != "irrevocable":
        raise Invalid(
            "type must be irrevocable", hint="list live leases with LIST sys/leases/lookup/<prefix>"
        )
    return Response({"lease_count": 0, "leases": []})


@ENGINE.read("leases/count", sudo=True)
def count(
    ctx: Context, type_: Annotated[str, Help("irrevocable; default: live ones.", name="type")] = ""
) -> Response:
    """Count the live leases, in all and for each mount."""
    if type_ == "irrevocable":
        return Response({"lease_count": 0, "counts": {}})
    table, counts = ctx.access.mounts.table(ctx.unit), dict[str, int]()
    for entry in _all(ctx):
        mount = table.find(entry.path)
        path = mount.path if mount is not None else ""
        counts[path] = counts.get(path, 0) + 1
    return Response({"lease_count": sum(counts.values()), "counts": counts})
