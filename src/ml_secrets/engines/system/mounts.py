"""Where engines and auth methods are mounted: list, enable, tune, move, disable."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ml_secrets.contract import Context, Help, Response, Shape, TextMap
from ml_secrets.contract.fields import Json
from ml_secrets.domain.duration import parse_duration
from ml_secrets.domain.mount import Mount
from ml_secrets.domain.path import canonical_path
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid
from ml_secrets.registry.mounts import FIXED

Kind = Annotated[str, Help("The engine's type, such as kv or approle.", name="type")]
_OWN_PREFIXES = ("sys/", "cubbyhole/", "identity/", "auth/")
_FIXED_KINDS = ("system", "cubbyhole", "token", "identity")
_KV_NAMES = {"kv-v1": {"version": "1"}, "kv-v2": {"version": "2"}, "generic": dict[str, str]()}
_TOKEN_TYPES = ("", "default-service", "default-batch", "service", "batch")
_DURATIONS = ("default_lease_ttl", "max_lease_ttl")
_LISTS = (
    "audit_non_hmac_request_keys",
    "audit_non_hmac_response_keys",
    "passthrough_request_headers",
    "allowed_response_headers",
)
_LOCKOUT = {
    "lockout_threshold": "threshold",
    "lockout_duration": "duration",
    "lockout_counter_reset_duration": "reset",
}


def shown(mount: Mount) -> dict[str, Any]:
    """A mount as the wire shows it."""
    config: dict[str, Any] = {
        "default_lease_ttl": mount.default_lease_ttl,
        "max_lease_ttl": mount.max_lease_ttl,
        "force_no_cache": mount.force_no_cache,
    }
    if mount.listing_visibility:
        config["listing_visibility"] = mount.listing_visibility
    if mount.is_auth:
        config["token_type"] = mount.token_type or "default-service"
    config |= {name: getattr(mount, name) for name in _LISTS if getattr(mount, name)}
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
        "running_plugin_version": "v1.0.0+builtin",
        "running_sha256": "",
        "deprecation_status": "supported",
    }


def _table(ctx: Context, *, auth: bool) -> dict[str, Any]:
    cut = len("auth/") if auth else 0
    mounts = ctx.access.mounts.table(ctx.unit).by_path.values()
    return {m.path[cut:]: shown(m) for m in mounts if m.is_auth == auth}


def _find(ctx: Context, path: str) -> Mount:
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
    return Response(shown(_find(ctx, path)))


@ENGINE.write("mounts/{path:path}", plain=("type", "plugin_name", "description", "config", "options"))
def enable_mount(
    ctx: Context,
    path: str,
    type_: Kind = "",
    description: str = "",
    config: Json | None = None,
    options: TextMap | None = None,
    local: bool = False,
    seal_wrap: bool = False,
    external_entropy_access: bool = False,
    plugin_name: str = "",
) -> Response | None:
    """Mount a secrets engine at a path."""
    flags = {"local": local, "seal_wrap": seal_wrap, "external_entropy_access": external_entropy_access}
    return _enable(ctx, path, type_ or plugin_name, description, config, options, flags, auth=False)


@ENGINE.delete("mounts/{path:path}")
def disable_mount(ctx: Context, path: str) -> None:
    """Unmount a secrets engine. Its data is removed."""
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
    return Response(shown(_find(ctx, "auth/" + path)))


@ENGINE.write(
    "auth/{path:path}", sudo=True, plain=("type", "plugin_name", "description", "config", "options")
)
def enable_auth(
    ctx: Context,
    path: str,
    type_: Kind = "",
    description: str = "",
    config: Json | None = None,
    options: TextMap | None = None,
    local: bool = False,
    seal_wrap: bool = False,
    external_entropy_access: bool = False,
    plugin_name: str = "",
) -> Response | None:
    """Mount an auth method at a path below `auth/`."""
    flags = {"local": local, "seal_wrap": seal_wrap, "external_entropy_access": external_entropy_access}
    return _enable(ctx, "auth/" + path, type_ or plugin_name, description, config, options, flags, auth=True)


@ENGINE.delete("auth/{path:path}", sudo=True)
def disable_auth(ctx: Context, path: str) -> None:
    """Unmount an auth method. Its data is removed and the tokens it issued end."""
    _disable(ctx, f"auth/{path}/")


def _enable(
    ctx: Context,
    path: str,
    kind: str,
    description: str,
    config: object,
    options: dict[str, str] | None,
    flags: dict[str, bool],
    *,
    auth: bool,
) -> Response | None:
    if not kind:
        raise Invalid("backend type must be specified as a string", hint='send {"type": "kv"}')
    if not auth and (path + "/").startswith(_OWN_PREFIXES):
        raise Invalid(f'cannot mount "{path}/"', hint="choose a path of its own")
    options = dict(options or {})
    if kind in _KV_NAMES and not auth:
        kind, options = "kv", options | _KV_NAMES[kind]
    if kind in _FIXED_KINDS:
        raise Invalid(f'mount type of "{kind}" is not mountable', hint="every server has it already")
    if not _known(ctx, kind, auth=auth):
        raise Invalid(
            f"plugin not found in the catalog: {kind}",
            hint=f"this build has: {', '.join(offered(ctx, auth=auth))}",
        )
    if kind == "kv" and options.get("version", "1") not in ("1", "2"):
        raise Invalid("a KV mount has version 1 or 2")
    mount = ctx.access.mounts.new(path + "/", kind, now=ctx.now)
    mount.description, mount.options = description, options
    for name, value in flags.items():
        setattr(mount, name, value)
    tuned = apply(mount, _object("config", config))
    check_ttls(ctx, tuned)
    ctx.access.mounts.add(ctx.unit, tuned)
    return None


def _known(ctx: Context, kind: str, *, auth: bool) -> bool:
    return kind in ctx.access.kinds(auth=auth) or (kind == "kv" and not auth)


def offered(ctx: Context, *, auth: bool) -> list[str]:
    """Types that can be mounted."""
    names = set(ctx.access.kinds(auth=auth)) - {"system", "cubbyhole", "token", "kv-v1", "kv-v2"}
    return sorted(names if auth else names | {"kv"})


def _disable(ctx: Context, path: str) -> None:
    if path in FIXED:
        raise Invalid(f'cannot unmount "{path}"', hint="every server has this mount")
    mount = ctx.access.mounts.remove(ctx.unit, path)
    if mount is None:
        return
    if mount.is_auth:
        ctx.access.end_tokens_below(ctx.unit, path)
    ctx.access.wipe(ctx.unit, mount)


# ── tuning ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@ENGINE.read("mounts/{path:path}/tune", shape=Shape.REPEATED)
def read_tuning(ctx: Context, path: str) -> Response:
    """Show a secrets engine's settings."""
    return _tuning(ctx, path)


