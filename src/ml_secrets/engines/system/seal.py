"""Initialise, unseal, seal, rekey, and make a root token from key shares. All but `seal` are guarded by the shares."""

from __future__ import annotations

from typing import Annotated, Any

from ml_secrets.contract import Context, Help, Response, Shape, Strings
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.engines.system.health import seal_status_of
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive

Shares = Annotated[int, Help("How many key shares to make.")]
Threshold = Annotated[int, Help("How many of them are needed to unseal.")]
Key = Annotated[Sensitive, Help("One key share, in hex or base64.")]
Nonce = Annotated[str, Help("The nonce of the attempt this share is for.")]


@ENGINE.read("init", public=True, while_sealed=True, shape=Shape.BARE)
def init_status(ctx: Context) -> Response:
    """Tell whether the store is initialised."""
    return Response({"initialized": ctx.access.seal.initialized})


@ENGINE.write("init", public=True, while_sealed=True, changes=False, slow=True, shape=Shape.BARE)
def init(
    ctx: Context,
    secret_shares: Shares = 0,
    secret_threshold: Threshold = 0,
    pgp_keys: Strings = (),  # type: ignore[assignment]  # a NewType of tuple
    root_token_pgp_key: str = "",
    recovery_shares: int = 0,
    recovery_threshold: int = 0,
    stored_shares: int = 0,
) -> Response:
    """Initialise a new store: make its root key, key shares and first root token."""
    _refuse_pgp(pgp_keys, root_token_pgp_key)
    request = {
        "secret_shares": secret_shares,
        "secret_threshold": secret_threshold,
        "recovery_shares": recovery_shares,
        "recovery_threshold": recovery_threshold,
        "stored_shares": stored_shares,
    }
    return Response(ctx.access.seal.initialize(request))


@ENGINE.write("unseal", public=True, while_sealed=True, changes=False, slow=True, shape=Shape.BARE)
def unseal(ctx: Context, key: Key | None = None, reset: bool = False, migrate: bool = False) -> Response:  # noqa: ARG001 - `migrate` is part of the wire
    """Give one key share; the server opens when enough are there."""
    if key is None and not reset:
        raise Invalid("'key' must be specified in request body as JSON, or 'reset' set to true")
    ctx.access.seal.unseal(key.reveal() if key else "", reset=reset)
    return Response(seal_status_of(ctx))


@ENGINE.write("seal", sudo=True)
def seal(ctx: Context) -> None:
    """Forget the keys. Nothing is served until the server is unsealed again."""
    ctx.unit.after_commit(ctx.access.seal.seal)


@ENGINE.write("step-down", sudo=True)
def step_down(ctx: Context) -> None:  # noqa: ARG001 - every operation is given its context
    """Give up leadership. A single node has none to give up."""


def _refuse_pgp(keys: Any, root_key: str) -> None:
    if keys or root_key:
        raise Invalid("PGP encryption of key shares is not available", hint="leave out pgp_keys and root_token_pgp_key")


# ── rekey ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@ENGINE.read("rekey/init", public=True, shape=Shape.BARE)
def rekey_status(ctx: Context) -> Response:
    """Tell how far the rekey attempt is."""
    return Response(ctx.access.seal.rekey_status())


@ENGINE.write("rekey/init", public=True, changes=False, slow=True, shape=Shape.BARE)
def rekey_start(
    ctx: Context,
    secret_shares: Shares = 0,
    secret_threshold: Threshold = 0,
    pgp_keys: Strings = (),  # type: ignore[assignment]  # a NewType of tuple
    backup: bool = False,
    require_verification: bool = False,
) -> Response:
    """Begin to make new key shares for the same data. The present shares must be given to finish it."""
    _refuse_pgp(pgp_keys, "")
    if backup or require_verification:
        raise Invalid("rekey knows neither backup nor verification", hint="note the new shares, then test them with an unseal")
    request = {"secret_shares": secret_shares, "secret_threshold": secret_threshold}
    return Response(ctx.access.seal.rekey_start(request))


@ENGINE.delete("rekey/init", public=True, changes=False, slow=True)
def rekey_cancel(ctx: Context, nonce: Nonce = "") -> None:
    """Give up the rekey attempt. Needs its nonce, so that strangers cannot cancel it."""
    ctx.access.seal.rekey_cancel(nonce)


@ENGINE.write("rekey/update", public=True, changes=False, slow=True, shape=Shape.BARE)
def rekey_update(ctx: Context, key: Key, nonce: Nonce) -> Response:
    """Give one present key share; the new shares come with the last one needed."""
    return Response(ctx.access.seal.rekey_update(key.reveal(), nonce))


# ── generate-root ───────────────────────────────────────────────────────────────────────────────────────────────────


@ENGINE.read("generate-root/attempt", public=True, shape=Shape.BARE)
def generate_root_status(ctx: Context) -> Response:
    """Tell how far the attempt to make a root token is."""
    return Response(ctx.access.seal.generate_root_status())


@ENGINE.write("generate-root/attempt", public=True, changes=False, slow=True, shape=Shape.BARE)
def generate_root_start(ctx: Context, otp: Sensitive | None = None, pgp_key: str = "") -> Response:
    """Begin to make a root token from key shares. It comes back encoded with the one-time password."""
    _refuse_pgp((), pgp_key)
    return Response(ctx.access.seal.generate_root_start({"otp": otp.reveal() if otp else ""}))


@ENGINE.delete("generate-root/attempt", public=True, changes=False, slow=True)
def generate_root_cancel(ctx: Context, nonce: Nonce = "") -> None:
    """Give up the attempt. Needs its nonce, so that strangers cannot cancel it."""
    ctx.access.seal.generate_root_cancel(nonce)


@ENGINE.write("generate-root/update", public=True, shape=Shape.BARE)
def generate_root_update(ctx: Context, key: Key, nonce: Nonce) -> Response:
    """Give one key share; the encoded root token comes with the last one needed."""
    return Response(ctx.access.seal.generate_root_update(ctx.unit, key.reveal(), nonce))
