"""The barrier's encryption keys: their state, and rotation."""

from __future__ import annotations

from ml_secrets.contract import Context, Response, Shape
from ml_secrets.engines.system.engine import ENGINE


@ENGINE.read("key-status", shape=Shape.REPEATED)
def key_status(ctx: Context) -> Response:
    """Tell the term of the encryption key in use, when it was made, and how often it was used."""
    return Response(ctx.access.seal.key_status())


@ENGINE.write("rotate", sudo=True, changes=False, slow=True)
def rotate(ctx: Context) -> None:
    """Make a new encryption key for all writes from now on; what is stored is re-sealed in the background."""
    ctx.access.seal.rotate()
