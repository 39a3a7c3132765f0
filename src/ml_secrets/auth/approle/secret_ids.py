"""Secret ids: make, choose, list, look up, destroy. Another role's secret id is as unknown as one that never was."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated, Any, Final

from ml_secrets.auth.approle.engine import ENGINE
from ml_secrets.auth.approle.state import (
    Role,
    SecretId,
    add_secret_id,
    drop_secret_id,
    find_accessor,
    find_secret_id,
    get_role,
    is_over,
    key_of,
    secret_ids,
    sweep,
    uuid,
)
from ml_secrets.contract import Context, Help, Response, Seconds, Strings, TextMap
from ml_secrets.contract.expand import expand
from ml_secrets.contract.names import named
from ml_secrets.domain.instant import rfc3339
from ml_secrets.domain.token import address_ranges, networks
from ml_secrets.errors import Invalid, NotFound
from ml_secrets.sensitive import Sensitive

Secret = Annotated[Sensitive, Help("The secret id.")]
Accessor = Annotated[str, Help("The secret id's accessor.")]
_MOST_SWEPT: Final = 10_000
_NEVER: Final = "0001-01-01T00:00:00Z"
_FIELDS: Final[dict[str, tuple[Any, str]]] = {
    "metadata": (TextMap, "Shown in the tokens of logins with it: a JSON object, as text or as it is."),
    "cidr_list": (Strings, "Addresses that may log in with it; within the role's."),
    "token_bound_cidrs": (Strings, "Addresses that may use the tokens; within the role's."),
    "ttl": (Seconds, "How long it lives; default and maximum: the role's."),
    "num_uses": (int, "How often it can be used; default and maximum: the role's."),
}


@dataclass(slots=True, kw_only=True)
class Asked:
    """What a request asks for; what it does not name is None."""

    metadata: dict[str, str] | None
    cidr_list: tuple[str, ...] | None
    token_bound_cidrs: tuple[str, ...] | None
    ttl: int | None
    num_uses: int | None


_with_fields = expand(
    "asked",
    {name: Annotated[kind, Help(help_)] for name, (kind, help_) in _FIELDS.items()},
    lambda sent: Asked(**sent),
)


@ENGINE.list("role/{name}/secret-id", folded=("name",))
def list_secret_ids(ctx: Context, name: str) -> Response | None:
    """List the accessors of a role's secret ids."""
    role = get_role(ctx, name)
    accessors = sorted(s.accessor for _, s in secret_ids(ctx, role) if not is_over(s, ctx.now))
    return named(accessors)


@ENGINE.write("role/{name}/secret-id", folded=("name",), plain=_FIELDS)
@_with_fields
def make_secret_id(ctx: Context, name: str, asked: Asked) -> Response:
    """Make a secret id."""
    role = get_role(ctx, name)
    return _keep(ctx, role, uuid(ctx), _new(ctx, role, asked))


@ENGINE.write("role/{name}/custom-secret-id", folded=("name",), plain=_FIELDS)
@_with_fields
def choose_secret_id(ctx: Context, name: str, asked: Asked, secret_id: Secret | None = None) -> Response:
    """Add a secret id of your own choosing. It is only as hard to guess as you make it."""
    role, text = get_role(ctx, name), _given(secret_id)
    if find_secret_id(ctx, role, key_of(ctx, role, text)) is not None:
        raise Invalid("SecretID is already registered")
    return _keep(ctx, role, text, _new(ctx, role, asked))


@ENGINE.write("role/{name}/secret-id/lookup", folded=("name",), changes=False)
def look_up(ctx: Context, name: str, secret_id: Secret | None = None) -> Response | None:
    """Show what is known of a secret id; nothing for an unknown one."""
    role = get_role(ctx, name)
    found = find_secret_id(ctx, role, key_of(ctx, role, _given(secret_id)))
    return None if found is None else Response(_shown(found))


@ENGINE.write("role/{name}/secret-id/destroy", folded=("name",))
@ENGINE.delete("role/{name}/secret-id/destroy", folded=("name",))
def destroy(ctx: Context, name: str, secret_id: Secret | None = None) -> None:
    """End a secret id. Tokens from logins with it live on."""
    role = get_role(ctx, name)
    key = key_of(ctx, role, _given(secret_id))
    found = find_secret_id(ctx, role, key)
    if found is not None:
        drop_secret_id(ctx, role.uuid, key, found)


