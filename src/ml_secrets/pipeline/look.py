"""What the edge asks before it serves a request, and while one waits. Nothing is recorded, counted or spent here.

What these answers tell must not leave the server: a request that is served goes the whole way (handle.py).
"""

from __future__ import annotations

import contextlib
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from ml_secrets.errors import MlSecretsError
from ml_secrets.pipeline import route as routing
from ml_secrets.pipeline.following import Following
from ml_secrets.pipeline.steps import wraps
from ml_secrets.pipeline.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.contract.request import Request
    from ml_secrets.contract.response import Response
    from ml_secrets.pipeline.house import House
    from ml_secrets.pipeline.steps import Steps
    from ml_secrets.registry.changes import Change, Wanted
    from ml_secrets.registry.recent import Recent
    from ml_secrets.registry.unit import Unit


class Kind(Enum):
    """What a request takes: reads alone, a commit, or (a password to hash) so much CPU that nobody should wait behind it."""

    READ = auto()
    CHANGE = auto()
    SLOW = auto()


class Detour(NamedTuple):
    """A request cannot be served on the event loop alone. `caller` is the key of the live token that it came with, or "".

    short: all of it can but its commit.
    """

    kind: Kind
    caller: str
    short: bool


def detour_of(visit: Visit) -> Detour:
    """Of a visit that has its route, and its caller if there is one."""
    operation, caller = visit.route.operation, visit.caller
    if operation is None:
        kind = Kind.READ
    elif operation.slow:
        kind = Kind.SLOW
    else:
        kind = Kind.CHANGE if operation.changes or wraps(visit) else Kind.READ
    short = operation is not None and operation.short and not wraps(visit)
    return Detour(kind, caller.key if caller is not None else "", short)


class Look:
    """Questions about the house as it stands."""

    def __init__(self, house: House, steps: Steps) -> None:
        self._house = house
        self._steps = steps

    @property
    def sealed(self) -> bool:
        """The server holds no key."""
        return self._house.seal.sealed

    @property
    def stamp(self) -> int:
        """The same number again means: nothing was written in between (`Units.stamp`)."""
        return self._house.units.stamp

    @property
    def records_at_once(self) -> bool:
        """Recording a request waits for nobody else, so it may be done on the event loop."""
        return not self._house.devices.waits

    @property
    def commits_soon(self) -> bool:
        """The next commit waits for nothing but the disk, and has little to do there."""
        return not self._house.units.overdue

    def now(self) -> float:
        """Seconds since 1970."""
        return self._house.clock()

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` with every change, from the thread that made it. Returns what ends that."""
        return self._house.changes.listen(listener)

    def knows(self, token: str) -> bool:
        """True for a token that is live. What it may do is for later."""
        house = self._house
        try:
            return not house.seal.sealed and house.units.read(
                lambda unit: house.tokens.find(unit, token) is not None
            )
        except MlSecretsError:
            return False

    def serves(self, request: Request) -> bool:
        """True for a live token, for who logged in inside it, and while the server is sealed, when requests get their own answer."""
        token, caller = request.token, request.caller
        return self._house.seal.sealed or caller is not None or (token is not None and self.knows(token))

    def open_to_all(self, request: Request) -> bool:
        """True for what load balancers and unsealing people ask: nobody has to log in for it."""
        visit = Visit(request, routing.NOWHERE)
        with contextlib.suppress(MlSecretsError):
            self._find(visit)
        return visit.route.unaudited

    def detour(self, request: Request) -> Detour:
        """Where a request has to wait that nobody has looked at yet."""
        visit = Visit(request, routing.NOWHERE)
        with contextlib.suppress(MlSecretsError):
            self._find(visit)
        return detour_of(visit)

    def peek(self, request: Request) -> tuple[Response, int] | None:
        """What a read would answer now, and of which state (`stamp`), for the edge to decide whether it waits. None: it has to be asked."""
        visit = Visit(request, routing.NOWHERE, counted=True, tolled=True)
        try:
            response = self._house.units.read(lambda unit: self._steps.look(visit, unit))
        except Exception:  # noqa: BLE001 - whatever it is, the request itself meets it, and says so
            return None
        return None if response is None else (response, visit.stamp)

    def still(self, request: Request, mount: str) -> bool:
        """The same read may still be asked, of the same mount (its UUID). As in `peek`, but the secret is not read."""
        visit = Visit(request, routing.NOWHERE, counted=True, tolled=True)

        def look(unit: Unit) -> bool:
            visit.route = self._steps.route(unit, request)
            self._steps.admit(visit, unit)
            return visit.route.mount is not None and visit.route.mount.uuid == mount

        try:
            return self._house.units.read(look)
        except Exception:  # noqa: BLE001 - as in `peek`
            return False

    def _find(self, visit: Visit) -> None:
        """Where it leads, and who asks."""
        if self._house.seal.sealed:
            visit.route = self._steps.route_while_sealed(visit.request)
        else:
            self._house.units.read(lambda unit: self._orient(visit, unit))

    def follow(self, request: Request, wanted: Wanted) -> Following:
        """A request that was answered with a stream of changes: what it may hear from now on. Raises a Refusal for nothing."""
        return Following(self._house, self._steps, request, wanted)

    @property
    def recent(self) -> Recent:
        """The latest changes."""
        return self._house.recent

    def _orient(self, visit: Visit, unit: Unit) -> None:
        visit.route, visit.caller = self._steps.route(unit, visit.request), visit.request.caller
        if visit.request.token is not None:
            visit.caller = self._house.caller_of(unit, visit.request.token)