@ENGINE.read("auth/{path:path}/tune", sudo=True, shape=Shape.REPEATED)
def read_auth_tuning(ctx: Context, path: str) -> Response:
    """Show an auth method's settings."""
    return _tuning(ctx, "auth/" + path)


def _tuning(ctx: Context, path: str) -> Response:
    mount = _find(ctx, path)
    default, maximum = ctx.access.mount_ttls(mount)
    data = {
        **shown(mount)["config"],
        "description": mount.description,
        "default_lease_ttl": default,
        "max_lease_ttl": maximum,
    }
    if mount.options:
        data["options"] = mount.options
    if mount.user_lockout:
        data |= {
            "user_" + name: mount.user_lockout[ours]
            for name, ours in _LOCKOUT.items()
            if ours in mount.user_lockout
        }
        data["user_lockout_disable"] = mount.user_lockout.get("threshold") == 0
    return Response(data)


TUNED = ("default_lease_ttl", "max_lease_ttl", "description", "options")


def _tune_operation(ctx: Context, path: str) -> Response | None:
    mount = _find(ctx, path)
    wanted = {name: msgspec.json.decode(raw) for name, raw in ctx.request.fields.items()}
    options = wanted.pop("options", None)
    tuned = apply(mount, wanted)
    check_ttls(ctx, tuned)
    warnings = _tune_options(ctx, tuned, options)
    ctx.access.mounts.replace(ctx.unit, mount.path, tuned)
    return Response(warnings=warnings) if warnings else None


