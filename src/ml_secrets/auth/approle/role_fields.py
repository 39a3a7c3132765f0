"""Each field of a role as a path of its own: read, write, and delete (back to its default)."""

from __future__ import annotations

from typing import Annotated, Any

from ml_secrets.auth.approle.engine import ENGINE
from ml_secrets.auth.approle.roles import Changes
from ml_secrets.auth.approle.state import Role, find_role, get_role, keep_role
from ml_secrets.auth.token_fields import TokenFields, shown
from ml_secrets.contract import Context, Help, Response, Seconds, Strings
from ml_secrets.contract.expand import expand
from ml_secrets.domain.token import TokenParameters
from ml_secrets.errors import Invalid

_DEFAULTS = Role(uuid="", role_id="")
_BLANK = shown(TokenParameters(), [])
_NOTHING: dict[Any, Any] = {Strings: (), Seconds: 0, int: 0}


def _value(role: Role, field: str) -> Any:
    if field in _BLANK:
        return shown(role.parameters, [])[field]
    value = getattr(role, field)
    return value if value != () else None


def _change(ctx: Context, name: str, field: str, value: Any) -> None:
    role = get_role(ctx, name)
    about_tokens = field in _BLANK or field in ("policies", "period")
    changes = (
        Changes({}, TokenFields({field: value})) if about_tokens else Changes({field: value}, TokenFields({}))
    )
    changed, _ = changes.apply(role)
    keep_role(ctx, name, changed, role)


def _declare(path: str, field: str, kind: Any, *, old: str = "", wire: str = "") -> None:
    """Declare the three operations. `old` is the field's older name; `wire` is what this path calls the field."""
    words, wire = path.replace("-", " "), wire or field
    fields = {wire: field, old: old} if old else {wire: field}

    def read(ctx: Context, name: str) -> Response | None:
        role = find_role(ctx, name)
        if role is None:
            return None
        value = _value(role, field)
        return Response({wire: value, old: value} if old in role.old_names else {wire: value})

    def write(ctx: Context, name: str, sent: dict[str, Any]) -> None:
        given = next((field for field in fields if sent[field] is not None), None)
        if given is None:
            raise Invalid(f"missing {wire}")
        _change(ctx, name, fields[given], sent[given])

    def delete(ctx: Context, name: str) -> None:
        if find_role(ctx, name) is not None:  # as everywhere, what is not there is deleted already
            _change(ctx, name, field, _value(_DEFAULTS, field) or _NOTHING[kind])

    read.__doc__ = f"Show a role's {words}."
    write.__doc__ = f"Change a role's {words}."
    delete.__doc__ = f"Set a role's {words} back to the default."
    either = expand(
        "sent", {name: Annotated[kind, Help("The new value.")] for name in fields}, lambda sent: sent
    )
    ENGINE.read(f"role/{{name}}/{path}", folded=("name",))(read)
    ENGINE.write(f"role/{{name}}/{path}", folded=("name",), plain=fields)(either(write))
    ENGINE.delete(f"role/{{name}}/{path}", folded=("name",))(delete)


_declare("policies", "token_policies", Strings, old="policies")
_declare("token-ttl", "token_ttl", Seconds)
_declare("token-max-ttl", "token_max_ttl", Seconds)
_declare("token-num-uses", "token_num_uses", int)
_declare("token-bound-cidrs", "token_bound_cidrs", Strings)
_declare("period", "token_period", Seconds, old="period")
_declare("bind-secret-id", "bind_secret_id", bool)
_declare("secret-id-num-uses", "secret_id_num_uses", int)
_declare("secret-id-ttl", "secret_id_ttl", Seconds)
_declare("secret-id-bound-cidrs", "secret_id_bound_cidrs", Strings)
_declare("bound-cidr-list", "secret_id_bound_cidrs", Strings, wire="bound_cidr_list")


@ENGINE.read("role/{name}/local-secret-ids", folded=("name",))
def read_local_secret_ids(ctx: Context, name: str) -> Response | None:
    """Tell whether a role's secret ids are kept to this cluster."""
    role = find_role(ctx, name)
    return None if role is None else Response({"local_secret_ids": role.local_secret_ids})
