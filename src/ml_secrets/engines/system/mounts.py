"""Where engines and auth methods are mounted: list, enable, disable. Tuning them: tuning.py; moving them: remount.py."""

from __future__ import annotations

from typing import Annotated, Any, Final

from ml_secrets.contract import Context, Help, Json, Response, Shape, TextMap
from ml_secrets.contract.expand import expand
from ml_secrets.domain.mount import FIXED, Mount
from ml_secrets.engines.system import mount_trash
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.engines.system.mount_settings import LISTS, OURS, check_ttls, lockout_shown, tuned
from ml_secrets.errors import Invalid

_OWN_PREFIXES: Final = ("sys/", "cubbyhole/", "identity/", "auth/")
_FIXED_KINDS: Final = ("system", "cubbyhole", "token", "identity")
_KV_NAMES: Final = {"kv-v1": {"version": "1"}, "kv-v2": {"version": "2"}, "generic": dict[str, str]()}
BUILT_IN: Final = {"version": "v1.0.0+builtin", "deprecation_status": "supported"}
"""What clients ask of a plug-in, for each engine of this build."""

_FLAGS: Final = ("local", "seal_wrap", "external_entropy_access")
_FIELDS: Final[dict[str, tuple[Any, str]]] = {
    "type": (str, "The engine's type, such as kv or approle."),
    "plugin_name": (str, "The same, where no type is sent."),
    "description": (str, "What it is for, in words for people."),
    "config": (Json, "Its settings: an object of the fields that tuning takes."),
    "options": (TextMap, 'What its type knows; a KV engine\'s {"version": "2"}.'),
    "local": (bool, "Kept as a mark; there is one server."),
    "seal_wrap": (bool, "Kept as a mark; everything is sealed."),
    "external_entropy_access": (bool, "Kept as a mark."),
}
_PLAIN: Final = ("type", "plugin_name", "description", "config", "options")
_with_fields = expand(
    "asked", {name: Annotated[kind, Help(help_)] for name, (kind, help_) in _FIELDS.items()}, dict
)


def config_shown(mount: Mount) -> dict[str, Any]:
    """A mount's settings as the wire shows them."""
    config: dict[str, Any] = {
        "default_lease_ttl": mount.default_lease_ttl,
        "max_lease_ttl": mount.max_lease_ttl,
        "force_no_cache": mount.force_no_cache,
    }
    if mount.listing_visibility:
        config["listing_visibility"] = mount.listing_visibility
    if mount.is_auth:
        config["token_type"] = mount.token_type or "default-service"
    return config | {name: getattr(mount, name) for name in (*LISTS, *OURS) if getattr(mount, name)}


def shown(mount: Mount) -> dict[str, Any]:
    """A mount as the wire shows it."""
    config, lockout = config_shown(mount), lockout_shown(mount)
    if lockout:
        config["user_lockout_config"] = lockout
    return {
        "type": mount.kind,
        "accessor": mount.accessor,
        "uuid": mount.uuid,
        "description": mount.description,
        "config": config,
        "options": mount.options,
        "local": mount.local,
        "seal_wrap": mount.seal_wrap,
        "external_entropy_access": mount.external_entropy_access,
        "plugin_version": "",
        "running_plugin_version": BUILT_IN["version"],
        "running_sha256": "",
        "deprecation_status": BUILT_IN["deprecation_status"],
    }


def _table(ctx: Context, *, auth: bool) -> dict[str, Any]:
    cut = len("auth/") if auth else 0
    mounts = ctx.access.mounts.table(ctx.unit).by_path.values()
    return {m.path[cut:]: shown(m) for m in mounts if m.is_auth == auth}


def find(ctx: Context, path: str) -> Mount:
    """The mount at that path. Raises `Invalid`."""
    mount = ctx.access.mounts.table(ctx.unit).by_path.get(path + "/")
    if mount is None:
        kind = "auth" if path.startswith("auth/") else "secret"
        raise Invalid(
            f"No {kind} engine mount at {path.removeprefix('auth/')}/", hint="list the mounts first"
        )
    return mount


# ── secrets engines ─────────────────────────────────────────────────────────────────────────────────────────────────


@ENGINE.read("mounts", shape=Shape.REPEATED)
def list_mounts(ctx: Context) -> Response:
    """List the mounted secrets engines."""
    return Response(_table(ctx, auth=False))


@ENGINE.read("mounts/{path:path}", shape=Shape.REPEATED)
def read_mount(ctx: Context, path: str) -> Response:
    """Show one mounted secrets engine."""
    return Response(shown(find(ctx, path)))


