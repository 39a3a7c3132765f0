"""A caller who follows changes: what they may hear, decided anew each time, and the record of the end.

The request that began it went the whole way (handle.py). From then on:

- Nothing is heard with a token that has ended, or that has lost the right to follow.
- A change is heard by who holds, at that moment and without conditions, one of the rights that the secret's engine names
  (`Engine.audience`). Who may only list hears its name and kind; who may read hears its version and ETag, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw
from msgspec.structs import replace

from ml_secrets.contract.response import Response
from ml_secrets.domain.capability import Capability
from ml_secrets.pipeline import route as routing
from ml_secrets.pipeline.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_secrets.contract.request import Request
    from ml_secrets.domain.acl import Acl
    from ml_secrets.pipeline.house import House
    from ml_secrets.pipeline.steps import Steps
    from ml_secrets.registry.changes import Wanted
    from ml_secrets.registry.recent import Told
    from ml_secrets.registry.unit import Unit


class Following:
    """One caller. Every method but `fitting` may raise a Refusal: they may follow no longer, and `str` of it says why."""

    def __init__(self, house: House, steps: Steps, request: Request, wanted: Wanted) -> None:
        self._house = house
        self._steps = steps
        self._request = _bare(request)
        self._wanted = wanted
        self._stamp = -1
        self._until = 0.0
        self._visit = house.units.read(self._admitted)

    def fitting(self, told: Sequence[Told]) -> list[Told]:
        """Those that were asked for."""
        fits = self._wanted.fits
        return [one for one in told if fits(one.change.kind, one.change.mount, one.change.path)]

    def heard(self, told: Sequence[Told]) -> list[Told]:
        """Those that the caller may hear, cut down to what they may hear of them."""
        return self._house.units.read(lambda unit: self._heard(unit, told))

    def check(self) -> None:
        """Look at token and right again, if anything was written meanwhile or the token's time is over."""
        stamp = self._house.units.stamp
        if stamp != self._stamp or self._house.clock() >= self._until:
            self._house.units.read(self._admitted)
            self._stamp = stamp

    def ended(self, reason: str, sent: int) -> None:
        """Record that it is over."""
        self._visit.response = Response({"ended": reason, "sent": sent})
        self._house.devices.ended(self._visit)

    def _admitted(self, unit: Unit) -> Visit:
        visit = Visit(self._request, routing.NOWHERE, counted=True, tolled=True)
        visit.route = self._steps.route(unit, self._request)
        self._steps.admit(visit, unit)
        assert visit.caller is not None  # the operation is not public
        self._until = self._house.tokens.until(unit, visit.caller.entry)
        return visit

    def _heard(self, unit: Unit, told: Sequence[Told]) -> list[Told]:
        visit = self._admitted(unit)
        assert visit.caller is not None  # `_admitted` raises
        acl = self._house.policies.rights_of(unit, visit.caller.entry)
        shown = (self._shown(unit, acl, one) for one in told)
        return [one for one in shown if one is not None]

    def _shown(self, unit: Unit, acl: Acl, told: Told) -> Told | None:
        """What that caller hears of a change: all, its name, or nothing."""
        change, lists = told.change, False
        mount = self._house.mounts.table(unit).by_uuid.get(change.topic[0])
        audience = None if mount is None else self._house.engine(mount).audience
        if mount is None or audience is None:
            return None
        for path, capability in audience(self._house, unit, mount, change.path):
            if capability in acl.rights(path, unconditional=True):
                if capability is Capability.READ:
                    return told
                lists = True
        return replace(told, change=replace(change, version=0, etag="")) if lists else None


def _bare(request: Request) -> Request:
    """The request without the bytes that it came in, which were to be kept for as long as it lasts."""
    return replace(request, fields={name: Raw(bytes(raw)) for name, raw in request.fields.items()})
