"""Tuning: the settings of a mount, shown and changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from ml_secrets.contract import Context, Help, Json, Response, Shape, Strings, TextMap
from ml_secrets.contract.expand import expand
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.engines.system.mount_settings import check_ttls, lockout_shown, tuned
from ml_secrets.engines.system.mounts import config_shown, find
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from ml_secrets.domain.mount import Mount

_FIELDS: Final[dict[str, tuple[Any, str]]] = {
    "default_lease_ttl": (str, 'How long tokens and leases live at first; 0 is the server\'s, "" no change.'),
    "max_lease_ttl": (str, 'How long they live at most; 0 is the server\'s, "" no change.'),
    "description": (str, "What it is for, in words for people."),
    "options": (TextMap, "What its type knows. A KV engine of version 1 becomes one of version 2."),
    "listing_visibility": (str, "unauth: shown to those without a token, too; hidden or empty: not."),
    "force_no_cache": (bool, "Kept as a mark."),
    "token_type": (str, "Of an auth method: service, batch, default-service or default-batch."),
    "audit_non_hmac_request_keys": (Strings, "Request fields that the audit log shows as they are."),
    "audit_non_hmac_response_keys": (Strings, "Response fields that the audit log shows as they are."),
    "passthrough_request_headers": (Strings, "Kept as a mark; no engine here is given headers."),
    "allowed_response_headers": (Strings, "Kept as a mark; no engine here sends headers."),
    "deletion_protected": (bool, "The mount cannot be disabled until this is false again."),
    "trash_retention": (
        str,
        'How long it can be restored once it is disabled; 0 is not at all, "" no change.',
    ),
    "user_lockout_config": (
        Json,
        "lockout_threshold, lockout_duration, lockout_counter_reset_duration (0 is the server's own) and lockout_disable.",
    ),
}
_with_fields = expand(
    "wanted", {name: Annotated[kind, Help(help_)] for name, (kind, help_) in _FIELDS.items()}, dict
)


@ENGINE.read("mounts/{path:path}/tune", shape=Shape.REPEATED)
def read_tuning(ctx: Context, path: str) -> Response:
    """Show a secrets engine's settings."""
    return _tuning(ctx, path)


@ENGINE.read("auth/{path:path}/tune", sudo=True, shape=Shape.REPEATED)
def read_auth_tuning(ctx: Context, path: str) -> Response:
    """Show an auth method's settings."""
    return _tuning(ctx, "auth/" + path)


@ENGINE.write("mounts/{path:path}/tune", plain=_FIELDS)
@_with_fields
def tune_mount(ctx: Context, path: str, wanted: dict[str, Any]) -> Response | None:
    """Change a secrets engine's settings. What is left out stays as it is."""
    return _tune(ctx, path, wanted)


@ENGINE.write("auth/{path:path}/tune", sudo=True, plain=_FIELDS)
@_with_fields
def tune_auth(ctx: Context, path: str, wanted: dict[str, Any]) -> Response | None:
    """Change an auth method's settings. What is left out stays as it is."""
    return _tune(ctx, "auth/" + path, wanted)


def _tuning(ctx: Context, path: str) -> Response:
    mount = find(ctx, path)
    default, maximum = ctx.access.mount_ttls(mount)
    data = {
        **config_shown(mount),
        "description": mount.description,
        "default_lease_ttl": default,
        "max_lease_ttl": maximum,
    }
    if mount.options:
        data["options"] = mount.options
    return Response(data | lockout_shown(mount))


def _tune(ctx: Context, path: str, wanted: dict[str, Any]) -> Response | None:
    mount = tuned(find(ctx, path), wanted)
    check_ttls(mount, longest=ctx.access.settings.max_lease_ttl)
    warnings = _tune_options(ctx, mount, wanted["options"] or {})
    ctx.access.mounts.replace(ctx.unit, mount.path, mount)
    return Response(warnings=warnings) if warnings else None


def _tune_options(ctx: Context, mount: Mount, options: dict[str, str]) -> list[str]:
    old = mount.options or {}
    if options:
        mount.options = {**old, **options}
    if mount.kind != "kv":
        return []
    before, after = old.get("version", "1"), (mount.options or {}).get("version", "1")
    if after not in ("1", "2"):
        raise Invalid(f"invalid version provided: {after}", hint="a KV mount has version 1 or 2")
    if before == "2" and after == "1":
        raise Invalid("cannot downgrade mount from version 2")
    if after == before:
        return []
    upgrade = ctx.access.engine(mount).upgrade
    if upgrade is not None:
        upgrade(
            ctx.access.store_of(ctx.unit, mount), ctx.access.opaque_of(ctx.unit, mount), ctx.now, ctx.random
        )
    return [
        f"Upgraded mount from version {before} to version {after}: its secrets are now below {mount.path}data/"
    ]
