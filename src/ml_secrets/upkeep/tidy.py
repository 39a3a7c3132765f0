"""Has engines do what has come due in their mounts: purging what lay in a trash for long enough.

What is due counts as gone before; this gives the room back. A round looks at every mount, and does one bounded piece of
work, in a transaction of its own, in each that has something due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ml_secrets.domain.mount import Mount
    from ml_secrets.pipeline.house import House
    from ml_secrets.registry.unit import Unit

ROUND: Final = 200
"""About so many rows in one round."""


def run_once(house: House, now: float, *, limit: int = ROUND) -> bool:
    """One round; true when more may be waiting. `now` in seconds since 1970."""

    def waiting(unit: Unit) -> list[Mount]:
        unit.now = now
        mounts = house.mounts.table(unit).by_path.values()
        return [mount for mount in mounts if _tidy(house, unit, mount, 0)]

    due = house.units.read(waiting)
    for mount in due:
        with house.units.write() as unit:
            unit.now = now
            present = house.mounts.table(unit).by_path.get(mount.path)
            if present is not None and present.uuid == mount.uuid:  # else it was disabled meanwhile
                _tidy(house, unit, mount, limit)
    return bool(due)


def _tidy(house: House, unit: Unit, mount: Mount, limit: int) -> bool:
    tidy = house.engine(mount).tidy
    return tidy is not None and tidy(house, unit, mount, limit)
