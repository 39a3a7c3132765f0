"""Users: create, read, change, delete, list. Passwords are hashed before the write transaction begins."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ml_secrets.auth.token_fields import PLAIN, TokenFields, shown, with_token_fields
from ml_secrets.auth.userpass.engine import ENGINE
from ml_secrets.auth.userpass.state import ROWS, User, find, keep
from ml_secrets.contract import Context, Help, Response, Strings
from ml_secrets.contract.names import names_in
from ml_secrets.crypto.password import TURN, hash_password, is_password_hash
from ml_secrets.domain.path import user_name
from ml_secrets.domain.token import TokenParameters
from ml_secrets.errors import Invalid, NotFound
from ml_secrets.sensitive import Sensitive

Password = Annotated[Sensitive, Help("The user's password.")]
PasswordHash = Annotated[
    Sensitive, Help("In place of a password: its Argon2id hash in PHC form, as this server makes it.")
]


@ENGINE.list("users")
def list_users(ctx: Context, after: str = "", limit: int = -1) -> Response | None:
    """List the names of all users."""
    return names_in(ctx.store, ROWS, after, limit)


@ENGINE.read("users/{name}", folded=("name",))
def read_user(ctx: Context, name: str) -> Response | None:
    """Show a user's token settings. The password is never shown."""
    user = find(ctx.store, name)
    return None if user is None else Response(shown(user.parameters, user.old_names))


@ENGINE.delete("users/{name}", folded=("name",))
def delete_user(ctx: Context, name: str) -> None:
    """Delete a user. Tokens it has live on until they expire, but are not renewed."""
    ctx.store.delete(ROWS + user_name(name))


def _exists(ctx: Context, captures: dict[str, str]) -> bool:
    return find(ctx.store, captures["name"]) is not None


@ENGINE.write("users/{name}", slow=True, folded=("name",), exists=_exists, plain=PLAIN)
@with_token_fields("policies", "ttl", "max_ttl", "bound_cidrs")
def write_user(
    ctx: Context,
    name: str,
    token: TokenFields,
    password: Password | None = None,
    password_hash: PasswordHash | None = None,
) -> Response:
    """Create a user, or change the fields that are given."""
    name = user_name(name)
    if find(ctx.store, name) is None or password or password_hash:
        hashed = _hashed(ctx, password, password_hash)
    else:
        hashed = ""
    return Response(record=lambda now: _write(now, name, hashed, token))


def _write(ctx: Context, name: str, hashed: str, token: TokenFields) -> Response | None:
    user = find(ctx.store, name) or User("", TokenParameters())
    if not (hashed or user.hashed):
        raise Invalid("must provide either password or password_hash")
    parameters, warnings = token.apply(user.parameters)
    keep(ctx.store, name, User(hashed or user.hashed, parameters, token.old_names(user.old_names)))
    return Response(warnings=warnings) if warnings else None


@ENGINE.write("users/{name}/password", slow=True, folded=("name",))
def set_password(
    ctx: Context, name: str, password: Password | None = None, password_hash: PasswordHash | None = None
) -> Response:
    """Change a user's password. Tokens the user has live on."""
    hashed = _hashed(ctx, password, password_hash)
    return Response(record=lambda now: _set(now, name, hashed))


def _set(ctx: Context, name: str, hashed: str) -> None:
    keep(ctx.store, name, msgspec.structs.replace(_found(ctx, name), hashed=hashed))


@ENGINE.write("users/{name}/policies", folded=("name",), plain=("policies", "token_policies"))
def set_policies(
    ctx: Context, name: str, token_policies: Strings | None = None, policies: Strings | None = None
) -> None:
    """Change the policies of a user's next tokens."""
    sent = {"token_policies": token_policies, "policies": policies}
    token = TokenFields({field: value for field, value in sent.items() if value is not None})
    user = _found(ctx, name)
    parameters, _ = token.apply(user.parameters)
    keep(
        ctx.store,
        name,
        msgspec.structs.replace(user, parameters=parameters, old_names=token.old_names(user.old_names)),
    )


def _found(ctx: Context, name: str) -> User:
    user = find(ctx.store, name)
    if user is None:
        raise NotFound("username does not exist", hint=f"create it first: write users/{user_name(name)}")
    return user


def _hashed(ctx: Context, password: Sensitive | None, password_hash: Sensitive | None) -> str:
    if password and password_hash:
        raise Invalid("only one of password or password_hash may be provided")
    if password:
        with TURN.turn():
            return hash_password(password.reveal_bytes(), ctx.random)
    if not password_hash:
        raise Invalid("must provide either password or password_hash")
    text = password_hash.reveal()
    if not is_password_hash(text):
        raise Invalid(
            "password_hash is not an Argon2id hash with this server's costs",
            hint="hashes of other kinds (bcrypt) cannot be taken over: set a password, or let users change theirs",
        )
    return text
