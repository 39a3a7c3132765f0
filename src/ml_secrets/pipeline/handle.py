"""The way of every request, in the order that makes it safe. Read `_change` for the whole of it.

     1  route         mount and operation by the canonical path
     2  authenticate  who asks
     3  authorize     may they
     4  limit         quotas
     5  audit         the intent, on every device, before any effect
     6  bind          typed arguments (only now: a malformed body never comes ahead of a denial)
     7  run           the operation, in one transaction
     8  issue, wrap   the token of a login; the wrapping of an answer
     9  audit         the outcome
    10  commit        nothing becomes durable unobserved

A read has no effect, so `_glance` runs it on one committed state and writes both audit lines at once, just ahead of the
answer; if they cannot be written there is no answer. `handle` never raises.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, NoReturn

from msgspec.structs import replace

from ml_secrets.contract.bind import bind, unrecognised
from ml_secrets.contract.context import Context
from ml_secrets.contract.operation import Shape, Verb
from ml_secrets.errors import (
    Denied,
    Fault,
    MlSecretsError,
    NotFound,
    Refusal,
    Sealed,
    StoreFault,
    Unauthenticated,
)
from ml_secrets.pipeline import recall
from ml_secrets.pipeline import route as routing
from ml_secrets.pipeline.authorize import authenticate, authorize, authorize_help
from ml_secrets.pipeline.brief import Brief, Waits
from ml_secrets.pipeline.outcome import Outcome
from ml_secrets.pipeline.visit import Visit
from ml_secrets.pipeline.wrap import wrap
from ml_secrets.registry.unit import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_secrets.contract.request import Request
    from ml_secrets.contract.response import Response
    from ml_secrets.pipeline.house import House
    from ml_secrets.pipeline.recall import Repeat
    from ml_secrets.pipeline.route import Route
    from ml_secrets.registry.changes import Change

_log = logging.getLogger(__name__)
_SYSTEM = "sys/"


class Pipeline:
    """Carries requests through the house. `envelope` writes an outcome as JSON (the dialect's), for wrapping."""

    def __init__(self, house: House, envelope: Callable[[Outcome], bytes]) -> None:
        self._house = house
        self._envelope = envelope

    # ── the edge asks ───────────────────────────────────────────────────────────────────────────────────────────────

    def name(self, token: bytes, target: bytes) -> bytes:
        """What a plain read is known by: one whose answer depends on its token and its target alone. See `Request.name`."""
        return self._house.recalls.name(token, target)

    def recall(self, name: bytes, request_id: str, token: str, address: str, port: int) -> Repeat | None:
        """The answer to a read that was answered before; None where anything it rests on may have changed: `glance` then."""
        if self._house.devices.waits:
            return None
        return recall.again(self._house, token, [(name, request_id)], address, port)[0]

    def recall_all(
        self, asked: Sequence[tuple[bytes, str]], token: str, address: str, port: int
    ) -> list[Repeat | None]:
        """The same for several reads (name, request id) of one caller, which are recorded together."""
        return recall.again(self._house, token, asked, address, port)

    def glance(self, request: Request) -> Outcome | None:
        """The answer to a short read of what is in memory or in the local store; None for a request that has to wait."""
        if self._house.devices.waits:
            return None
        visit = Visit(request, routing.NOWHERE, brief=True)
        try:
            return self._remembered(visit, self._answer(visit, self._glance(visit)))
        except Waits:
            return None
        except Exception as error:  # noqa: BLE001 - the outermost border: whatever escapes must not reach a log with its values
            return self._failed(visit, error)

    def peek(self, request: Request) -> tuple[Response, int] | None:
        """What a read would answer now, and of which state (`stamp`), for the edge to decide whether it waits. None: it has to be asked.

        Nothing is recorded, counted or spent: what this gives must not leave the server.
        """
        visit = Visit(request, routing.NOWHERE, counted=True, tolled=True)
        try:
            response = self._house.units.read(lambda unit: self._look(visit, unit))
        except Exception:  # noqa: BLE001 - whatever it is, the request itself meets it, and says so
            return None
        return None if response is None else (response, visit.stamp)

    def still(self, request: Request, mount: str) -> bool:
        """The same read may still be asked, of the same mount (its UUID). As in `peek`, but the secret is not read."""
        visit = Visit(request, routing.NOWHERE, counted=True, tolled=True)

        def look(unit: Unit) -> bool:
            visit.route = self._route(unit, request)
            self._admit(visit, unit)
            return visit.route.mount is not None and visit.route.mount.uuid == mount

        try:
            return self._house.units.read(look)
        except Exception:  # noqa: BLE001 - as in `peek`
            return False

    @property
    def stamp(self) -> int:
        """The same number again means: nothing was written in between (`Units.stamp`)."""
        return self._house.units.stamp

    @property
    def sealed(self) -> bool:
        """The server holds no key."""
        return self._house.seal.sealed

    def now(self) -> float:
        """Seconds since 1970."""
        return self._house.clock()

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` with every change, from the thread that made it. Returns what ends that."""
        return self._house.changes.listen(listener)

    @property
    def records_at_once(self) -> bool:
        """Recording a request waits for nobody else: `reject` may be called on the event loop."""
        return not self._house.devices.waits

    def knows(self, token: str) -> bool:
        """True for a token that is live. What it may do is for later."""
        house = self._house
        try:
            return not house.seal.sealed and house.units.read(
                lambda unit: house.tokens.find(unit, token) is not None
            )
        except MlSecretsError:
            return False

    def serves(self, token: str | None) -> bool:
        """True for a token that is live, and while the server is sealed, when requests get their own answer."""
        return self._house.seal.sealed or (token is not None and self.knows(token))

    def slow(self, request: Request) -> bool:
        """True for a request that burns CPU (a password to hash): it should not wait in one line with the others."""
        try:
            if self._house.seal.sealed:
                route = self._route_while_sealed(request)
            else:
                route = self._house.units.read(lambda unit: self._route(unit, request))
        except MlSecretsError:
            return False
        return route.operation is not None and route.operation.slow

    def handle(self, request: Request) -> Outcome:
        """The answer to a request. Never raises; an unforeseen error becomes a Fault that tells nothing but its id."""
        visit = Visit(request, routing.NOWHERE)
        try:
            return self._remembered(visit, self._answer(visit, self._serve(visit)))
        except Exception as error:  # noqa: BLE001 - as in `glance`
            return self._failed(visit, error)

    def reject(self, request: Request, error: Refusal) -> Outcome:
        """A request that the dialect could not read: audited, then refused."""
        visit = Visit(request, routing.NOWHERE)
        try:
            self._house.devices.rejected(visit, error)
        except MlSecretsError as fault:
            return self._outcome(visit, None, fault)
        return self._outcome(visit, None, error)

    # ── the three ways ──────────────────────────────────────────────────────────────────────────────────────────────

    def _serve(self, visit: Visit) -> Response | None:
        try:
            return self._glance(visit)
        except Waits:
            pass
        operation = visit.route.operation
        if self._house.seal.sealed:
            return self._while_sealed(visit)
        self._spend(visit)
        try:
            if operation is not None and operation.slow:
                return self._slow(visit)
            return self._glance(visit) if self._quick(visit) else self._change(visit)
        finally:
            self._end_if_spent(visit)

    def _glance(self, visit: Visit) -> Response | None:
        """A read: everything on one committed state, then both audit lines. Raises `Waits` when it is none, before any effect."""
        house = self._house
        if house.seal.sealed:
            visit.route = self._route_while_sealed(visit.request)
            if visit.route.operation is not None and visit.route.operation.slow:
                raise Waits
            return self._while_sealed(visit)
        visit.response = house.units.read(lambda unit: self._look(visit, unit))
        if not visit.route.unaudited:
            house.devices.read(visit)
            if house.seal.sealed:  # meanwhile: the devices may have been closed by then, and recorded nothing
                raise Sealed("Vault is sealed")
        return visit.response

    def _look(self, visit: Visit, unit: Unit) -> Response | None:
        visit.now, visit.stamp = unit.now, self._house.units.stamp
        if visit.brief:
            unit.tx = Brief(unit.tx)
        visit.route = self._route(unit, visit.request)
        if not self._quick(visit):
            self._stop_strangers(visit, unit)
            raise Waits
        if not visit.route.unaudited:
            self._admit(visit, unit)
        return self._run(visit, unit)

    def _stop_strangers(self, visit: Visit, unit: Unit) -> None:
        """Who has no token gets no place in the line of those who have to wait."""
        if not visit.route.public:
            try:
                authenticate(visit, unit, self._house.tokens)
            except (Unauthenticated, Denied):
                self._toll(visit, unit)
                raise

    def _quick(self, visit: Visit) -> bool:
        operation = visit.route.operation
        return operation is None or not (operation.changes or operation.slow or _wraps(visit))

    def _while_sealed(self, visit: Visit) -> Response | None:
        operation = visit.route.operation
        if operation is None or not operation.while_sealed:
            raise Sealed("Vault is sealed", hint="unseal it with `ml-secrets operator unseal`")
        return self._run(visit, Unit(_NoStore(), self._house.clock(), writes=False))

    def _change(self, visit: Visit) -> Response | None:
        house = self._house
        with house.units.write() as unit:
            visit.route = self._route(unit, visit.request)
            self._admit(visit, unit)
            self._intend(visit)
            visit.response = self._finish(visit, unit, self._run(visit, unit))
            house.devices.outcome(visit, None)
        return visit.response

    def _slow(self, visit: Visit) -> Response | None:
        """What burns CPU: think without holding up the writers, then (if all still is as it was) write and issue."""
        house = self._house
        response = house.units.read(lambda unit: self._think(visit, unit))
        with house.units.write() as unit:
            visit.route = self._route(unit, visit.request)
            self._authorize(visit, unit)
            self._intend(visit)
            if response is not None and response.record is not None:
                response = response.record(self._context(visit, unit))
            visit.response = self._finish(visit, unit, response)
            house.devices.outcome(visit, None)
        return visit.response

    def _think(self, visit: Visit, unit: Unit) -> Response | None:
        self._admit(visit, unit)
        return self._run(visit, unit)

    def _intend(self, visit: Visit) -> None:
        self._house.devices.intent(visit)
        visit.intended = True

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _route(self, unit: Unit, request: Request) -> Route:
        return routing.find(request, self._house.mounts.table(unit), self._house.engine)

    def _route_while_sealed(self, request: Request) -> Route:
        house = self._house
        inside = request.path.startswith(_SYSTEM)
        return routing.route(request, house.system_mount, house.system_engine) if inside else routing.NOWHERE

    def _admit(self, visit: Visit, unit: Unit) -> None:
        try:
            self._authorize(visit, unit)
        except (Unauthenticated, Denied):
            self._toll(visit, unit)
            raise
        self._toll(visit, unit)
        if visit.route.operation is None:
            visit.route.found(visit.request)

    def _toll(self, visit: Visit, unit: Unit) -> None:
        """Count the request against its quota: once, however often a read is done again, and refused ones too."""
        if not visit.tolled:
            self._house.quotas.check(unit, visit.request.path, visit.request.remote_address)
            visit.tolled = True

    def _authorize(self, visit: Visit, unit: Unit) -> None:
        house = self._house
        visit.caller = caller = authenticate(visit, unit, house.tokens)
        if not visit.route.public:
            assert caller is not None  # `authenticate` raises
            if caller.entry.uses_left and not visit.counted:
                raise Waits
            acl = house.policies.acl(unit, caller.entry.policies)
            if visit.request.help:
                authorize_help(visit, acl)
            else:
                authorize(visit, acl, exists=lambda: self._exists(visit, unit))

    def _exists(self, visit: Visit, unit: Unit) -> bool:
        operation = visit.route.operation
        if operation is None or operation.exists is None:
            return True
        try:
            return operation.exists(self._context(visit, unit), dict(visit.route.captures))
        except (
            Refusal
        ):  # a name that nothing can have: who may create is told by the operation, others are not
            return False

    def _run(self, visit: Visit, unit: Unit) -> Response | None:
        _, _, operation = visit.route.found(visit.request)
        arguments = bind(operation, visit.route.captures, visit.request)
        response = operation.run(self._context(visit, unit), **arguments)
        unknown = unrecognised(operation, visit.request)
        if (
            unknown
            and response is not None
            and (response.data is not None or response.auth is not None or response.login is not None)
        ):
            response.warnings.append(f"Endpoint ignored these unrecognized parameters: [{' '.join(unknown)}]")
        return response

    def _finish(self, visit: Visit, unit: Unit, response: Response | None) -> Response | None:
        house, request = self._house, visit.request
        if response is not None and response.login is not None:
            mount, _, _ = visit.route.found(request)
            visit.login = response.login
            issued = house.issue(unit, request, mount, response.login)
            response = replace(issued, warnings=issued.warnings + response.warnings)
        if _wraps(visit) and response is not None and response.wrap_info is None:
            visit.response = response
            if (
                visit.caller is None and response.auth is None
            ):  # else strangers could fill the store with wrappings
                raise Unauthenticated("permission denied", hint="to have an answer wrapped, send a token")
            accessor = str(response.auth["accessor"]) if response.auth else response.accessor
            answer = self._envelope(_outcome_of(visit, response, None))
            response = wrap(unit, house.tokens, house.wrapping, request, answer, wrapped_accessor=accessor)
        return response

    def _context(self, visit: Visit, unit: Unit) -> Context:
        house, mount = self._house, visit.route.mount
        assert mount is not None  # there is an operation
        return Context(
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

    # ── limited uses ────────────────────────────────────────────────────────────────────────────────────────────────

    def _spend(self, visit: Visit) -> None:
        """A use is spent in a transaction of its own, before anything else, so that no failure gives it back.

        What needs no token spends none: asking about a wrapping token, or unwrapping with it, leaves its one use alone.
        """
        visit.counted = True
        house, token = self._house, visit.request.token
        if token is None or visit.route.public:
            return
        found = house.units.read(lambda unit: house.tokens.find(unit, token))
        if found is None or not found[1].uses_left:
            return
        with house.units.write() as unit:
            entry = house.tokens.spend(unit, found[0])
        if entry is None:
            visit.request.token = ""
        elif entry.uses_left < 0:
            visit.spent = found[0]

    def _end_if_spent(self, visit: Visit) -> None:
        if not visit.spent or self._house.seal.sealed:
            return
        try:
            with self._house.units.write() as unit:
                self._house.end_token(unit, visit.spent)
        except (
            MlSecretsError
        ) as error:  # the request itself has ended, and the spent token is dead without its row's end
            _log.error("a used-up token was not swept away: %s", type(error).__name__)

    # ── ends ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _answer(self, visit: Visit, response: Response | None) -> Outcome:
        if response is None and visit.request.verb in (Verb.READ, Verb.LIST, Verb.SCAN):
            return self._outcome(visit, None, NotFound())
        return self._outcome(visit, response, None)

    def _remembered(self, visit: Visit, outcome: Outcome) -> Outcome:
        with contextlib.suppress(
            MlSecretsError
        ):  # sealed meanwhile, say: the answer stands, it is just not remembered
            recall.remember(self._house, visit, outcome)
        return outcome

    def _failed(self, visit: Visit, error: Exception) -> Outcome:
        fault = _fault_of(visit.request, error)
        try:
            self._audit_failure(visit, fault)
        except Exception as worse:  # noqa: BLE001 - as in `handle`
            fault = _fault_of(visit.request, worse)
        return self._outcome(visit, None, fault)

    def _audit_failure(self, visit: Visit, error: MlSecretsError) -> None:
        """Record that a request was refused or failed, also one whose success was recorded just before its commit failed."""
        house = self._house
        if isinstance(error, StoreFault):
            house.stop(error)
        if house.seal.sealed:
            return
        visit.response = None
        if visit.intended:
            house.devices.outcome(visit, error)
        else:
            house.devices.refused(visit, error)

    def _outcome(self, visit: Visit, response: Response | None, error: MlSecretsError | None) -> Outcome:
        self._house.counters.count(visit.request.verb, error)
        if isinstance(error, Denied) and visit.route.public:
            error.hint = error.hint or "the login was refused"
        return _outcome_of(visit, response, error)


def _outcome_of(visit: Visit, response: Response | None, error: MlSecretsError | None) -> Outcome:
    operation, mount = visit.route.operation, visit.route.mount
    return Outcome(
        visit.request.id,
        response,
        error,
        shape=operation.shape if operation is not None else Shape.ENVELOPE,
        verb=visit.request.verb,
        mount_kind=mount.kind if mount is not None else "",
    )


def _wraps(visit: Visit) -> bool:
    """The answer is to be wrapped. What anybody may ask of a server as a whole never is."""
    operation = visit.route.operation
    bare = operation is not None and operation.public and operation.shape is Shape.BARE
    return visit.request.wrap_ttl is not None and not bare


class _NoStore:
    """What an operation sees of the store while the server is sealed: nothing."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise Sealed("Vault is sealed")

    get = put = delete = list = _refuse


def _fault_of(request: Request, error: Exception) -> MlSecretsError:
    """Our own errors as they are; anything else as a Fault, with a log line that has its place but not its values."""
    if isinstance(error, MlSecretsError):
        return error
    _log.error("request %s failed: %s in %s", request.id, type(error).__name__, _where(error))
    return Fault("internal error", hint=f"the server's log has request {request.id}")


def _where(error: BaseException) -> str:
    """File and line of the innermost frame; never its values."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
