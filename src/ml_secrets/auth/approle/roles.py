"""Roles: create, read, change, delete, list; their role ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from ml_secrets.auth.approle.engine import ENGINE
from ml_secrets.auth.approle.state import ROLES, Role, drop_role, find_role, get_role, keep_role, uuid
from ml_secrets.auth.token_fields import PLAIN, TokenFields, shown, with_token_fields
from ml_secrets.contract import Context, Help, Response, Seconds, Strings
from ml_secrets.contract.names import names_in
from ml_secrets.domain.token import networks
from ml_secrets.errors import Invalid

Cidrs = Annotated[Strings, Help("Addresses that may log in; none is everywhere.")]
_OWN = ("bind_secret_id", "secret_id_bound_cidrs", "secret_id_num_uses", "secret_id_ttl", "local_secret_ids")


@dataclass(slots=True)
class Changes:
    """What a request changes in a role: its own fields by name, and the token fields."""

    own: dict[str, Any]
    token: TokenFields

    def apply(self, role: Role) -> tuple[Role, list[str]]:
        """The changed role, and warnings. Raises `Invalid`."""
        own = {name: value for name, value in self.own.items() if value is not None}
        if own.get("secret_id_num_uses", 0) < 0:
            raise Invalid("secret_id_num_uses cannot be negative")
        if "secret_id_bound_cidrs" in own:
            own["secret_id_bound_cidrs"] = networks(own["secret_id_bound_cidrs"])
        parameters, warnings = self.token.apply(role.parameters)
        names = self.token.old_names(role.old_names)
        return msgspec.structs.replace(role, parameters=parameters, old_names=names, **own), warnings


@ENGINE.list("role")
def list_roles(ctx: Context, after: str = "", limit: int = -1) -> Response | None:
    """List the names of all roles."""
    return names_in(ctx.store, ROLES, after, limit)


@ENGINE.read("role/{name}", folded=("name",))
def read_role(ctx: Context, name: str) -> Response | None:
    """Show a role."""
    role = find_role(ctx, name)
    if role is None:
        return None
    data = {field: getattr(role, field) for field in _OWN} | shown(role.parameters, role.old_names)
    return Response({**data, "secret_id_bound_cidrs": role.secret_id_bound_cidrs or None})


def _exists(ctx: Context, captures: dict[str, str]) -> bool:
    return find_role(ctx, captures["name"]) is not None


@ENGINE.write("role/{name}", folded=("name",), exists=_exists, plain=(*PLAIN, *_OWN))
@with_token_fields("policies", "period")
def write_role(
    ctx: Context,
    name: str,
    *,
    token: TokenFields,
    role_id: Annotated[str, Help("The role id; a random one where it is left out.")] = "",
    bind_secret_id: Annotated[bool | None, Help("Whether a login needs a secret id (the default).")] = None,
    secret_id_bound_cidrs: Cidrs | None = None,
    bound_cidr_list: Annotated[Strings | None, Help("Older name of secret_id_bound_cidrs.")] = None,
    secret_id_num_uses: Annotated[
        int | None, Help("How often a secret id can be used; 0 is without limit.")
    ] = None,
    secret_id_ttl: Annotated[Seconds | None, Help("How long a secret id lives; 0 is for ever.")] = None,
    local_secret_ids: Annotated[
        bool | None, Help("Keeps secret ids to this cluster; only when the role is made.")
    ] = None,
) -> Response | None:
    """Create a role, or change the fields that are given."""
    before = find_role(ctx, name)
    if before is not None and local_secret_ids is not None:
        raise Invalid("local_secret_ids can only be modified during role creation")
    own = {
        "role_id": role_id or None,
        "bind_secret_id": bind_secret_id,
        "secret_id_bound_cidrs": bound_cidr_list if secret_id_bound_cidrs is None else secret_id_bound_cidrs,
        "secret_id_num_uses": secret_id_num_uses,
        "secret_id_ttl": secret_id_ttl,
        "local_secret_ids": local_secret_ids,
    }
    role, warnings = Changes(own, token).apply(before or Role(uuid=uuid(ctx), role_id=uuid(ctx)))
    keep_role(ctx, name, role, before)
    return Response(warnings=warnings) if warnings else None


@ENGINE.delete("role/{name}", folded=("name",))
def delete_role(ctx: Context, name: str) -> None:
    """Delete a role and its secret ids. Tokens it gave live on until they expire, but are not renewed."""
    drop_role(ctx, name)


@ENGINE.read("role/{name}/role-id", folded=("name",))
def read_role_id(ctx: Context, name: str) -> Response | None:
    """Show a role's role id."""
    role = find_role(ctx, name)
    return None if role is None else Response({"role_id": role.role_id})


@ENGINE.write("role/{name}/role-id", folded=("name",))
def set_role_id(ctx: Context, name: str, role_id: str = "") -> None:
    """Choose a role's role id."""
    if not role_id:
        raise Invalid("missing role_id")
    role = get_role(ctx, name)
    keep_role(ctx, name, msgspec.structs.replace(role, role_id=role_id), role)
