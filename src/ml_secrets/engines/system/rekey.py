"""Rekey: new key shares for the same data.

Three families of paths for one attempt:

    rekey/…                 Vault's, for key shares. Bare answers
    rekey-recovery-key/…    Vault's, for the recovery shares of a seal that opens by itself
    rotate/{root,recovery}/…  OpenBao's present ones, in envelopes: `bao operator rotate-keys`

OpenBao's need a token with `sudo`. So do Vault's, unless the operator opens them to holders of shares; even then a
caller without `sudo` is not told the nonce, and cannot cancel without it. Beyond that they do the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

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
    from collections.abc import Callable

    from ml_secrets.contract.access import RekeyControl

_Run = TypeVar("_Run", bound="Callable[..., Response | None]")

Backup = Annotated[bool, Help("Keep a copy of the new shares, encrypted with PGP. Not available.")]
Verification = Annotated[bool, Help("The new shares count only after they were given back once.")]
_VAULTS: Final = {"public": True, "shape": Shape.BARE}
_OPENBAOS: Final = {"sudo": True}
_FAMILIES: Final[dict[str, tuple[bool, dict[str, Any]]]] = {
    "rotate/recovery": (True, _OPENBAOS),
    "rotate/root": (False, _OPENBAOS),
    "rekey-recovery-key": (True, _VAULTS),
    "rekey": (False, _VAULTS),
}
"""Family -> (it is about recovery shares, how its operations are declared)."""


def _in_each_family(declare: Callable[..., Callable[[_Run], _Run]], step: str) -> Callable[[_Run], _Run]:
    """Declare an operation under the same last word in each family."""

    def all_of_them(run: _Run) -> _Run:
        for family, (_, options) in _FAMILIES.items():
            declare(f"{family}/{step}", **options)(run)
        return run

    return all_of_them


def _attempt(ctx: Context) -> RekeyControl:
    family = ctx.request.path.removeprefix(ctx.mount.path).rpartition("/")[0]
    recovery, _ = _FAMILIES[family]
    return ctx.access.seal.rekey_target(recovery=recovery)


@_in_each_family(ENGINE.read, "init")
def rekey_status(ctx: Context) -> Response:
    """Tell how far the rekey attempt is."""
    full = trusted(ctx, "rekey")
    status = _attempt(ctx).status()
    return Response(status if full else without_nonces(status))


@_in_each_family(ENGINE.write, "init")
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


@_in_each_family(ENGINE.delete, "init")
def rekey_cancel(ctx: Context, nonce: Nonce = "") -> None:
    """Give up the rekey attempt. Without a token that has `sudo` here, its nonce is needed."""
    _attempt(ctx).cancel(nonce, trusted=trusted(ctx, "rekey"))


@_in_each_family(ENGINE.write, "update")
def rekey_update(ctx: Context, key: Key | None = None, nonce: Nonce = "") -> Response:
    """Give one present key share; the new shares come with the last one needed."""
    trusted(ctx, "rekey")
    return Response(_attempt(ctx).update(ctx.unit, needed(key), nonce))


@_in_each_family(ENGINE.read, "verify")
def rekey_verify_status(ctx: Context) -> Response:
    """Tell how far the verification of the new shares is."""
    full = trusted(ctx, "rekey")
    status = _attempt(ctx).verify_status()
    return Response(status if full else without_nonces(status))


@_in_each_family(ENGINE.write, "verify")
def rekey_verify(ctx: Context, key: Key | None = None, nonce: Nonce = "") -> Response:
    """Give one new key share back; with the last one needed the new shares count."""
    trusted(ctx, "rekey")
    return Response(_attempt(ctx).verify(ctx.unit, needed(key), nonce))


@_in_each_family(ENGINE.delete, "verify")
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
