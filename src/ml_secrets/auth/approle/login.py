"""The login: one write transaction, no password hashing. A role id that nobody has and a wrong secret id look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from ml_secrets.auth.approle.engine import ENGINE
from ml_secrets.auth.approle.state import find_secret_id, key_of, read_role, role_of_id, spend_secret_id
from ml_secrets.contract import Context, Help, Login, Response
from ml_secrets.domain.token import address_allowed
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.auth.approle.state import Role, SecretId
    from ml_secrets.contract import Transaction
    from ml_secrets.domain.token import TokenEntry, TokenParameters


def _role(ctx: Context) -> str:
    """The name behind the role id, for quotas."""
    sent = ctx.request.fields.get("role_id", msgspec.Raw(b'""'))
    try:
        found = role_of_id(ctx, msgspec.json.decode(sent, type=str))
    except msgspec.ValidationError:  # no text: the login refuses it
        return ""
    return "" if found is None else found[0]


@ENGINE.write("login", public=True, short=True, role=_role)
def login(
    ctx: Context,
    role_id: Annotated[str, Help("The role id.")] = "",
    secret_id: Annotated[Sensitive, Help("The secret id; not needed where the role does without.")]
    | None = None,
) -> Response:
    """Log in with a role id and a secret id."""
    if not role_id:
        raise Invalid("missing role_id")
    found = role_of_id(ctx, role_id)
    if not secret_id and (found is None or found[1].bind_secret_id):
        raise Invalid("missing secret_id")
    if found is None:
        raise _refusal()
    name, role = found
    secret = _spend(ctx, role, secret_id) if role.bind_secret_id and secret_id else None
    _check_address(ctx, role.secret_id_bound_cidrs, "role")
    return Response(login=_login(ctx, name, role, secret))


def _spend(ctx: Context, role: Role, secret_id: Sensitive) -> SecretId:
    key = key_of(ctx, role, secret_id.reveal())
    secret = find_secret_id(ctx, role, key)
    if secret is None:
        raise _refusal()
    _check_address(ctx, secret.cidr_list, "secret ID")
    spend_secret_id(ctx, role, key, secret)
    return secret


def _check_address(ctx: Context, cidrs: tuple[str, ...], what: str) -> None:
    address = ctx.request.remote_address
    if not address_allowed(address, cidrs):
        raise Invalid(f'source address "{address}" unauthorized by CIDR restrictions on the {what}')


def _login(ctx: Context, name: str, role: Role, secret: SecretId | None) -> Login:
    parameters, metadata = role.parameters, {"role_name": name}
    if secret is not None:
        metadata = {**secret.metadata, **metadata}
        if secret.token_bound_cidrs:
            parameters = msgspec.structs.replace(parameters, bound_cidrs=secret.token_bound_cidrs)
    mount = ctx.mount.path.removeprefix("auth/").strip("/").replace("/", "-")
    return Login(display_name=mount, alias=role.role_id, parameters=parameters, metadata=metadata)


def _renewal(store: Transaction, token: TokenEntry) -> TokenParameters:
    """A token whose role is gone is not renewed."""
    role = read_role(store, (token.meta or {}).get("role_name", ""))
    if role is None or role.role_id != token.alias:
        raise Invalid("the role of this token does not exist any more")
    return role.parameters


ENGINE.renewal = _renewal


def _refusal() -> Invalid:
    return Invalid(
        "invalid role or secret ID",
        hint="both ids must be of the same role, and the secret id must not be used up or expired",
    )
