"""What these engines tell of a change, and how long a reader may wait to hear of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ml_secrets.contract import Context, Waits
from ml_secrets.domain.version import State
from ml_secrets.engines.kv import state
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from ml_secrets.contract.access import SystemAccess
    from ml_secrets.domain.mount import Mount
    from ml_secrets.domain.version import Secret
    from ml_secrets.registry.unit import Unit

LONGEST: Final = 300


def tell(
    ctx: Context, path: str, kind: str, secret: Secret | None = None, mount: Mount | None = None
) -> None:
    """A secret (of another mount than this request's, where one is given) changes into `secret`; None: it is gone."""
    announce(ctx.access, ctx.unit, mount or ctx.mount, path, kind, secret)


def announce(
    access: SystemAccess, unit: Unit, mount: Mount, path: str, kind: str, secret: Secret | None
) -> None:
    """The same, where there is no request."""
    number, etag = 0, ""
    if secret is not None and secret.current:
        number = secret.current
        if secret.versions[number].state(unit.now) is State.ENABLED:
            etag = state.etag(secret, number)
    access.changes.tell(unit, mount, path, kind, version=number, etag=etag)


def waits(ctx: Context, path: str, seconds: int | None) -> Waits | None:
    """The wait that a reader asks for; None for none. Raises `Invalid` for too long a one."""
    if not seconds:
        return None
    if seconds > LONGEST:
        raise Invalid(f"wait must be at most {LONGEST} seconds", hint="ask again when it is over")
    return Waits((ctx.mount.uuid, path), seconds)