@ENGINE.write("role/{name}/secret-id-accessor/lookup", folded=("name",), changes=False)
def look_up_accessor(ctx: Context, name: str, secret_id_accessor: Accessor = "") -> Response:
    """Show what is known of a secret id, by its accessor."""
    return Response(_shown(_by_accessor(ctx, get_role(ctx, name), secret_id_accessor)[1]))


@ENGINE.write("role/{name}/secret-id-accessor/destroy", folded=("name",))
@ENGINE.delete("role/{name}/secret-id-accessor/destroy", folded=("name",))
def destroy_accessor(ctx: Context, name: str, secret_id_accessor: Accessor = "") -> None:
    """End a secret id, by its accessor."""
    role = get_role(ctx, name)
    key, found = _by_accessor(ctx, role, secret_id_accessor)
    drop_secret_id(ctx, role.uuid, key, found)


@ENGINE.write("tidy/secret-id")
def tidy(ctx: Context) -> Response:
    """Remove the rows of expired secret ids. They are refused from the moment they expire, tidied or not."""
    gone = sweep(ctx, limit=_MOST_SWEPT)
    return Response(warnings=[f"{gone} expired secret ids have been removed."], status=202)


# ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _new(ctx: Context, role: Role, asked: Asked) -> SecretId:
    if not role.bind_secret_id:
        raise Invalid("bind_secret_id is not set on the role", hint="logins with this role need no secret id")
    uses = role.secret_id_num_uses if asked.num_uses is None else asked.num_uses
    lifetime = role.secret_id_ttl if asked.ttl is None else asked.ttl
    if uses < 0:
        raise Invalid("num_uses cannot be negative")
    if role.secret_id_num_uses and not 0 < uses <= role.secret_id_num_uses:
        raise Invalid("num_uses cannot be higher than the role's secret_id_num_uses")
    if role.secret_id_ttl and not 0 < lifetime <= role.secret_id_ttl:
        raise Invalid("ttl cannot be longer than the role's secret_id_ttl")
    return SecretId(
        accessor=uuid(ctx),
        created=ctx.now,
        updated=ctx.now,
        expires=ctx.now + lifetime if lifetime else None,
        ttl=lifetime,
        uses_left=uses,
        metadata=asked.metadata or {},
        cidr_list=networks(_within(asked.cidr_list, role.secret_id_bound_cidrs)),
        token_bound_cidrs=_within(asked.token_bound_cidrs, role.parameters.bound_cidrs),
    )


def _within(cidrs: tuple[str, ...] | None, bounds: tuple[str, ...]) -> tuple[str, ...]:
    """The addresses in their one spelling. Raises `Invalid` for one outside the role's."""
    found = address_ranges(cidrs or ())
    outer = [ipaddress.ip_network(bound) for bound in bounds]
    for network in map(ipaddress.ip_network, found):
        if outer and not any(_holds(bound, network) for bound in outer):
            raise Invalid("the addresses are not within those of the role")
    return found


def _holds(outer: Any, inner: Any) -> bool:
    return bool(outer.version == inner.version and inner.subnet_of(outer))


def _keep(ctx: Context, role: Role, text: str, made: SecretId) -> Response:
    add_secret_id(ctx, role, key_of(ctx, role, text), made)
    data = {
        "secret_id": text,
        "secret_id_accessor": made.accessor,
        "secret_id_ttl": made.ttl,
        "secret_id_num_uses": made.uses_left,
    }
    return Response(data, accessor=made.accessor)


def _given(secret_id: Sensitive | None) -> str:
    if not secret_id:
        raise Invalid("missing secret_id")
    return secret_id.reveal()


def _by_accessor(ctx: Context, role: Role, accessor: str) -> tuple[str, SecretId]:
    if not accessor:
        raise Invalid("missing secret_id_accessor")
    found = find_accessor(ctx, role, accessor)
    if found is None:
        raise NotFound(data={"error": "failed to find accessor entry for secret_id_accessor"})
    return found


def _shown(secret_id: SecretId) -> dict[str, Any]:
    return {
        "cidr_list": secret_id.cidr_list,
        "creation_time": rfc3339(secret_id.created),
        "expiration_time": _NEVER if secret_id.expires is None else rfc3339(secret_id.expires),
        "last_updated_time": rfc3339(secret_id.updated),
        "metadata": secret_id.metadata,
        "secret_id_accessor": secret_id.accessor,
        "secret_id_num_uses": secret_id.uses_left,
        "secret_id_ttl": secret_id.ttl,
        "token_bound_cidrs": secret_id.token_bound_cidrs,
    }
