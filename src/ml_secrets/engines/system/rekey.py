"""Rekey: new key shares for the same data.

Three families of paths for one attempt:

    rekey/…                 Vault's, for key shares. Bare answers
    rekey-recovery-key/…    Vault's, for the recovery shares of a seal that opens by itself
    rotate/{root,recovery}/…  OpenBao's present ones, in envelopes: `bao operator rotate-keys`

OpenBao's need a token with `sudo`. So do Vault's, unless the operator opens them to holders of shares; even then a
caller without `sudo` is not told the nonce, and cannot cancel without it. Beyond that they do the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ml_secrets.contract import Context, Help, Response, Shape, Strings
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.engines.system.seal import (
    Key,
    Nonce,
    Shares,
    Threshold,
    needed,
    refuse_pgp,
    trusted,
    without_nonces,
)
from ml_secrets.errors import Invalid, Unsupported

if TYPE_CHECKING:
    from ml_secrets.contract.access import RekeyControl

Backup = Annotated[bool, Help("Keep a copy of the new shares, encrypted with PGP. Not available.")]
Verification = Annotated[bool, Help("The new shares count only after they were given back once.")]
_FAMILY = {"rekey/": False, "rekey-recovery-key/": True, "rotate/root/": False, "rotate/recovery/": True}


def _attempt(ctx: Context) -> RekeyControl:
    family = ctx.request.path.removeprefix(ctx.mount.path).rpartition("/")[0] + "/"
    return ctx.access.seal.rekey_target(recovery=_FAMILY[family])


@ENGINE.read("rekey/init", public=True, shape=Shape.BARE)
@ENGINE.read("rekey-recovery-key/init", public=True, shape=Shape.BARE)
@ENGINE.read("rotate/root/init", sudo=True)
@ENGINE.read("rotate/recovery/init", sudo=True)
def rekey_status(ctx: Context) -> Response:
    """Tell how far the rekey attempt is."""
    full = trusted(ctx, "rekey")
    status = _attempt(ctx).status()
    return Response(status if full else without_nonces(status))


@ENGINE.write("rekey/init", public=True, shape=Shape.BARE)
@ENGINE.write("rekey-recovery-key/init", public=True, shape=Shape.BARE)
@ENGINE.write("rotate/root/init", sudo=True)
@ENGINE.write("rotate/recovery/init", sudo=True)
def rekey_start(
    ctx: Context,
    secret_shares: Shares = 0,
    secret_threshold: Threshold = 0,
    pgp_keys: Strings = (),  # type: ignore[assignment]  # a NewType of tuple
    backup: Backup = False,
    require_verification: Verification = False,
) -> Response:
    """Begin to make new key shares for the same data. The present shares must be given to finish it."""
    trusted(ctx, "rekey")
    refuse_pgp(pgp_keys)
    if backup:
        raise Invalid("cannot request a backup of the new keys without providing PGP keys for encryption")
    return Response(_attempt(ctx).start(secret_shares, secret_threshold, verify=require_verification))


@ENGINE.delete("rekey/init", public=True)
@ENGINE.delete("rekey-recovery-key/init", public=True)
@ENGINE.delete("rotate/root/init", sudo=True)
@ENGINE.delete("rotate/recovery/init", sudo=True)
def rekey_cancel(ctx: Context, nonce: Nonce = "") -> None:
    """Give up the rekey attempt. Without a token that has `sudo` here, its nonce is needed."""
    _attempt(ctx).cancel(nonce, trusted=trusted(ctx, "rekey"))


@ENGINE.write("rekey/update", public=True, shape=Shape.BARE)
@ENGINE.write("rekey-recovery-key/update", public=True, shape=Shape.BARE)
@ENGINE.write("rotate/root/update", sudo=True)
@ENGINE.write("rotate/recovery/update", sudo=True)
def rekey_update(ctx: Context, key: Key | None = None, nonce: Nonce = "") -> Response:
    """Give one present key share; the new shares come with the last one needed."""
    trusted(ctx, "rekey")
    return Response(_attempt(ctx).update(ctx.unit, needed(key), nonce))


@ENGINE.read("rekey/verify", public=True, shape=Shape.BARE)
@ENGINE.read("rekey-recovery-key/verify", public=True, shape=Shape.BARE)
@ENGINE.read("rotate/root/verify", sudo=True)
@ENGINE.read("rotate/recovery/verify", sudo=True)
def rekey_verify_status(ctx: Context) -> Response:
    """Tell how far the verification of the new shares is."""
    full = trusted(ctx, "rekey")
    status = _attempt(ctx).verify_status()
    return Response(status if full else without_nonces(status))


@ENGINE.write("rekey/verify", public=True, shape=Shape.BARE)
@ENGINE.write("rekey-recovery-key/verify", public=True, shape=Shape.BARE)
@ENGINE.write("rotate/root/verify", sudo=True)
@ENGINE.write("rotate/recovery/verify", sudo=True)
def rekey_verify(ctx: Context, key: Key | None = None, nonce: Nonce = "") -> Response:
    """Give one new key share back; with the last one needed the new shares count."""
    trusted(ctx, "rekey")
    return Response(_attempt(ctx).verify(ctx.unit, needed(key), nonce))


@ENGINE.delete("rekey/verify", public=True, shape=Shape.BARE)
@ENGINE.delete("rekey-recovery-key/verify", public=True, shape=Shape.BARE)
@ENGINE.delete("rotate/root/verify", sudo=True)
@ENGINE.delete("rotate/recovery/verify", sudo=True)
def rekey_verify_restart(ctx: Context, nonce: Nonce = "") -> Response:
    """Begin the verification anew, under a new nonce."""
    full = trusted(ctx, "rekey")
    return Response(_attempt(ctx).verify_restart(nonce, trusted=full))


@ENGINE.read("rekey/backup", sudo=True)
@ENGINE.read("rekey/recovery-key-backup", sudo=True)
@ENGINE.read("rotate/root/backup", sudo=True)
@ENGINE.read("rotate/recovery/backup", sudo=True)
def rekey_backup(ctx: Context) -> None:  # noqa: ARG001 - every operation is given its context
    """Tell the kept copy of the shares. There is none: copies are kept only under PGP, which is not available."""
    raise Invalid("no backed-up keys found")


@ENGINE.delete("rekey/backup", sudo=True)
@ENGINE.delete("rekey/recovery-key-backup", sudo=True)
@ENGINE.delete("rotate/root/backup", sudo=True)
@ENGINE.delete("rotate/recovery/backup", sudo=True)
def rekey_backup_delete(ctx: Context) -> None:
    """Remove the kept copy of the shares. There is none."""


@ENGINE.write("rotate/root", sudo=True)
def rotate_root(ctx: Context) -> None:  # noqa: ARG001 - every operation is given its context
    """Rotate the root key without shares. Not available: the server does not keep what that takes."""
    raise Unsupported(
        "the root key changes only together with its key shares",
        hint="`bao operator rotate-keys -init`, or sys/rotate/root/init",
    )
