"""Initialise, unseal, seal. What key shares can do once the store is open: rekey.py, root_token.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ml_secrets.contract import Context, Help, Response, Shape, Strings, Verb
from ml_secrets.domain.advice import refusal
from ml_secrets.domain.capability import Capability
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.engines.system.health import seal_status_of
from ml_secrets.errors import Invalid, Unauthenticated
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Iterable

Shares = Annotated[int, Help("How many key shares to make.")]
Threshold = Annotated[int, Help("How many of them are needed to unseal.")]
Key = Annotated[Sensitive, Help("One key share, in hex or base64.")]
Nonce = Annotated[str, Help("The nonce of the attempt this is for.")]
_RIGHTS = {Verb.READ: Capability.READ, Verb.WRITE: Capability.UPDATE, Verb.DELETE: Capability.DELETE}


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
    recovery_shares: Annotated[
        int, Help("How many recovery shares to make, for a seal that opens by itself.")
    ] = 0,
    recovery_threshold: Annotated[int, Help("How many of them are needed.")] = 0,
    recovery_pgp_keys: Strings = (),  # type: ignore[assignment]  # a NewType of tuple
    stored_shares: Annotated[int, Help("Accepted for old clients; has no effect.")] = 0,  # noqa: ARG001 - part of the wire
) -> Response:
    """Initialise a new store: make its root key, key shares and first root token."""
    refuse_pgp(pgp_keys, recovery_pgp_keys, root_token_pgp_key)
    request = {
        "secret_shares": secret_shares,
        "secret_threshold": secret_threshold,
        "recovery_shares": recovery_shares,
        "recovery_threshold": recovery_threshold,
    }
    return Response(ctx.access.seal.initialize(request))


@ENGINE.write("unseal", public=True, while_sealed=True, changes=False, slow=True, shape=Shape.BARE)
def unseal(ctx: Context, key: Key | None = None, reset: bool = False, migrate: bool = False) -> Response:
    """Give one key share; the server opens when enough are there."""
    if migrate:
        raise Invalid("can't perform a seal migration, no migration seal found")
    if not key and not reset:
        raise Invalid("'key' must be specified in request body as JSON, or 'reset' set to true")
    ctx.access.seal.unseal(key.reveal() if key else "", reset=reset)
    return Response(seal_status_of(ctx))


@ENGINE.write("seal", sudo=True, while_sealed=True)
def seal(ctx: Context) -> None:
    """Forget the keys. Nothing is served until the server is unsealed again; on a sealed server nothing happens."""
    ctx.unit.after_commit(ctx.access.seal.seal)


@ENGINE.write("step-down", sudo=True)
def step_down(ctx: Context) -> None:
    """Give up leadership. A single node has none to give up."""


def needed(key: Key | None) -> str:
    """The key share that was sent. Raises `Invalid` when none was."""
    if not key:
        raise Invalid("'key' must be specified in request body as JSON")
    return key.reveal()


def refuse_pgp(*given: Iterable[Any] | str) -> None:
    """Key shares leave in the clear only; say so instead of leaving them unencrypted without a word."""
    if any(given):
        raise Invalid(
            "PGP encryption of keys and root tokens is not available",
            hint="leave out pgp_keys, recovery_pgp_keys, root_token_pgp_key and pgp_key; encrypt the answer on your side (for instance with age or gpg)",
        )


def trusted(ctx: Context, family: str) -> bool:
    """True when the caller's token has `sudo` here. `family` is "rekey" or "generate-root".

    Others may take part only where the operator lets shares suffice; raises as any operation with `sudo` would, when
    they may not.
    """
    if ctx.caller is not None:
        acl = ctx.access.policies.rights_of(ctx.unit, ctx.caller.entry)
        request = ctx.request
        if acl.check(
            request.path, _RIGHTS[request.verb], fields=request.fields, wrap_ttl=request.wrap_ttl, sudo=True
        ).allowed:
            return True
    if family in ctx.access.seal.open_to_shares:
        return False
    hint = "it needs a token with `sudo` on this path, unless the server's configuration opens it to holders of key shares"
    if ctx.caller is None:
        raise Unauthenticated("permission denied", hint=hint)
    raise refusal(hint)


def without_nonces(status: dict[str, Any]) -> dict[str, Any]:
    """A status for strangers: who does not know the nonce cannot disturb the attempt."""
    return {name: "" if name in ("nonce", "verification_nonce") else value for name, value in status.items()}
