"""Removes the data of mounts that were disabled. It is out of reach from the moment of disabling; this gives the room back.

A round is one short write transaction, so that requests get their turn however large the mount was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ml_secrets.pipeline.house import House

ROUND: Final = 200
"""About so many rows in one round."""


def run_once(house: House, *, limit: int = ROUND) -> bool:
    """One round; true when more may be waiting."""
    if not house.units.read(house.has_doomed_mounts):
        return False
    with house.units.write() as unit:
        return house.sweep_mounts(unit, limit=limit)
