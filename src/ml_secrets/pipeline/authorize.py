"""Whether a caller may do what they ask: tokens first, then rights.

Nothing here looks at the engine's data, but for the hook that tells `create` from `update`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Caller
from ml_secrets.domain.advice import blur, explain, refusal
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.read_only import LOOKING
from ml_secrets.domain.token import address_allowed
from ml_secrets.errors import Denied, Unauthenticated
from ml_secrets.pipeline import hints, inline

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.contract.request import Request
    from ml_secrets.domain.acl import Acl, Decision
    from ml_secrets.pipeline.visit import Visit
    from ml_secrets.registry.tokens import Tokens
    from ml_secrets.registry.unit import Unit

NEEDS: Final = {
    Verb.READ: Capability.READ,
    Verb.LIST: Capability.LIST,
    Verb.SCAN: Capability.SCAN,
    Verb.PATCH: Capability.PATCH,
    Verb.DELETE: Capability.DELETE,
}
_LOG_IN: Final = "log in with `ml-secrets login`, or set ML_SECRETS_TOKEN (or VAULT_TOKEN)"

_NO_LOGIN: Final = "no login is at this path: they are at auth/<where>/login for AppRole, auth/<where>/login/<name> for userpass"
_FOREIGN: Final = ("hvs.", "hvb.", "s.", "b.")


def authenticate(visit: Visit, unit: Unit, tokens: Tokens) -> Caller | None:
    """The caller behind the request's token; None for a public operation without one."""
    request = visit.request
    if request.caller is not None:
        return inline.still(unit, tokens, request.caller)
    if request.token is None:
        if visit.route.public:
            return None
        raise Unauthenticated("permission denied", hint=_to_log_in(request))
    found = tokens.find(unit, request.token)
    if found is None:
        if visit.route.public:
            return None
        raise Unauthenticated("permission denied", hint=_not_known(request.token))
    key, entry = found
    if entry.bound_cidrs and not address_allowed(request.remote_address, entry.bound_cidrs):
        raise Denied("permission denied", hint="the token is bound to other addresses")
    return Caller(key, entry, request.token)


def _to_log_in(request: Request) -> str:
    """Nothing of it depends on what there is."""
    if request.inside:
        return inline.NO_LOGIN
    return _NO_LOGIN if request.path.startswith("auth/") and request.verb is Verb.WRITE else _LOG_IN


def _not_known(token: str) -> str:
    if token.startswith(_FOREIGN):
        return "the token is of another server, of Vault or OpenBao: is the address the one you mean?"
    return "the token is unknown, expired, used up or revoked: log in again"


def authorize(visit: Visit, acl: Acl, *, exists: Callable[[], bool]) -> Decision:
    """The decision for an allowed request. Raises `Denied` otherwise; `visit.decision` is set in both cases."""
    request, operation = visit.request, visit.route.operation
    needed = NEEDS.get(request.verb)
    if needed is None:
        needed = Capability.UPDATE if operation is None or exists() else Capability.CREATE
    visit.capability = str(needed)
    decision = acl.check(
        request.path,
        needed,
        fields=request.fields,
        wrap_ttl=request.wrap_ttl,
        sudo=operation is not None and operation.sudo,
    )
    visit.decision = decision
    if not decision.allowed:
        raise refusal(_why(visit, acl, decision))
    return decision


def _why(visit: Visit, acl: Acl, decision: Decision) -> str:
    if visit.caller is not None and visit.caller.entry.read_only and decision.capability not in LOOKING:
        return "the token is read-only, whatever its policies say: make another for what changes something"
    near = hints.meant(visit, acl, decision.capability)
    why = explain(blur(decision))
    return f"{near}. As it stands, {why}" if near else why


def authorize_help(visit: Visit, acl: Acl) -> None:
    """Help on a mount's paths is for everyone who has some right in that mount. Raises `Denied` for others."""
    visit.capability = str(Capability.READ)
    mount = visit.route.mount
    if not acl.root and (mount is None or not acl.reaches(mount.path)):
        raise refusal("your token has no right in that mount, or there is none")