@ENGINE.write("mounts/{path:path}", plain=_PLAIN)
@_with_fields
def enable_mount(ctx: Context, path: str, asked: dict[str, Any]) -> None:
    """Mount a secrets engine at a path."""
    if (path + "/").startswith(_OWN_PREFIXES):
        raise Invalid(f'cannot mount "{path}/"', hint="choose a path of its own")
    _enable(ctx, path + "/", asked, auth=False)


@ENGINE.delete("mounts/{path:path}")
def disable_mount(ctx: Context, path: str) -> None:
    """Unmount a secrets engine. Its data is removed, or can be restored for a while: see `trash_retention` in its tuning."""
    if path.startswith("auth/"):  # there it takes `sudo`
        raise Invalid(f'cannot unmount "{path}/"', hint="an auth method is unmounted by sys/auth/<path>")
    _disable(ctx, path + "/")


# ── auth methods ────────────────────────────────────────────────────────────────────────────────────────────────────


@ENGINE.read("auth", shape=Shape.REPEATED)
def list_auth(ctx: Context) -> Response:
    """List the mounted auth methods."""
    return Response(_table(ctx, auth=True))


@ENGINE.read("auth/{path:path}", sudo=True, shape=Shape.REPEATED)
def read_auth(ctx: Context, path: str) -> Response:
    """Show one mounted auth method."""
    return Response(shown(find(ctx, "auth/" + path)))


@ENGINE.write("auth/{path:path}", sudo=True, plain=_PLAIN)
@_with_fields
def enable_auth(ctx: Context, path: str, asked: dict[str, Any]) -> None:
    """Mount an auth method at a path below `auth/`."""
    _enable(ctx, f"auth/{path}/", asked, auth=True)


@ENGINE.delete("auth/{path:path}", sudo=True)
def disable_auth(ctx: Context, path: str) -> None:
    """Unmount an auth method. The tokens it issued end. Its data is removed, or can be restored for a while, as an engine's."""
    _disable(ctx, f"auth/{path}/")


# ── both ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _enable(ctx: Context, path: str, asked: dict[str, Any], *, auth: bool) -> None:
    kind, options = _kind(ctx, asked, auth=auth)
    mount = ctx.access.mounts.new(path, kind, now=ctx.now)
    mount.description, mount.options = asked["description"] or "", options
    for name in _FLAGS:
        setattr(mount, name, bool(asked[name]))
    config = asked["config"] or {}
    if not isinstance(config, dict):
        raise Invalid("config must be an object")
    mount = tuned(mount, config)
    check_ttls(mount, longest=ctx.access.settings.max_lease_ttl)
    ctx.access.mounts.add(ctx.unit, mount)


def _kind(ctx: Context, asked: dict[str, Any], *, auth: bool) -> tuple[str, dict[str, str]]:
    """The type that is asked for, and its options. Raises `Invalid` for one that cannot be mounted."""
    kind, options = asked["type"] or asked["plugin_name"], dict(asked["options"] or {})
    if not kind:
        raise Invalid("backend type must be specified as a string", hint='send {"type": "kv"}')
    if kind in _KV_NAMES and not auth:
        kind, options = "kv", options | _KV_NAMES[kind]
    if kind in _FIXED_KINDS:
        raise Invalid(f'mount type of "{kind}" is not mountable', hint="every server has it already")
    here = offered(ctx, auth=auth)
    if kind not in here:
        raise Invalid(
            f"plugin not found in the catalog: {kind}", hint=f"this build has: {', '.join(sorted(here))}"
        )
    if kind == "kv" and options.get("version", "1") not in ("1", "2"):
        raise Invalid("a KV mount has version 1 or 2")
    return kind, options


def offered(ctx: Context, *, auth: bool) -> set[str]:
    """Types that can be mounted. The two versions of KV are one type."""
    kinds = set(ctx.access.kinds(auth=auth))
    return kinds.difference(_FIXED_KINDS, _KV_NAMES) | (set() if auth else {"kv"})


def _disable(ctx: Context, path: str) -> None:
    if path in FIXED:
        raise Invalid(f'cannot unmount "{path}"', hint="every server has this mount")
    present = ctx.access.mounts.table(ctx.unit).by_path.get(path)
    if present is not None and present.deletion_protected:
        raise Invalid(f'"{path}" is protected from deletion', hint="tune it first: deletion_protected=false")
    mount = ctx.access.mounts.remove(ctx.unit, path)
    if mount is None:
        return
    if mount.is_auth:
        ctx.access.end_tokens_below(ctx.unit, path)
    if mount.trash_retention:
        mount_trash.throw(ctx, mount)
    else:
        ctx.access.wipe(ctx.unit, mount)
