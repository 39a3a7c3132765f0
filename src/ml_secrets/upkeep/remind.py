"""Tells of dates of secrets that have come near, or have come: to who listens to changes, in the server's log, in the metrics.

The log has mounts and counts, no names. What was told is in the store, so a restart tells nothing twice. A round looks
at every mount, and does one bounded piece of work, in a transaction of its own, in each where something has come.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ml_secrets.domain.duration import go_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.domain.mount import Mount
    from ml_secrets.pipeline.house import House
    from ml_secrets.registry.unit import Unit

_log: Final = logging.getLogger("ml_secrets.upkeep")
ROUND: Final = 200
"""About so many dates in one round, for each distance."""


def run_once(house: House, now: float, *, limit: int = ROUND) -> bool:
    """One round; true when more may be waiting. `now` in seconds since 1970."""

    def look(unit: Unit) -> tuple[list[Mount], dict[str, Mapping[tuple[str, str], int]]]:
        unit.now = now
        mounts = list(house.mounts.table(unit).by_path.values())
        return (
            [mount for mount in mounts if _remind(house, unit, mount, 0) is not None],
            {mount.path: counted for mount in mounts if (counted := _count(house, unit, mount))},
        )

    waiting, house.counters.due = house.units.read(look)
    for mount in waiting:
        with house.units.write() as unit:
            unit.now = now
            present = house.mounts.table(unit).by_path.get(mount.path)
            same = present is not None and present.uuid == mount.uuid  # else it was disabled meanwhile
            told = _remind(house, unit, mount, limit) if same else None
        if told:
            _log.warning("%s has %s", mount.path, _words(told))
    return bool(waiting)


def _remind(house: House, unit: Unit, mount: Mount, limit: int) -> Mapping[int, int] | None:
    remind = house.engine(mount).remind
    return None if remind is None else remind(house, unit, mount, limit)


def _count(house: House, unit: Unit, mount: Mount) -> Mapping[tuple[str, str], int]:
    count = house.engine(mount).count_due
    return {} if count is None else count(house, unit, mount)


def _words(told: Mapping[int, int]) -> str:
    return ", ".join(
        f"{_dates(count)} due within {_time(distance)}" if distance else f"{_dates(count)} overdue"
        for distance, count in sorted(told.items())
    )


def _dates(count: int) -> str:
    return "1 date of a secret" if count == 1 else f"{count} dates of secrets"


def _time(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    return go_text(seconds) if rest else f"{days} day{'s' if days > 1 else ''}"
