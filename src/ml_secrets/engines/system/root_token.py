"""Make a root token from key shares, for the day when every root token is gone.

    generate-root/…         Vault's paths, bare answers
    generate-root-token/…   OpenBao's present ones, in envelopes: `bao operator generate-root`

The same rules hold as for the two families of rekey (rekey.py).
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from ml_secrets.contract import Context, Help, Response, Shape
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.engines.system.seal import Key, Nonce, needed, refuse_pgp, trusted, without_nonces
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive

Otp = Annotated[
    Sensitive,
    Help(
        "One-time password that hides the token on its way, as long as a token. Made for you when left out."
    ),
]
PgpKey = Annotated[str, Help("PGP key to encrypt the token with. Not available.")]
_OLD_ONLY = ("encoded_root_token",)


@ENGINE.read("generate-root/attempt", public=True, shape=Shape.BARE)
@ENGINE.read("generate-root-token/attempt", sudo=True)
def generate_root_status(ctx: Context) -> Response:
    """Tell how far the attempt to make a root token is."""
    full = trusted(ctx, "generate-root")
    status = ctx.access.seal.rootmaking.status()
    return _answer(ctx, status if full else without_nonces(status))


@ENGINE.write("generate-root/attempt", public=True, shape=Shape.BARE)
@ENGINE.write("generate-root-token/attempt", sudo=True)
def generate_root_start(ctx: Context, otp: Otp | None = None, pgp_key: PgpKey = "") -> Response:
    """Begin to make a root token from key shares. It comes back encoded with the one-time password."""
    trusted(ctx, "generate-root")
    refuse_pgp(pgp_key)
    return _answer(ctx, ctx.access.seal.rootmaking.start(otp.reveal() if otp else ""))


@ENGINE.delete("generate-root/attempt", public=True)
@ENGINE.delete("generate-root-token/attempt", sudo=True)
def generate_root_cancel(ctx: Context, nonce: Nonce = "") -> None:
    """Give up the attempt. Without a token that has `sudo` here, its nonce is needed."""
    ctx.access.seal.rootmaking.cancel(nonce, trusted=trusted(ctx, "generate-root"))


@ENGINE.write("generate-root/update", public=True, shape=Shape.BARE)
@ENGINE.write("generate-root-token/update", sudo=True)
def generate_root_update(ctx: Context, key: Key | None = None, nonce: Nonce = "") -> Response:
    """Give one key share; the encoded root token comes with the last one needed."""
    trusted(ctx, "generate-root")
    return _answer(ctx, ctx.access.seal.rootmaking.update(ctx.unit, needed(key), nonce))


def _answer(ctx: Context, status: dict[str, Any]) -> Response:
    """The status, without what only Vault's family of paths has."""
    if ctx.request.path.startswith(f"{ctx.mount.path}generate-root/"):
        return Response(status)
    return Response({name: value for name, value in status.items() if name not in _OLD_ONLY})


@ENGINE.write("decode-token", public=True, changes=False)
def decode_token(
    ctx: Context,  # noqa: ARG001 - every operation is given its context
    encoded_token: Sensitive | None = None,
    otp: Sensitive | None = None,
) -> Response:
    """Decode a root token that was encoded with a one-time password."""
    if not encoded_token or not otp:
        raise Invalid("provided 'encoded_token' or 'otp' is empty")
    return Response({"token": _decoded(encoded_token.reveal(), otp.reveal_bytes())})


def _decoded(encoded: str, password: bytes) -> str:
    try:
        token = base64.b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("error decoding base64'd token", hint="copy the whole encoded token") from None
    if len(token) != len(password):
        raise Invalid(
            f"error xoring token: length of byte slices is not equivalent: {len(token)} != {len(password)}"
        )
    try:
        return bytes(a ^ b for a, b in zip(token, password, strict=True)).decode("ascii")
    except UnicodeDecodeError:
        raise Invalid("the one-time password does not fit this token") from None
