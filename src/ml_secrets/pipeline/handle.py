"""The way of every request, in the order that makes it safe. Read `_change` for the whole of it.

     1  route         mount and operation by the canonical path
     2  authenticate  who asks
     3  authorize     may they
     4  limit         quotas
     5  bind          typed arguments (only now: a malformed body never comes ahead of a denial)
     6  run           the operation, in one transaction
     7  issue, wrap   the token of a login; the wrapping of an answer
     8  audit         who asked for what, and what came of it, on every device
     9  commit        nothing becomes durable, nothing has an effect, and nothing is answered, unobserved

A read has no effect, so `_glance` runs it on one committed state, and records it just ahead of the answer. Changes that
come together are committed together (`handle_all`). Nothing here ever raises.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from ml_secrets.contract.operation import Verb
from ml_secrets.errors import Denied, Fault, MlSecretsError, NotFound, Refusal, Sealed, StoreFault
from ml_secrets.pipeline import hints, recall
from ml_secrets.pipeline import route as routing
from ml_secrets.pipeline.brief import Waits
from ml_secrets.pipeline.devices import Bundle
from ml_secrets.pipeline.look import Detour, Look, detour_of
from ml_secrets.pipeline.steps import Steps, outcome_of, quick
from ml_secrets.pipeline.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ml_secrets.contract.request import Request
    from ml_secrets.contract.response import Response
    from ml_secrets.pipeline.house import House
    from ml_secrets.pipeline.outcome import Outcome
    from ml_secrets.pipeline.recall import PlainRead
    from ml_secrets.pipeline.units import Together
    from ml_secrets.registry.unit import Unit

_log = logging.getLogger(__name__)


class Pipeline:
    """Carries requests through the house. `envelope` writes an outcome as JSON (the dialect's), for wrapping."""

    def __init__(self, house: House, envelope: Callable[[Outcome], bytes]) -> None:
        self._house = house
        self._steps = Steps(house, envelope)
        self.look = Look(house, self._steps)
        self.name: Final = house.recalls.name
        """What a plain read is known by: one whose answer depends on its token and its target alone. See `Request.name`."""

    # ── the edge asks ───────────────────────────────────────────────────────────────────────────────────────────────

    def recall(self, reads: Iterable[PlainRead]) -> None:
        """Answer the reads that were answered before, recorded with one write a device; the others have to go the whole way.

        So have all where recording may keep the event loop waiting.
        """
        if not self._house.devices.waits:
            recall.again(self._house, reads)

    def recall_patiently(self, reads: Iterable[PlainRead]) -> None:
        """The same in a thread, which may be kept waiting."""
        recall.again(self._house, reads)

    def glance(self, request: Request) -> Outcome | Detour:
        """The answer to a short read of what is in memory or in the local store; for all else, where it has to wait."""
        if self._house.devices.waits:
            return self.look.detour(request)
        visit = Visit(request, routing.NOWHERE, brief=True)
        try:
            self._glance(visit)
            return self._remembered(visit, self._outcome(visit, None))
        except Waits:
            return detour_of(visit)
        except Exception as error:  # noqa: BLE001 - the outermost border: whatever escapes must not reach a log with its values
            return self._outcome(visit, self._fault(visit, error))

    def handle(self, request: Request) -> Outcome:
        """The answer to a request. An unforeseen error becomes a Fault that tells nothing but its id."""
        visit = Visit(request, routing.NOWHERE)
        return self._remembered(visit, self._outcome(visit, self._served(visit)))

    def handle_all(self, requests: Sequence[Request]) -> list[Outcome]:
        """The answers to requests that change something, as if each had come alone, in this order; but with one commit.

        What fails on its way fails alone, and undoes what it did. A commit that fails, fails for all that it was to keep.
        """
        if self._house.seal.sealed:
            return [self.handle(request) for request in requests]
        if len(requests) == 1:
            visit = Visit(requests[0], routing.NOWHERE)
            return [self._outcome(visit, self._served(visit, changes=True))]
        visits, bundle = self._bundled(requests)
        try:
            with self._house.units.together():
                errors = self._made(visits, bundle)
        except Exception as error:  # noqa: BLE001 - as in `glance`
            errors = [self._undone(visit, error) for visit in visits]
        return [self._outcome(visit, error) for visit, error in zip(visits, errors, strict=True)]

    def begin_all(self, requests: Sequence[Request]) -> Callable[[], list[Outcome]] | None:
        """The same in two halves: all but the commit now; what is returned commits and has the answers, and may be another thread's.

        None, and nothing done, where it could not go on without waiting: it is sealed, a writer has the turn, or recording waits.
        """
        together = self._try_together()
        if together is None:
            return None
        visits, bundle = self._bundled(requests)
        errors: list[MlSecretsError | None] = []

        def commit() -> list[Outcome]:
            try:
                together.commit()
            except Exception as error:  # noqa: BLE001 - as in `glance`
                return undone(error)
            return [self._outcome(visit, error) for visit, error in zip(visits, errors, strict=True)]

        def undone(error: Exception) -> list[Outcome]:
            return [self._outcome(visit, self._undone(visit, error)) for visit in visits]

        try:
            with together:
                errors = self._made(visits, bundle)
        except Exception as error:  # noqa: BLE001 - as in `glance`
            failed = error
            return lambda: undone(failed)
        return commit

    def reject(self, request: Request, error: Refusal) -> Outcome:
        """The answer to a request that could not even be read: recorded, then refused."""
        visit = Visit(request, routing.NOWHERE)
        return self._outcome(visit, self._fault(visit, error))

    # ── the three ways ──────────────────────────────────────────────────────────────────────────────────────────────

    def _serve(self, visit: Visit, *, changes: bool) -> None:
        """The way it is taken for at first; if that is not its own, no harm was done on it, and its own is known."""
        with contextlib.suppress(Waits):
            return self._change(visit) if changes else self._glance(visit)
        house, operation = self._house, visit.route.operation
        if house.seal.sealed:
            visit.response = self._steps.while_sealed(visit)
            return None
        self._spend(visit)
        try:
            if operation is not None and operation.slow:
                self._slow(visit)
            elif quick(visit):
                self._glance(visit)
            else:
                self._change(visit)
        finally:
            self._end_if_spent(visit)

    def _glance(self, visit: Visit) -> None:
        """A read: everything on one committed state, then the record. Raises `Waits` when it is none, before any effect."""
        house, steps = self._house, self._steps
        if house.seal.sealed:
            visit.route = steps.route_while_sealed(visit.request)
            if visit.route.operation is not None and visit.route.operation.slow:
                raise Waits
            visit.response = steps.while_sealed(visit)
            return
        visit.response = house.units.read(lambda unit: steps.look(visit, unit))
        if not visit.route.unaudited:
            house.devices.record(visit, None, visit.now)
            if house.seal.sealed:  # meanwhile: the devices may have been closed by then, and recorded nothing
                raise Sealed("Vault is sealed")

    def _change(self, visit: Visit) -> None:
        house, steps = self._house, self._steps
        with house.units.write() as unit:
            visit.route = steps.route(unit, visit.request)
            if visit.route.operation is not None and visit.route.operation.slow:
                raise Waits
            steps.admit(visit, unit)
            visit.response = steps.finish(visit, unit, steps.run(visit, unit))
            self._record_done(visit, unit)

    def _slow(self, visit: Visit) -> None:
        """What burns CPU: think without holding up the writers, then (if all still is as it was) write and issue."""
        house, steps = self._house, self._steps
        response = house.units.read(lambda unit: self._think(visit, unit))
        with house.units.write() as unit:
            visit.route = steps.route(unit, visit.request)
            steps.authorize(visit, unit)
            visit.response = steps.finish(visit, unit, steps.record(visit, unit, response))
            self._record_done(visit, unit)

    def _think(self, visit: Visit, unit: Unit) -> Response | None:
        self._steps.admit(visit, unit)
        return self._steps.run(visit, unit)

    def _record_done(self, visit: Visit, unit: Unit) -> None:
        self._house.devices.record(visit, None, unit.now)
        visit.recorded = True

    def _try_together(self) -> Together | None:
        house = self._house
        if house.seal.sealed or house.devices.waits:
            return None
        try:
            return house.units.try_together()
        except MlSecretsError:  # sealed meanwhile: each is told so, and recorded, in the thread
            return None

    def _bundled(self, requests: Sequence[Request]) -> tuple[list[Visit], Bundle]:
        bundle = Bundle()
        return [Visit(request, routing.NOWHERE, bundle=bundle) for request in requests], bundle

    def _made(self, visits: list[Visit], bundle: Bundle) -> list[MlSecretsError | None]:
        """Changes that are to share a commit, made and recorded."""
        errors = [self._served(visit, changes=True) for visit in visits]
        self._house.devices.record_all(bundle)
        return errors

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

    def _served(self, visit: Visit, *, changes: bool = False) -> MlSecretsError | None:
        """Serve it; what stood in the way, recorded by then. changes: the edge has found that it is a change."""
        try:
            self._serve(visit, changes=changes)
        except Exception as error:
            if visit.bundle is not None and isinstance(error, StoreFault):
                raise  # nothing of those that came with it can be kept either
            return self._fault(visit, error)
        return None

    def _undone(self, visit: Visit, error: Exception) -> MlSecretsError:
        """What it did was to be kept together with others, and was not."""
        bundle, visit.bundle = visit.bundle, None
        visit.recorded = bundle is not None and bundle.recorded
        return self._fault(visit, error)

    def _fault(self, visit: Visit, error: Exception) -> MlSecretsError:
        """What a request is told that was refused or failed, recorded by then."""
        fault = _fault_of(visit.request, error)
        try:
            self._record_failure(visit, fault)
        except Exception as worse:  # noqa: BLE001 - as in `glance`
            return _fault_of(visit.request, worse)
        return fault

    def _record_failure(self, visit: Visit, error: MlSecretsError) -> None:
        """Also of a request whose success was recorded just before its commit failed."""
        house = self._house
        if isinstance(error, StoreFault):
            house.stop(error)
        if house.seal.sealed:
            return
        visit.response = None
        if visit.recorded:
            house.devices.correct(visit, error)
        else:
            house.devices.record(visit, error)

    def _outcome(self, visit: Visit, error: MlSecretsError | None) -> Outcome:
        response = visit.response if error is None else None
        if response is None and error is None and visit.request.verb in (Verb.READ, Verb.LIST, Verb.SCAN):
            error = NotFound(hint=hints.nothing(visit))
        self._house.counters.count(visit.request.verb, error)
        if isinstance(error, Denied) and visit.route.public:
            error.hint = error.hint or "the login was refused"
        return outcome_of(visit, response, error)

    def _remembered(self, visit: Visit, outcome: Outcome) -> Outcome:
        with contextlib.suppress(
            MlSecretsError
        ):  # sealed meanwhile, say: the answer stands, it is just not remembered
            recall.remember(self._house, visit, outcome)
        return outcome


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
