"""The barrier's encryption keys: their state, and rotation."""

from __future__ import annotations

from typing import Annotated

from ml_secrets.contract import Context, Help, Response, Seconds, Shape
from ml_secrets.contract.access import Rotation
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid

_SHORTEST_INTERVAL = 24 * 3600
_FEWEST_OPERATIONS = 1_000_000
_MOST_OPERATIONS = 3_865_470_566


@ENGINE.read("key-status", shape=Shape.REPEATED)
def key_status(ctx: Context) -> Response:
    """Tell the term of the encryption key in use, when it was made, and how often it was used."""
    return Response(ctx.access.seal.key_status())


@ENGINE.write("rotate", sudo=True)
@ENGINE.write("rotate/keyring", sudo=True)
def rotate(ctx: Context) -> None:
    """Make a new encryption key for all writes from now on; what is stored is re-sealed in the background."""
    ctx.unit.after_commit(ctx.access.seal.rotate)


@ENGINE.read("rotate/config")
@ENGINE.read("rotate/keyring/config")
def rotate_config(ctx: Context) -> Response:
    """Tell when the encryption key is rotated by itself."""
    rotation = ctx.access.seal.rotation(ctx.unit)
    interval = f"{rotation.interval // 3600}h0m0s" if rotation.interval else 0
    return Response(
        {"enabled": rotation.enabled, "interval": interval, "max_operations": rotation.max_operations}
    )


@ENGINE.write("rotate/config", sudo=True)
@ENGINE.write("rotate/keyring/config", sudo=True)
def set_rotate_config(
    ctx: Context,
    enabled: Annotated[bool | None, Help("Whether the key is rotated by itself at all.")] = None,
    interval: Annotated[
        Seconds | None, Help("Rotate a key of this age; whole hours, at least 24h. 0: age does not matter.")
    ] = None,
    max_operations: Annotated[int | None, Help("Rotate a key after so many writes.")] = None,
) -> None:
    """Set when the encryption key is rotated by itself."""
    old = ctx.access.seal.rotation(ctx.unit)
    new = Rotation(
        enabled=old.enabled if enabled is None else enabled,
        interval=old.interval if interval is None else interval // 3600 * 3600,
        max_operations=old.max_operations if max_operations is None else max_operations,
    )
    if new.interval and new.interval < _SHORTEST_INTERVAL:
        raise Invalid("interval must be greater or equal to 24h0m0s")
    if not _FEWEST_OPERATIONS <= new.max_operations <= _MOST_OPERATIONS:
        raise Invalid(f"max_operations must be between {_FEWEST_OPERATIONS} and {_MOST_OPERATIONS}")
    ctx.access.seal.set_rotation(ctx.unit, new)
