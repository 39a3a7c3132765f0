"""The steps of a request, each in one place; `handle.py` has their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from msgspec.structs import replace

from ml_secrets.contract.bind import bind, unrecognised
from ml_secrets.contract.context import Context
from ml_secrets.contract.operation import Shape
from ml_secrets.errors import Denied, MlSecretsError, Refusal, Sealed, Unauthenticated
from ml_secrets.pipeline import route as routing
from ml_secrets.pipeline.authorize import authenticate, authorize, authorize_help
from ml_secrets.pipeline.brief import Brief, Waits
from ml_secrets.pipeline.outcome import Outcome
from ml_secrets.pipeline.wrap import wrap
from ml_secrets.registry.unit import Unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.contract.operation import Operation
    from ml_secrets.contract.request import Request
    from ml_secrets.contract.response import Response
    from ml_secrets.pipeline.house import House
    from ml_secrets.pipeline.route import Route
    from ml_secrets.pipeline.visit import Visit

_SYSTEM = "sys/"


class Steps:
    """What is done with a visit in one unit of work. `envelope` writes an outcome as JSON (the dialect's), for wrapping."""

    def __init__(self, house: House, envelope: Callable[[Outcome], bytes]) -> None:
        self._house = house
        self._envelope = envelope

    # ── where to ────────────────────────────────────────────────────────────────────────────────────────────────────

    def route(self, unit: Unit, request: Request) -> Route:
        """Where the request leads; a login inside another one leads to logins only."""
        found = routing.find(request, self._house.mounts.table(unit), self._house.engine)
        return routing.NOWHERE if request.inside and not found.logs_in else found

    def route_while_sealed(self, request: Request) -> Route:
        """The same without a store: there is the system alone."""
        house = self._house
        if request.inside or not request.path.startswith(_SYSTEM):
            return routing.NOWHERE
        return routing.route(request, house.system_mount, house.system_engine)

    # ── who asks, and may they ──────────────────────────────────────────────────────────────────────────────────────

    def admit(self, visit: Visit, unit: Unit) -> None:
        """Authenticate, authorize, and count the request against its quota."""
        visit.admitted = False
        try:
            self.authorize(visit, unit)
        except (Unauthenticated, Denied):
            self._toll(visit, unit)
            raise
        self._toll(visit, unit)
        if visit.route.operation is None:
            visit.route.found(visit.request)
        visit.admitted = True

    def authorize(self, visit: Visit, unit: Unit) -> None:
        """Who asks, and may they. Raises `Waits` where a use of the token is to be spent first."""
        house = self._house
        visit.caller = caller = authenticate(visit, unit, house.tokens)
        if not visit.route.public:
            assert caller is not None  # `authenticate` raises
            if caller.entry.uses_left and not visit.counted:
                raise Waits
            acl = house.policies.rights_of(unit, caller.entry)
            if visit.request.help:
                authorize_help(visit, acl)
            else:
                authorize(visit, acl, exists=lambda: self._exists(visit, unit))

    def stop_strangers(self, visit: Visit, unit: Unit) -> None:
        """Who has no token gets no place in the line of those who have to wait."""
        if not visit.route.public:
            try:
                visit.caller = authenticate(visit, unit, self._house.tokens)
            except (Unauthenticated, Denied):
                self._toll(visit, unit)
                raise

    def _toll(self, visit: Visit, unit: Unit) -> None:
        """Count the request against its quota: once, however often a read is done again, and refused ones too."""
        if not visit.tolled:
            request = visit.request
            self._house.quotas.check(
                unit, request.path, request.remote_address, role=lambda: self._role(visit, unit)
            )
            visit.tolled = True

    def _role(self, visit: Visit, unit: Unit) -> str:
        """The role that a login asks for, "" where there is none."""
        operation = visit.route.operation
        if operation is None or operation.role is None:
            return ""
        return operation.role(self.context(visit, unit))

    def _exists(self, visit: Visit, unit: Unit) -> bool:
        operation = visit.route.operation
        if operation is None or operation.exists is None:
            return True
        try:
            return operation.exists(self.context(visit, unit), dict(visit.route.captures))
        except (
            Refusal
        ):  # a name that nothing can have: who may create is told by the operation, others are not
            return False

    # ── the operation ───────────────────────────────────────────────────────────────────────────────────────────────

    def look(self, visit: Visit, unit: Unit) -> Response | None:
        """All of a read. Raises `Waits` when it is none, before any effect."""
        visit.now, visit.stamp = unit.now, self._house.units.stamp
        if visit.brief:
            unit.tx = Brief(unit.tx)
        visit.route = self.route(unit, visit.request)
        if not quick(visit):
            self.stop_strangers(visit, unit)
            raise Waits
        if not visit.route.unaudited:
            self.admit(visit, unit)
        return self.run(visit, unit)

    def while_sealed(self, visit: Visit) -> Response | None:
        """What may be asked of a server without a key."""
        operation = visit.route.operation
        if operation is None or not operation.while_sealed:
            raise Sealed("Vault is sealed", hint="unseal it with `ml-secrets operator unseal`")
        return self.run(visit, Unit(_NoStore(), self._house.clock()))

    def run(self, visit: Visit, unit: Unit) -> Response | None:
        """Bind the arguments (only now: a malformed body never comes ahead of a denial), and run the operation."""
        _, _, operation = visit.route.found(visit.request)
        arguments = bind(operation, visit.route.captures, visit.request)
        return _warned(operation, visit.request, operation.run(self.context(visit, unit), **arguments))

    def record(self, visit: Visit, unit: Unit, response: Response | None) -> Response | None:
        """What an operation writes that has thought first, and its answer."""
        if response is None or response.record is None:
            return response
        _, _, operation = visit.route.found(visit.request)
        return _warned(operation, visit.request, response.record(self.context(visit, unit)))

    def finish(self, visit: Visit, unit: Unit, response: Response | None) -> Response | None:
        """Issue the token of a login, and wrap what is to be wrapped."""
        house, request = self._house, visit.request
        if response is not None and response.login is not None:
            mount, _, _ = visit.route.found(request)
            visit.login = response.login
            issued = house.issue(unit, request, mount, response.login)
            response = replace(issued, warnings=issued.warnings + response.warnings)
        if wraps(visit) and response is not None and response.wrap_info is None:
            visit.response = response
            if (
                visit.caller is None and response.auth is None
            ):  # else strangers could fill the store with wrappings
                raise Unauthenticated("permission denied", hint="to have an answer wrapped, send a token")
            accessor = str(response.auth["accessor"]) if response.auth else response.accessor
            answer = self._envelope(outcome_of(visit, response, None))
            response = wrap(unit, house.tokens, house.wrapping, request, answer, wrapped_accessor=accessor)
        return response

    def context(self, visit: Visit, unit: Unit) -> Context:
        """What the operation is handed."""
        house, mount, known = self._house, visit.route.mount, visit.context
        if known is not None and known.unit is unit and known.caller is visit.caller:
            return known
        assert mount is not None  # there is an operation
        visit.context = Context(
            request=visit.request,
            mount=mount,
            store=house.store_of(unit, mount),
            opaque=house.opaque_of(unit, mount),
            now=unit.now,
            random=house.random,
            caller=visit.caller,
            unit=unit,
            access=house,
        )
        return visit.context


def _warned(operation: Operation, request: Request, response: Response | None) -> Response | None:
    """An answer that has a body tells which parameters the operation does not know."""
    if response is not None and (response.data is not None or response.auth or response.login):
        unknown = unrecognised(operation, request)
        if unknown:
            response.warnings.append(f"Endpoint ignored these unrecognized parameters: [{' '.join(unknown)}]")
    return response


def quick(visit: Visit) -> bool:
    """It reads, and nothing more."""
    operation = visit.route.operation
    return operation is None or not (operation.changes or operation.slow or wraps(visit))


def wraps(visit: Visit) -> bool:
    """The answer is to be wrapped. What anybody may ask of a server as a whole never is."""
    operation = visit.route.operation
    bare = operation is not None and operation.public and operation.shape is Shape.BARE
    return visit.request.wrap_ttl is not None and not bare


def outcome_of(visit: Visit, response: Response | None, error: MlSecretsError | None) -> Outcome:
    """How the visit ended, for the dialect."""
    operation, mount = visit.route.operation, visit.route.mount
    return Outcome(
        visit.request.id,
        response,
        error,
        shape=operation.shape if operation is not None else Shape.ENVELOPE,
        verb=visit.request.verb,
        mount_kind=mount.kind if mount is not None else "",
    )


class _NoStore:
    """What an operation sees of the store while the server is sealed: nothing."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise Sealed("Vault is sealed")

    get = put = delete = list = _refuse
