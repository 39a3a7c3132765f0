"""The method's table of operations, which the files beside this one fill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.contract import Engine
from ml_secrets.domain.capability import Capability
from ml_secrets.errors import Unauthenticated

if TYPE_CHECKING:
    from ml_secrets.contract import Caller, Context

ENGINE = Engine("token", summary="Tokens themselves: make, look up, renew, revoke.")


def caller_of(ctx: Context) -> Caller:
    """The caller; every operation here needs one."""
    if ctx.caller is None:
        raise Unauthenticated("permission denied")
    return ctx.caller


def has_sudo(ctx: Context) -> bool:
    """True for a caller with `sudo` on the path of this request. Some fields ask for it, not the operation as a whole."""
    request = ctx.request
    acl = ctx.access.policies.rights_of(ctx.unit, caller_of(ctx).entry)
    return acl.check(
        request.path, Capability.UPDATE, fields=request.fields, wrap_ttl=request.wrap_ttl, sudo=True
    ).allowed
