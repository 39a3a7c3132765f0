"""Sweeps away what dead tokens leave behind: expired ones, families of ended ones, and what was made below a cut path.

None of these is ever served, swept or not (registry/tokens.py); this keeps the store small. A round is one short write
transaction, so that requests get their turn however much is due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ml_secrets.pipeline.house import House
    from ml_secrets.registry.unit import Unit

ROUND: Final = 100
"""About so many tokens in one round."""


def run_once(house: House, now: float, *, limit: int = ROUND) -> bool:
    """One round; true when more may be waiting. `now` in seconds since 1970."""

    def waiting(unit: Unit) -> bool:
        unit.now = now
        return house.tokens.waiting(unit)

    if not house.units.read(waiting):
        return False
    with house.units.write() as unit:
        unit.now = now
        return house.sweep_tokens(unit, limit=limit)
