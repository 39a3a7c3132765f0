"""Everything a request meets on its way, in one place: the registries, the engines, the audit devices, the seal.

`server/assemble.py` builds it. It is what engines know as `SystemAccess`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.barrier.view import View
from ml_secrets.contract.request import Caller
from ml_secrets.domain.mount import Mount
from ml_secrets.pipeline import issue, route
from ml_secrets.pipeline.backups import NoBackups
from ml_secrets.pipeline.recall import Recalls
from ml_secrets.registry.changes import Changes
from ml_secrets.registry.counters import Counters
from ml_secrets.registry.cursors import Cursors
from ml_secrets.registry.lockouts import Lockouts
from ml_secrets.registry.mounts import Mounts
from ml_secrets.registry.policies import Policies
from ml_secrets.registry.quotas import Quotas
from ml_secrets.registry.recent import Recent
from ml_secrets.registry.tokens import Tokens
from ml_secrets.registry.webhooks import Webhooks
from ml_secrets.registry.wrapping import Wrapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ml_secrets.contract.access import AuditControl, BackupControl, SealControl, Settings
    from ml_secrets.contract.engine import Engine
    from ml_secrets.contract.login import Login
    from ml_secrets.contract.request import Request
    from ml_secrets.contract.response import Response
    from ml_secrets.domain.token import TokenEntry
    from ml_secrets.errors import MlSecretsError
    from ml_secrets.pipeline.devices import AuditTrail
    from ml_secrets.pipeline.units import Units
    from ml_secrets.registry.tokens import Keys
    from ml_secrets.registry.unit import Unit
    from ml_secrets.storage.interface import Transaction

_DOOMED: Final = "open/doomed/"
"""Rows that name mounts which are gone, and whose data is still to be removed."""

SYSTEM = Mount(
    path="sys/", kind="system", accessor="system_00000000", uuid="00000000-0000-0000-0000-000000000000"
)


class House:
    """The rest of the server, as a request meets it. `clock` gives seconds since 1970, `random(n)` n random bytes."""

    def __init__(
        self,
        *,
        units: Units,
        keys: Keys,
        engines: Mapping[str, Engine],
        auth_methods: Mapping[str, Engine],
        devices: AuditTrail,
        settings: Settings,
        clock: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self.units = units
        self.devices = devices
        self.settings = settings
        self.clock = clock
        self.random = random
        self.stop: Callable[[MlSecretsError], None]
        self.tokens = Tokens(keys, random)
        self.cursors = Cursors(keys)
        self.policies = Policies()
        self.mounts = Mounts(random)
        self.wrapping = Wrapping()
        self.quotas = Quotas()
        self.lockouts = Lockouts()
        self.counters = Counters(clock())
        self.webhooks = Webhooks(random)
        self.changes = Changes(self.webhooks.note)
        self.recent = Recent(random)
        self.changes.listen(self.recent.add)
        self.recalls = Recalls(random)
        self.seal: SealControl
        self.backups: BackupControl = NoBackups()
        self._engines = engines
        self._auth_methods = auth_methods
        self.system_mount = SYSTEM
        self.system_engine = engines["system"]

    @property
    def audit(self) -> AuditControl:
        """The audit devices, to enable and disable."""
        return self.devices

    def engine(self, mount: Mount) -> Engine:
        """The engine that answers on a mount."""
        if mount.is_auth:
            return self._auth_methods[mount.kind]
        if mount.kind == "kv":
            return self._engines["kv-v2" if (mount.options or {}).get("version") == "2" else "kv-v1"]
        return self._engines[mount.kind]

    def canonical(self, unit: Unit, path: str) -> str:
        """A path as rules see it: names without case in lower case."""
        mount = self.mounts.table(unit).find(path)
        return path if mount is None else route.canonical(path, mount, self.engine(mount))

    def kinds(self, *, auth: bool) -> Mapping[str, Engine]:
        """Every engine (or auth method) in this build, by type name."""
        return self._auth_methods if auth else self._engines

    def mount_ttls(self, mount: Mount) -> tuple[int, int]:
        """(default, maximum) lease TTL in seconds on that mount."""
        maximum = mount.max_lease_ttl or self.settings.max_lease_ttl
        return min(mount.default_lease_ttl or self.settings.default_lease_ttl, maximum), maximum

    # ── tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def issue(self, unit: Unit, request: Request, mount: Mount, login: Login) -> Response:
        """The token for a login."""
        return issue.issue(unit, self.tokens, request, mount, login, ttls=self.mount_ttls(mount))

    def renewal(self, unit: Unit, entry: TokenEntry) -> tuple[TokenEntry, int]:
        """A token as its auth method would make it now, and its mount's maximum TTL."""
        mount = self.mounts.table(unit).find(entry.path)
        if mount is None:
            return entry, self.settings.max_lease_ttl
        renewal = self.engine(mount).renewal if mount.is_auth else None
        if renewal is not None:
            now = renewal(self.store_of(unit, mount), entry)
            entry = msgspec.structs.replace(entry, period=now.period, max_ttl=now.max_ttl)
        return entry, self.mount_ttls(mount)[1]

    def auth_of(self, token: str, entry: TokenEntry, *, now: float, warnings: Iterable[str] = ()) -> Response:
        """A token as a login answer."""
        return issue.auth_of(token, entry, now=now, warnings=warnings)

    def caller_of(self, unit: Unit, token: str) -> Caller | None:
        """The caller that a token stands for."""
        found = self.tokens.find(unit, token)
        return None if found is None else Caller(found[0], found[1], token)

    def end_token(self, unit: Unit, key: str) -> int:
        """Revoke a token, its descendants and all that hangs on them."""
        return self.tokens.revoke(unit, key, on_end=lambda ended: self._drop_belongings(unit, ended))

    def end_token_alone(self, unit: Unit, key: str) -> None:
        """Revoke a token; its children live on as orphans."""
        self.tokens.revoke_orphaning(unit, key, on_end=lambda ended: self._drop_belongings(unit, ended))

    def end_tokens_below(self, unit: Unit, prefix: str) -> None:
        """Revoke every token that was made below a path ("auth/userpass/"), batch tokens too."""
        self.tokens.cut(unit, prefix)

    def sweep_tokens(self, unit: Unit, *, limit: int) -> bool:
        """Remove what about `limit` dead tokens left behind; true when more may be waiting."""
        return self.tokens.sweep(unit, limit=limit, on_end=lambda ended: self._drop_belongings(unit, ended))

    def _drop_belongings(self, unit: Unit, key: str) -> None:
        self.wrapping.drop(unit, key)
        cubbyhole = self.mounts.table(unit).by_path["cubbyhole/"]
        clear(self.store_of(unit, cubbyhole), f"{key}/")

    # ── storage ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def store_of(self, unit: Unit, mount: Mount) -> Transaction:
        """A mount's part of the store for names chosen by people."""
        return View(unit.tx, f"mount/{mount.uuid}/")

    def opaque_of(self, unit: Unit, mount: Mount) -> Transaction:
        """A mount's part of the store for names made by us."""
        return View(unit.tx, self.opaque_prefix(mount))

    @staticmethod
    def opaque_prefix(mount: Mount) -> str:
        """What the names of that part begin with."""
        return f"open/mount/{mount.uuid}/"

    def wipe(self, unit: Unit, mount: Mount) -> None:
        """Have a mount's data removed. Nobody can reach it any more; upkeep takes the rows away in rounds."""
        unit.tx.put(f"{_DOOMED}{mount.uuid}", b"")

    def has_doomed_mounts(self, unit: Unit) -> bool:
        """There is data of mounts that are gone."""
        return bool(unit.tx.list(_DOOMED, limit=1))

    def sweep_mounts(self, unit: Unit, *, limit: int) -> bool:
        """Remove about `limit` rows of mounts that are gone; true when more may be waiting."""
        doomed = unit.tx.list(_DOOMED, limit=1)
        for uuid in doomed:
            left = limit - clear(unit.tx, f"mount/{uuid}/", limit=limit)
            if left and clear(unit.tx, f"open/mount/{uuid}/", limit=left) < left:
                unit.tx.delete(_DOOMED + uuid)
        return bool(doomed)

    def forget_all(self) -> None:
        """Drop whatever is cached: the server seals, or another key opened it."""
        for registry in (
            self.tokens,
            self.policies,
            self.mounts,
            self.quotas,
            self.recalls,
            self.recent,
            self.webhooks,
        ):
            registry.forget_all()


def clear(tx: Transaction, prefix: str, *, limit: int = -1) -> int:
    """Delete what is below a prefix, at most `limit` rows (negative: all); how many went."""
    gone = 0
    for name in tx.list(prefix, limit=limit):
        if gone == limit:
            break
        if name.endswith("/"):
            gone += clear(tx, prefix + name, limit=limit - gone)
        else:
            tx.delete(prefix + name)
            gone += 1
    return gone
