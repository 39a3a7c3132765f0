"""Rate-limit quotas: rows in the store, counters in memory (they start afresh with the process).

    quota/rate-limit/<name>   Quota

A fixed window a client address: at most `rate` requests in each `interval` seconds; who exceeds it is refused for
`block_interval` seconds where that is set. Each window lets one through, whatever the rate: else nobody could come to
change a rate that was set too low. The most specific quota decides: a login's role, then the longest path, then the
global one.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from ml_secrets.errors import Limited
from ml_secrets.registry.cache import Cache

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.registry.unit import Unit

_ROW: Final = "quota/rate-limit/"
_MOST_ADDRESSES: Final = 65_536
Value = TypeVar("Value")


class Quota(msgspec.Struct, kw_only=True):
    """`rate` requests per `interval` seconds and address. `path` "" is everywhere, else a mount path or below it.

    role: only logins of that role, on the auth method at `path`; "" is every request.
    """

    name: str
    path: str = ""
    role: str = ""
    rate: float = 0.0
    interval: int = 1
    block_interval: int = 0
    inheritable: bool | None = None

    def holds(self, path: str) -> bool:
        """This path is the quota's, or lies below it."""
        folder = self.path.rstrip("/") + "/"
        return not self.path or (path + "/").startswith(folder)

    def same(self, other: Quota) -> bool:
        """It limits the same requests under another name."""
        return (self.path, self.role) == (other.path, other.role) and self.name != other.name


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Quota).decode


class Quotas:
    """The registry of quotas, and the counting."""

    def __init__(self) -> None:
        self._cache: Cache[str, tuple[Quota, ...]] = Cache(1, self._read)
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}
        self._blocked: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def forget_all(self) -> None:
        """Drop cached rows and counters."""
        self._cache.forget()
        with self._lock:
            self._windows.clear()
            self._blocked.clear()

    def names(self, unit: Unit) -> list[str]:
        """Names of all quotas."""
        return unit.tx.list(_ROW)

    def find(self, unit: Unit, name: str) -> Quota | None:
        """One quota."""
        row = unit.tx.get(_ROW + name)
        return None if row is None else _decode(row)

    def write(self, unit: Unit, quota: Quota) -> None:
        """Create or replace."""
        unit.tx.put(_ROW + quota.name, _encode(quota))
        unit.changes(self._cache)
        unit.after_commit(self.forget_all)

    def delete(self, unit: Unit, name: str) -> None:
        """Remove."""
        unit.tx.delete(_ROW + name)
        unit.changes(self._cache)
        unit.after_commit(self.forget_all)

    def twin(self, unit: Unit, quota: Quota) -> str:
        """The name of another quota for the same path and role, "" where there is none."""
        return next((q.name for q in self._cache.load(unit, "all") or () if q.same(quota)), "")

    def check(self, unit: Unit, path: str, address: str, role: Callable[[], str] = str) -> None:
        """Count one request. `role`: whose login it is, if one's. Raises `Limited` with the seconds to wait."""
        quota = self._of(unit, path, role)
        if quota is not None:
            self._count(quota, path, address, unit.now)

    def holds(self, unit: Unit, path: str) -> bool:
        """Requests for this path are counted."""
        return self._of(unit, path, str) is not None

    def _of(self, unit: Unit, path: str, role: Callable[[], str]) -> Quota | None:
        quotas = self._cache.load(unit, "all")
        if not quotas:
            return None
        found = [quota for quota in quotas if quota.holds(path)]
        asked = role() if any(quota.role for quota in found) else ""
        return next((quota for quota in found if quota.role in ("", asked)), None)

    def _read(self, unit: Unit, _: str) -> tuple[Quota, ...]:
        rows = [self.find(unit, name) for name in self.names(unit)]
        return tuple(sorted((q for q in rows if q is not None), key=lambda q: (not q.role, -len(q.path))))

    def _count(self, quota: Quota, path: str, address: str, now: float) -> None:
        key = (quota.name, address)
        with self._lock:
            until = self._blocked.get(key, 0.0)
            start, count = self._windows.get(key, (now, 0))
            if now - start >= quota.interval or now < start:
                start, count = now, 0
            _remember(self._windows, key, (start, count + 1))
            if until <= now and count + 1 <= max(1.0, quota.rate):
                return
            if until <= now and quota.block_interval:
                until = now + quota.block_interval
                _remember(self._blocked, key, until)
        wait = max(until - now, start + quota.interval - now)
        raise Limited(
            f'request path "{path}": rate limit quota exceeded', retry_after=max(1, math.ceil(wait))
        )


def _remember(table: dict[tuple[str, str], Value], key: tuple[str, str], value: Value) -> None:
    """Note something of an address. Of too many, the one noted longest ago is let go."""
    table.pop(key, None)
    table[key] = value
    if len(table) > _MOST_ADDRESSES:
        del table[next(iter(table))]
