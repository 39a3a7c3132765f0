"""Roles and secret ids as stored. Of role ids, secret ids and accessors only HMACs name rows; rows are sealed.

    role/<name>                           Role            (names are people's: in the mount's `store`)
    role-id/<HMAC>                        the role's name (from here on in its `opaque` part)
    secret-id/<role uuid>/<HMAC>          SecretId
    accessor/<role uuid>/<HMAC>           HMAC of the secret id
    expire/<seconds>/<role uuid>.<HMAC>   (empty), in the order of time

A role's uuid is new each time it is made, so a role that takes the name of a deleted one gets none of its secret ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ml_secrets.domain.path import resource_name
from ml_secrets.domain.token import TokenParameters
from ml_secrets.errors import Invalid, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.contract import Context, Transaction

ROLES = "role/"


class Role(msgspec.Struct, kw_only=True):
    """Durations in seconds, 0 means "not set"; `secret_id_num_uses` 0 is without limit. `old_names`: see token_fields."""

    uuid: str
    role_id: str
    parameters: TokenParameters = msgspec.field(default_factory=TokenParameters)
    old_names: list[str] = []
    bind_secret_id: bool = True
    secret_id_bound_cidrs: tuple[str, ...] = ()
    secret_id_num_uses: int = 0
    secret_id_ttl: int = 0
    local_secret_ids: bool = False


class SecretId(msgspec.Struct, kw_only=True):
    """`uses_left` 0 is without limit, `expires` None is never; `ttl` in seconds as it was asked for."""

    accessor: str
    created: float
    updated: float
    expires: float | None
    ttl: int
    uses_left: int
    metadata: dict[str, str] = {}
    cidr_list: tuple[str, ...] = ()
    token_bound_cidrs: tuple[str, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decode_role = msgspec.msgpack.Decoder(Role).decode
_decode_secret_id = msgspec.msgpack.Decoder(SecretId).decode


def uuid(ctx: Context) -> str:
    """128 random bits, written as a UUID."""
    text = ctx.random(16).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


# ── roles ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def find_role(ctx: Context, name: str) -> Role | None:
    """The role of that name. Raises `Invalid` for a name that none can have."""
    return read_role(ctx.store, name)


def read_role(store: Transaction, name: str) -> Role | None:
    """The same, in a given store."""
    row = store.get(ROLES + role_name(name))
    return None if row is None else _decode_role(row)


def get_role(ctx: Context, name: str) -> Role:
    """The role of that name. Raises `NotFound`."""
    role = find_role(ctx, name)
    if role is None:
        raise NotFound(f'role "{role_name(name)}" does not exist', hint="list them with LIST …/role")
    return role


def role_name(name: str) -> str:
    """A role's name in its one spelling."""
    return resource_name(name, what="role name")


def role_of_id(ctx: Context, role_id: str) -> tuple[str, Role] | None:
    """(name, role) behind a role id."""
    name = ctx.opaque.get(_role_id_key(ctx, role_id))
    role = None if name is None else find_role(ctx, name.decode())
    return None if name is None or role is None else (name.decode(), role)


def keep_role(ctx: Context, name: str, role: Role, before: Role | None) -> None:
    """Create or replace. Raises `Invalid` when no constraint is left, or another role has the role id."""
    if not (role.bind_secret_id or role.secret_id_bound_cidrs or role.parameters.bound_cidrs):
        raise Invalid(
            "at least one constraint should be enabled on the role", hint="bind_secret_id, or addresses"
        )
    if before is None or before.role_id != role.role_id:
        key = _role_id_key(ctx, role.role_id)
        if ctx.opaque.get(key) is not None:
            raise Invalid("role_id already in use")
        ctx.opaque.put(key, role_name(name).encode())
        if before is not None:
            ctx.opaque.delete(_role_id_key(ctx, before.role_id))
    ctx.store.put(ROLES + role_name(name), _encode(role))


def drop_role(ctx: Context, name: str) -> None:
    """Delete a role and all its secret ids."""
    role = find_role(ctx, name)
    if role is None:
        return
    for key, secret_id in list(secret_ids(ctx, role)):
        drop_secret_id(ctx, role.uuid, key, secret_id)
    ctx.opaque.delete(_role_id_key(ctx, role.role_id))
    ctx.store.delete(ROLES + role_name(name))