def _tune_options(ctx: Context, mount: Mount, options: Any) -> list[str]:
    if not isinstance(options, dict) or not options:
        return []
    before = (mount.options or {}).get("version", "1")
    after = str(options.get("version", before))
    if mount.kind == "kv" and after not in ("1", "2"):
        raise Invalid(f"invalid version provided: {after}", hint="a KV mount has version 1 or 2")
    if mount.kind == "kv" and before == "2" and after == "1":
        raise Invalid("cannot downgrade mount from version 2")
    mount.options = {**(mount.options or {}), **{key: str(value) for key, value in options.items()}}
    if mount.kind != "kv" or after == before:
        return []
    take_over = ctx.access.engine(mount).upgrade
    if take_over is not None:
        take_over(
            ctx.access.store_of(ctx.unit, mount), ctx.access.opaque_of(ctx.unit, mount), ctx.now, ctx.random
        )
    return [
        f"Upgraded mount from version {before} to version {after}: its secrets are now below {mount.path}data/"
    ]


def apply(mount: Mount, wanted: dict[str, Any]) -> Mount:
    """A copy of the mount with these settings. "" and null leave a duration as it is."""
    tuned = msgspec.structs.replace(mount)
    for name in _DURATIONS:
        if wanted.get(name) not in (None, ""):
            setattr(tuned, name, parse_duration(wanted[name]) or 0)
    for name in ("description", "listing_visibility", "token_type"):
        if wanted.get(name) is not None:
            if not isinstance(wanted[name], str):
                raise Invalid(f"{name} must be a text")
            setattr(tuned, name, wanted[name])
    for name in _LISTS:
        if wanted.get(name) is not None:
            setattr(tuned, name, _names(name, wanted[name]))
    if isinstance(wanted.get("force_no_cache"), bool):
        tuned.force_no_cache = wanted["force_no_cache"]
    _check_words(tuned)
    tuned.user_lockout = {**tuned.user_lockout, **_lockout(wanted.get("user_lockout_config"))}
    return tuned


def _check_words(mount: Mount) -> None:
    if mount.listing_visibility not in ("", "hidden", "unauth"):
        raise Invalid("listing_visibility is hidden, unauth or empty")
    if mount.token_type not in _TOKEN_TYPES:
        raise Invalid("invalid value for 'token_type'", hint=f"one of {', '.join(_TOKEN_TYPES[1:])}")


def _names(name: str, value: Any) -> list[str]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise Invalid(f"{name} must be a list of texts")
    return value


def _lockout(value: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, ours in _LOCKOUT.items():
        if isinstance(value, dict) and value.get(name) not in (None, ""):
            found[ours] = parse_duration(value[name]) or 0
    if isinstance(value, dict) and value.get("lockout_disable") in (True, "true"):
        found["threshold"] = 0
    return found


def check_ttls(ctx: Context, mount: Mount) -> None:
    """Raise `Invalid` for a default above its maximum."""
    maximum = mount.max_lease_ttl or ctx.access.settings.max_lease_ttl
    if mount.default_lease_ttl and mount.default_lease_ttl > maximum:
        raise Invalid("default lease TTL is above the maximum lease TTL")


def _object(name: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Invalid(f"{name} must be an object")
    return value


@ENGINE.write("mounts/{path:path}/tune", plain=TUNED)
def tune_mount(ctx: Context, path: str) -> Response | None:
    """Change a secrets engine's settings. What is left out stays as it is."""
    return _tune_operation(ctx, path)


@ENGINE.write("auth/{path:path}/tune", sudo=True, plain=TUNED)
def tune_auth(ctx: Context, path: str) -> Response | None:
    """Change an auth method's settings. What is left out stays as it is."""
    return _tune_operation(ctx, "auth/" + path)


# ── moving ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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
    if target.startswith(("sys/", "cubbyhole/", "identity/")) or target.startswith("auth/") != mount.is_auth:
        raise Invalid(
            f"cannot remount to destination {target}",
            hint="an auth method stays below auth/, a secrets engine outside it",
        )
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
