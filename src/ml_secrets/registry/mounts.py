"""The mount table: which engine or auth method answers below which path. One sealed row, read at unseal and on change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.crypto.random import uuid
from ml_secrets.domain.mount import Mount
from ml_secrets.errors import Invalid
from ml_secrets.registry.cache import Cache

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.registry.unit import Unit

_ROW: Final = "open/mounts"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Mount]).decode


class Table:
    """An immutable picture of the mounts, with longest-prefix look-up.

    `routes` is the pipeline's: what it has worked out from this picture, and so has to go with it.
    """

    def __init__(self, mounts: list[Mount]) -> None:
        self.by_path = {mount.path: mount for mount in sorted(mounts, key=lambda m: m.path)}
        self.by_uuid = {mount.uuid: mount for mount in mounts}
        self.routes: dict[tuple[str, str], Any] = {}
        self._depth = max((path.count("/") for path in self.by_path), default=0)

    def find(self, path: str) -> Mount | None:
        """The mount that `path` lies in. A mount's own name without its slash belongs to it, too."""
        found, end = self.by_path.get(path + "/"), -1
        for _ in range(self._depth):
            end = path.find("/", end + 1)
            if end < 0:
                break
            found = self.by_path.get(path[: end + 1], found)
        return found


class Mounts:
    """The registry of mounts."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._cache: Cache[str, Table] = Cache(1, self._read)

    def forget_all(self) -> None:
        """Drop the cached table."""
        self._cache.forget()

    def table(self, unit: Unit) -> Table:
        """The mounts as this transaction sees them."""
        return self._cache.load(unit, _ROW) or Table([])

    def new(self, path: str, kind: str, *, now: float) -> Mount:
        """A mount with a fresh accessor and uuid; not stored yet."""
        auth = "auth_" if path.startswith("auth/") else ""
        return Mount(
            path=path,
            kind=kind,
            accessor=f"{auth}{kind}_{self._random(4).hex()}",
            uuid=uuid(self._random),
            created=now,
        )

    def add(self, unit: Unit, mount: Mount) -> None:
        """Store a new mount. Raises `Invalid` when the path is taken, or lies above or below another mount."""
        table = self.table(unit)
        for path in table.by_path:
            if path.startswith(mount.path) or mount.path.startswith(path):
                raise Invalid(
                    f"path is already in use at {path.removeprefix('auth/')}",
                    hint="choose another path, or disable that mount first",
                )
        self._store(unit, [*table.by_path.values(), mount])

    def replace(self, unit: Unit, path: str, mount: Mount) -> None:
        """Store a changed mount in the place of the one at `path`."""
        rows = dict(self.table(unit).by_path)
        rows.pop(path, None)
        self._store(unit, [*rows.values(), mount])

    def remove(self, unit: Unit, path: str) -> Mount | None:
        """Take a mount out of the table. Its data is the caller's to remove."""
        rows = dict(self.table(unit).by_path)
        gone = rows.pop(path, None)
        self._store(unit, list(rows.values()))
        return gone

    @staticmethod
    def _read(unit: Unit, key: str) -> Table | None:
        row = unit.tx.get(key)
        return None if row is None else Table(_decode(row))

    def _store(self, unit: Unit, mounts: list[Mount]) -> None:
        unit.tx.put(_ROW, _encode(mounts))
        unit.changes(self._cache)
