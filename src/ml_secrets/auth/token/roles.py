"""Token roles: create, read, change, delete, list."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec

from ml_secrets.auth.token.engine import ENGINE
from ml_secrets.auth.token.state import ROLES, TokenRole, drop_role, find_role, keep_role, shown_role
from ml_secrets.contract import Context, Help, Names, Response, Seconds, Strings
from ml_secrets.contract.expand import expand
from ml_secrets.contract.names import names_in
from ml_secrets.domain.path import policy_name
from ml_secrets.domain.token import address_ranges
from ml_secrets.errors import Invalid

_FIELDS: Final[dict[str, tuple[str, Any, str]]] = {
    "allowed_policies": ("allowed_policies", Names, "Policies that its tokens may have."),
    "allowed_policies_glob": (
        "allowed_policies_glob",
        Names,
        "The same as patterns; * stands for anything but root.",
    ),
    "disallowed_policies": ("disallowed_policies", Names, "Policies that its tokens never have."),
    "disallowed_policies_glob": ("disallowed_policies_glob", Names, "The same as patterns."),
    "allowed_entity_aliases": ("allowed_entity_aliases", Strings, "Entity aliases that may be asked for."),
    "orphan": ("orphan", bool, "Whether its tokens outlive the token that made them."),
    "renewable": ("renewable", bool, "Whether its tokens can be renewed."),
    "path_suffix": ("path_suffix", str, "Put behind the path of its tokens, to revoke them by."),
    "token_period": ("period", Seconds, "Renewable for this long again and again."),
    "period": ("period", Seconds, "Older name of token_period."),
    "token_explicit_max_ttl": ("explicit_max_ttl", Seconds, "A hard end that no renewal moves."),
    "explicit_max_ttl": ("explicit_max_ttl", Seconds, "Older name of token_explicit_max_ttl."),
    "token_num_uses": ("num_uses", int, "How often its tokens can be used; 0 is without limit."),
    "token_bound_cidrs": ("bound_cidrs", Strings, "Addresses that may use its tokens; none is everywhere."),
    "bound_cidrs": ("bound_cidrs", Strings, "Older name of token_bound_cidrs."),
    "token_no_default_policy": ("no_default_policy", bool, "Leaves out the policy `default`."),
    "token_strictly_bind_ip": ("strictly_bind_ip", bool, "Binds each token to the address that made it."),
    "token_type": ("kind", str, "service, batch, default-service or default-batch."),
}
_OLD: Final = ("period", "explicit_max_ttl", "bound_cidrs")
_KINDS: Final = ("default-service", "default-batch", "service", "batch")
_SUFFIX: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", re.ASCII)

_with_fields = expand(
    "sent",
    {name: Annotated[kind, Help(help_)] for name, (_, kind, help_) in _FIELDS.items()},
    lambda sent: sent,
)


@ENGINE.list("roles")
def list_roles(ctx: Context, after: str = "", limit: int = -1) -> Response | None:
    """List the names of all token roles."""
    return names_in(ctx.store, ROLES, after, limit)


@ENGINE.read("roles/{name}")
def read_role(ctx: Context, name: str) -> Response | None:
    """Show a token role."""
    role = find_role(ctx.store, name)
    return None if role is None else Response(shown_role(name, role))


def _exists(ctx: Context, captures: dict[str, str]) -> bool:
    return find_role(ctx.store, captures["name"]) is not None


@ENGINE.write("roles/{name}", exists=_exists, plain=tuple(_FIELDS))
@_with_fields
def write_role(ctx: Context, name: str, sent: dict[str, Any]) -> Response | None:
    """Create a token role, or change the fields that are given."""
    before = find_role(ctx.store, name) or TokenRole()
    sent = {field: value for field, value in sent.items() if value is not None}
    warnings = []
    for old in _OLD:
        if old in sent and f"token_{old}" in sent:
            warnings.append(
                f"Both 'token_{old}' and deprecated '{old}' value supplied, ignoring the deprecated value"
            )
            del sent[old]
    named = (set(before.old_names) | (sent.keys() & set(_OLD))) - {
        field.removeprefix("token_") for field in sent if field.startswith("token_")
    }
    changes = {_FIELDS[field][0]: value for field, value in sent.items()}
    role = _checked(msgspec.structs.replace(before, **changes, old_names=sorted(named)))
    keep_role(ctx.store, name, role)
    longest = ctx.access.mount_ttls(ctx.mount)[1]
    if role.explicit_max_ttl > longest:
        warnings.append(
            f"Given explicit max TTL of {role.explicit_max_ttl} is greater than system/mount allowed value of {longest} seconds"
        )
    return Response(warnings=warnings) if warnings else None


@ENGINE.delete("roles/{name}")
def delete_role(ctx: Context, name: str) -> None:
    """Delete a token role. Tokens it made live on."""
    drop_role(ctx.store, name)


def _checked(role: TokenRole) -> TokenRole:
    """The role, if it makes sense. Raises `Invalid`."""
    if role.kind not in _KINDS:
        raise Invalid("invalid 'token_type' value", hint=f"one of {', '.join(_KINDS)}")
    if role.path_suffix and not _SUFFIX.fullmatch(role.path_suffix):
        raise Invalid("given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w")
    if role.num_uses < 0:
        raise Invalid("'token_num_uses' cannot be negative")
    if role.kind == "batch":
        if not role.orphan:
            raise Invalid("'token_type' cannot be 'batch' when role is set to generate non-orphan tokens")
        if role.period:
            raise Invalid("'token_type' cannot be 'batch' when role is set to generate periodic tokens")
        if role.renewable:
            raise Invalid("'token_type' cannot be 'batch' when role is set to generate renewable tokens")
        if role.explicit_max_ttl or role.num_uses:
            raise Invalid(
                "'token_type' cannot be 'batch' when role is set to generate tokens with an explicit max TTL or limited uses"
            )
    return msgspec.structs.replace(
        role,
        allowed_policies=tuple(policy_name(name) for name in role.allowed_policies),
        disallowed_policies=tuple(policy_name(name, root=True) for name in role.disallowed_policies),
        bound_cidrs=address_ranges(role.bound_cidrs),
    )
