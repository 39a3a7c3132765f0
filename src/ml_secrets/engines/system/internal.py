"""What clients ask before they act: which mount a path lies in, what the caller may see, the API's own description."""

from __future__ import annotations

from typing import Any

import msgspec

from ml_secrets.contract import Context, Response, Shape
from ml_secrets.contract.readings.openapi import openapi
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.engines.system.mounts import shown
from ml_secrets.errors import Denied, Unauthenticated


@ENGINE.read("internal/ui/mounts", public=True)
def visible_mounts(ctx: Context) -> Response:
    """List the mounts that the caller may see; without a token those whose listing visibility is `unauth`."""
    acl = None if ctx.caller is None else ctx.access.policies.rights_of(ctx.unit, ctx.caller.entry)
    data: dict[str, dict[str, Any]] = {"auth": {}, "secret": {}}
    for mount in ctx.access.mounts.table(ctx.unit).by_path.values():
        if mount.listing_visibility == "unauth" or (acl is not None and acl.reaches(mount.path)):
            side, path = ("auth", mount.path[5:]) if mount.is_auth else ("secret", mount.path)
            data[side][path] = (
                shown(mount)
                if acl is not None
                else {"type": mount.kind, "description": mount.description, "options": mount.options}
            )
    return Response(data)


@ENGINE.read(
    "internal/ui/mounts/{path:path}", public=True, plain_response=("path", "type", "options", "version")
)
def mount_of(ctx: Context, path: str) -> Response:
    """Tell which mount a path lies in, to a caller who has some right below that mount."""
    if ctx.caller is None:
        raise Unauthenticated(
            "permission denied", hint="there is no token, or it is not known (any more): log in"
        )
    refusal = Denied(
        f'preflight capability check returned 403, please ensure client\'s policies grant access to path "{path}/"',
        hint="the path may not exist, or your token has no right below it",
    )
    mount = ctx.access.mounts.table(ctx.unit).find(path.strip("/"))
    acl = ctx.access.policies.rights_of(ctx.unit, ctx.caller.entry)
    if mount is None or not acl.reaches(mount.path):
        raise refusal
    return Response({**shown(mount), "path": mount.path})


@ENGINE.read("internal/ui/resultant-acl")
def resultant_acl(ctx: Context) -> Response:
    """Show the rules that hold for the calling token."""
    if ctx.caller is None:
        raise Denied("permission denied")
    acl = ctx.access.policies.rights_of(ctx.unit, ctx.caller.entry)
    exact: dict[str, Any] = {}
    glob: dict[str, Any] = {}
    for rule in acl.rules:
        rights = {"capabilities": acl.names(rule)}
        if rule.pattern.endswith("*") or "+" in rule.pattern.split("/"):
            glob[rule.pattern.rstrip("*")] = rights
        else:
            exact[rule.pattern] = rights
    return Response({"root": acl.root, "exact_paths": exact, "glob_paths": glob})


@ENGINE.read("internal/specs/openapi", shape=Shape.BARE)
@ENGINE.write("internal/specs/openapi", changes=False, shape=Shape.BARE)
def specification(ctx: Context) -> Response:
    """Describe the whole API of this server, with the present mounts, as OpenAPI."""
    table = ctx.access.mounts.table(ctx.unit).by_path
    engines = {path: ctx.access.engine(mount) for path, mount in table.items()}
    return Response(openapi({"sys/": ENGINE, **engines}))


@ENGINE.read("config/state/sanitized", sudo=True)
def settings(ctx: Context) -> Response:
    """Show the server's settings, without anything secret."""
    return Response(ctx.access.settings.shown)


@ENGINE.read("internal/counters/tokens", sudo=True)
def count_tokens(ctx: Context) -> Response:
    """Count the live service tokens."""
    return Response(
        {"counters": {"service_tokens": {"total": sum(1 for _ in ctx.access.tokens.all(ctx.unit))}}}
    )


@ENGINE.read("internal/counters/entities", sudo=True)
def count_entities(ctx: Context) -> Response:  # noqa: ARG001 - every operation is given its context
    """Count the identity entities: there are none."""
    return Response({"counters": {"entities": {"total": 0}}})


@ENGINE.list("locked-users")
@ENGINE.read("locked-users")
def locked_users(ctx: Context) -> Response:
    """List the names that are locked out after failed logins."""
    locked = ctx.access.lockouts.all(ctx.now)
    by_mount: dict[str, list[str]] = {}
    for accessor, name in locked:
        by_mount.setdefault(accessor, []).append(name)
    rows = [
        {"mount_accessor": accessor, "alias_identifiers": names, "counts": len(names)}
        for accessor, names in by_mount.items()
    ]
    return Response(
        {
            "by_namespace": [
                {"namespace_id": "root", "namespace_path": "", "counts": len(locked), "mount_accessors": rows}
            ],
            "total": len(locked),
        }
    )


@ENGINE.write("locked-users/{accessor}/unlock/{alias}")
def unlock_user(ctx: Context, accessor: str, alias: str) -> None:
    """Lift the lock on a name."""
    ctx.access.lockouts.unlock(accessor, alias)


@ENGINE.read("version-history")
@ENGINE.list("version-history")
def version_history(ctx: Context) -> Response:
    """List the versions that have served this store."""
    row = ctx.opaque.get("versions")
    versions: dict[str, Any] = {} if row is None else msgspec.json.decode(row)
    return Response({"keys": sorted(versions), "key_info": versions})
