"""Rate-limit quotas."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from ml_secrets.contract import Context, Json, Response, Seconds
from ml_secrets.contract.names import named
from ml_secrets.domain.path import resource_name
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid
from ml_secrets.registry.quotas import Quota

_CONFIG = "quota-config"
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


def shown(quota: Quota) -> dict[str, Any]:
    """A quota as the wire shows it."""
    data: dict[str, Any] = {
        "type": "rate-limit",
        "name": quota.name,
        "path": quota.path,
        "role": quota.role,
        "rate": quota.rate,
        "interval": quota.interval,
        "block_interval": quota.block_interval,
    }
    if quota.inheritable is not None:
        data["inheritable"] = quota.inheritable
    return data


@ENGINE.list("quotas/rate-limit")
def list_quotas(ctx: Context) -> Response | None:
    """List the rate-limit quotas."""
    return named(ctx.access.quotas.names(ctx.unit))


@ENGINE.read("quotas/rate-limit/{name}", folded=("name",))
def read_quota(ctx: Context, name: str) -> Response | None:
    """Show a rate-limit quota."""
    quota = ctx.access.quotas.find(ctx.unit, name)
    return None if quota is None else Response(shown(quota))


@ENGINE.write(
    "quotas/rate-limit/{name}", folded=("name",), plain=("rate", "interval", "block_interval", "path", "role")
)
def write_quota(
    ctx: Context,
    name: str,
    rate: Json | None = None,
    interval: Seconds | None = None,
    block_interval: Seconds | None = None,
    path: str = "",
    role: str = "",
    inheritable: bool | None = None,
) -> None:
    """Create or replace a quota: `rate` requests per `interval` from one address.

    It holds everywhere, or below the path of a mount; with `role`, only for logins of that role on the auth method there.
    """
    where = _mount_path(ctx, path)
    quota = Quota(
        name=resource_name(name, what="quota name"),
        path=where,
        role=_role(ctx, where, role) if role else "",
        rate=_rate(rate),
        interval=interval or 1,
        block_interval=block_interval or 0,
        inheritable=inheritable,
    )
    twin = ctx.access.quotas.twin(ctx.unit, quota)
    if twin:
        raise Invalid(
            f'the quota "{twin}" limits the same requests', hint="change that one, or delete it first"
        )
    ctx.access.quotas.write(ctx.unit, quota)


def _role(ctx: Context, path: str, role: str) -> str:
    """The role in its one spelling. Only an auth method whose logins name a role has any."""
    mount = ctx.access.mounts.table(ctx.unit).find(path)
    if mount is None or not mount.is_auth:
        raise Invalid("a quota with a role needs the path of an auth method", hint='such as "auth/approle/"')
    if mount.path != path:
        raise Invalid(
            "a quota has either a role or a path inside a mount", hint=f'set the path to "{mount.path}"'
        )
    if not any(operation.role for operation in ctx.access.engine(mount).operations):
        raise Invalid(
            f"logins of {mount.kind} name no role", hint="leave the role out, or limit another method"
        )
    return resource_name(role, what="role name")


def _rate(value: object) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool | str) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise Invalid("'rate' must be greater than 0")
    return float(value)


def _mount_path(ctx: Context, path: str) -> str:
    """The path in its one spelling: a mount's own ends in a slash."""
    bare = path.strip("/")
    mount = ctx.access.mounts.table(ctx.unit).find(bare)
    if path and mount is None:
        raise Invalid(f"invalid mount path {path!r}")
    return mount.path if mount is not None and mount.path == bare + "/" else bare


@ENGINE.delete("quotas/rate-limit/{name}", folded=("name",))
def delete_quota(ctx: Context, name: str) -> None:
    """Delete a rate-limit quota."""
    ctx.access.quotas.delete(ctx.unit, name)


@ENGINE.read("quotas/config")
def read_config(ctx: Context) -> Response:
    """Show the settings for all quotas."""
    row = ctx.opaque.get(_CONFIG)
    stored = {} if row is None else msgspec.json.decode(row)
    data = {
        "enable_rate_limit_audit_logging": True,
        "enable_rate_limit_response_headers": False,
        "rate_limit_exempt_paths": [],
        "absolute_rate_limit_exempt_paths": [],
    }
    return Response({**data, **stored})


@ENGINE.write("quotas/config")
def write_config(ctx: Context, enable_rate_limit_audit_logging: bool = True) -> None:
    """Change the settings for all quotas. Refused requests are always audited here."""
    if not enable_rate_limit_audit_logging:
        raise Invalid("requests over their quota are always audited", hint="leave the setting on")
    ctx.opaque.put(_CONFIG, msgspec.json.encode({"enable_rate_limit_audit_logging": True}))
