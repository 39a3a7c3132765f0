"""The login. Known and unknown names take the same time, count alike towards a lockout, and get the same answers.

Its order:

 1  the name is folded; a missing password is refused before anything is looked at
 2  a turn for hashing, a try at the name (or the refusal that it is locked out)
 3  the password against the user's hash, or against one that no password has
 4  in the write transaction: is the user still the same; then who it is

Only step 4 has an effect on the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ml_secrets.auth.userpass.engine import ENGINE
from ml_secrets.auth.userpass.state import find
from ml_secrets.contract import Context, Help, Login, Response
from ml_secrets.crypto.password import ABSENT, TURN, verify_password
from ml_secrets.domain.path import user_name
from ml_secrets.domain.token import token_policies
from ml_secrets.errors import Denied, Invalid
from ml_secrets.registry.lockouts import LockoutRule
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.auth.userpass.state import User
    from ml_secrets.contract import Transaction
    from ml_secrets.domain.token import TokenEntry, TokenParameters

Password = Annotated[Sensitive, Help("The password.")]


@ENGINE.write("login/{name}", public=True, slow=True, folded=("name",))
def login(ctx: Context, name: str, password: Password | None = None) -> Response:
    """Log in with a name and a password."""
    name = user_name(name)
    if not password:
        raise Invalid("missing password", hint='send {"password": "…"}')
    user = find(ctx.store, name)
    _verify(ctx, name, user, password)
    return Response(record=lambda now: _recognise(now, name, user))


def _verify(ctx: Context, name: str, user: User | None, password: Sensitive) -> None:
    rule = LockoutRule(**ctx.mount.user_lockout)
    with TURN.turn(), ctx.access.lockouts.attempt(ctx.mount.accessor, name, ctx.now, rule) as attempt:
        if attempt.locked:
            raise Denied(
                "permission denied", hint="after too many failures this name is locked out for a while"
            )
        matches = verify_password(password.reveal_bytes(), ABSENT if user is None else user.hashed)
        attempt.right = matches and user is not None
    if not attempt.right:
        raise _refusal()


def _recognise(ctx: Context, name: str, checked: User | None) -> Response:
    user = find(ctx.store, name)
    if user is None or checked is None or user.hashed != checked.hashed:
        raise _refusal()
    login = Login(
        display_name=f"{ctx.mount.path.removeprefix('auth/').strip('/').replace('/', '-')}-{name}",
        alias=name,
        parameters=user.parameters,
        metadata={"username": name},
    )
    return Response(login=login)


def _renewal(store: Transaction, token: TokenEntry) -> TokenParameters:
    """A user who is gone, or has other policies now, logs in again."""
    user = find(store, token.alias)
    if user is None:
        raise Invalid("the user of this token does not exist any more")
    wanted = user.parameters
    if token_policies(wanted.policies, no_default_policy=wanted.no_default_policy) != token.policies:
        raise Invalid("policies have changed, not renewing", hint="log in again")
    return wanted


ENGINE.renewal = _renewal


def _refusal() -> Invalid:
    return Invalid(
        "invalid username or password",
        hint="check both; after some failures a name is locked out for a while",
    )