def _role_id_key(ctx: Context, role_id: str) -> str:
    return "role-id/" + ctx.access.tokens.digest(f"role-id/{ctx.mount.uuid}", role_id)


# ── secret ids ──────────────────────────────────────────────────────────────────────────────────────────────────────


def key_of(ctx: Context, role: Role, secret_id: str) -> str:
    """A secret id's name in the store."""
    return ctx.access.tokens.digest(f"secret-id/{role.uuid}", secret_id)


def find_secret_id(ctx: Context, role: Role, key: str) -> SecretId | None:
    """The secret id of that key, unless it has expired."""
    row = ctx.opaque.get(f"secret-id/{role.uuid}/{key}")
    found = None if row is None else _decode_secret_id(row)
    return None if found is None or is_over(found, ctx.now) else found


def find_accessor(ctx: Context, role: Role, accessor: str) -> tuple[str, SecretId] | None:
    """(key, secret id) behind an accessor of this role."""
    key = ctx.opaque.get(_accessor_key(ctx, role.uuid, accessor))
    found = None if key is None else find_secret_id(ctx, role, key.decode())
    return None if key is None or found is None else (key.decode(), found)


def is_over(secret_id: SecretId, now: float) -> bool:
    """True once a secret id has expired."""
    return secret_id.expires is not None and secret_id.expires <= now


def secret_ids(ctx: Context, role: Role) -> Iterator[tuple[str, SecretId]]:
    """(key, secret id) of a role, expired ones too."""
    folder = f"secret-id/{role.uuid}/"
    for key in ctx.opaque.list(folder):
        row = ctx.opaque.get(folder + key)
        if row is not None:
            yield key, _decode_secret_id(row)


def add_secret_id(ctx: Context, role: Role, key: str, secret_id: SecretId) -> None:
    """Store a new one, and sweep away a few that have expired: so their rows never pile up."""
    sweep(ctx, limit=4)
    before = ctx.opaque.get(f"secret-id/{role.uuid}/{key}")
    if before is not None:  # expired and not swept yet: a chosen one can come again
        drop_secret_id(ctx, role.uuid, key, _decode_secret_id(before))
    ctx.opaque.put(f"secret-id/{role.uuid}/{key}", _encode(secret_id))
    ctx.opaque.put(_accessor_key(ctx, role.uuid, secret_id.accessor), key.encode())
    if secret_id.expires is not None:
        ctx.opaque.put(_expiry_key(role.uuid, key, secret_id.expires), b"")


def spend_secret_id(ctx: Context, role: Role, key: str, secret_id: SecretId) -> None:
    """Take one use off; the last one ends it."""
    if secret_id.uses_left == 1:
        drop_secret_id(ctx, role.uuid, key, secret_id)
    elif secret_id.uses_left:
        left = msgspec.structs.replace(secret_id, uses_left=secret_id.uses_left - 1, updated=ctx.now)
        ctx.opaque.put(f"secret-id/{role.uuid}/{key}", _encode(left))


def drop_secret_id(ctx: Context, role_uuid: str, key: str, secret_id: SecretId) -> None:
    """End a secret id."""
    ctx.opaque.delete(f"secret-id/{role_uuid}/{key}")
    ctx.opaque.delete(_accessor_key(ctx, role_uuid, secret_id.accessor))
    if secret_id.expires is not None:
        ctx.opaque.delete(_expiry_key(role_uuid, key, secret_id.expires))


def sweep(ctx: Context, *, limit: int) -> int:
    """Remove rows of at most `limit` expired secret ids; how many went. None of them was valid any more."""
    swept = 0
    for moment in ctx.opaque.list("expire/", limit=limit):
        if int(moment.rstrip("/"), 16) > ctx.now:
            break
        for name in ctx.opaque.list(f"expire/{moment}", limit=limit - swept):
            role_uuid, _, key = name.partition(".")
            row = ctx.opaque.get(f"secret-id/{role_uuid}/{key}")
            if row is not None:
                drop_secret_id(ctx, role_uuid, key, _decode_secret_id(row))
            swept += 1
        if swept >= limit:
            break
    return swept


def _accessor_key(ctx: Context, role_uuid: str, accessor: str) -> str:
    return f"accessor/{role_uuid}/" + ctx.access.tokens.digest(f"secret-id-accessor/{role_uuid}", accessor)


def _expiry_key(role_uuid: str, key: str, expires: float) -> str:
    return f"expire/{int(expires) + 1:012x}/{role_uuid}.{key}"
