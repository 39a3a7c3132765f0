"""The one place that picks concrete parts, and the only one that reads the clock: settings in, a working server out."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ml_secrets import catalog
from ml_secrets.barrier.anchor import Anchor
from ml_secrets.barrier.barrier import Barrier
from ml_secrets.barrier.seals.keyfile import KeyFile
from ml_secrets.barrier.seals.passphrase import Passphrase, from_file
from ml_secrets.dialects.vault import wire
from ml_secrets.errors import Invalid
from ml_secrets.pipeline.backups import Backups
from ml_secrets.pipeline.devices import AuditTrail
from ml_secrets.pipeline.first_run import first_run, new_root_token
from ml_secrets.pipeline.handle import Pipeline
from ml_secrets.pipeline.house import House
from ml_secrets.pipeline.logs import AuditLogs
from ml_secrets.pipeline.opening import Opening
from ml_secrets.pipeline.units import Units
from ml_secrets.registry.tokens import Keys
from ml_secrets.server.clock import Clock, keep_mark, resume
from ml_secrets.server.deliveries import Deliveries
from ml_secrets.server.outbound import Outbound
from ml_secrets.server.settings import settings_of
from ml_secrets.server.ticker import Job
from ml_secrets.storage.memory import MemoryStorage
from ml_secrets.upkeep import expire, remind, tidy, unmount

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.barrier.seals.locks import AutoSeal
    from ml_secrets.errors import MlSecretsError
    from ml_secrets.sensitive import Sensitive
    from ml_secrets.server.config import Config
    from ml_secrets.server.settings import ServerSettings
    from ml_secrets.storage.interface import Freezable, Storage

_log: Final = logging.getLogger("ml_secrets.server")
_RESEAL_ROWS: Final = 200


@dataclass(slots=True)
class Assembled:
    """A server without its edge.

    verified: number of the opening after which the store was verified. on_fault: called when the store has failed and the
    process had better end.
    """

    config: Config
    clock: Callable[[], float]
    storage: Storage
    barrier: Barrier
    house: House
    pipeline: Pipeline
    opening: Opening
    accept_rollback: bool = False
    verified: int = 0
    on_fault: Callable[[], None] = field(default=lambda: None)

    def close(self) -> None:
        """Stop serving: seal, close, release. Idempotent."""
        if not self.opening.sealed:
            self.opening.seal()
        self.storage.close()

    def fail(self, error: MlSecretsError) -> None:
        """The store has failed: serve nothing more from it."""
        _log.critical("the store has failed, the server stops: %s", error)
        if not self.opening.sealed:
            self.opening.seal()
        self.on_fault()

    def new_root_token(self) -> str:
        """A root token, for the owner of a local store."""
        with self.house.units.write() as unit:
            return new_root_token(self.house, unit)

    def knows(self, token: Sensitive) -> bool:
        """Is it a live token of this store?"""
        text = token.reveal_bytes().decode(errors="replace")
        return self.house.units.read(lambda unit: self.house.tokens.find(unit, text)) is not None

    def jobs(self, *, most_checked: float = math.inf) -> list[Job]:
        """The upkeep of this server. `most_checked`: a store of more rows is not checked after opening."""
        return [
            Job(
                "expiry of tokens",
                1.0,
                lambda: not self.opening.sealed and expire.run_once(self.house, self.clock()),
            ),
            Job(
                "purging of what was removed",
                10.0,
                lambda: not self.opening.sealed and tidy.run_once(self.house, self.clock()),
            ),
            Job(
                "reminders",
                30.0,
                lambda: not self.opening.sealed and remind.run_once(self.house, self.clock()),
            ),
            Job("removal of mounts", 1.0, lambda: not self.opening.sealed and unmount.run_once(self.house)),
            Job(
                "re-sealing",
                5.0,
                lambda: not self.opening.sealed and self._reseal_some(),
            ),
            Job("anchor", 2.0, self._keep_anchor),
            Job("check of the store", 5.0, lambda: self._verify_once(most_checked), takes_long=True),
            Job(
                "backups",
                5.0,
                lambda: not self.opening.sealed and self.house.backups.run_if_due(),
                takes_long=True,
            ),
            Job("the clock's mark", 60.0, self._keep_mark, takes_long=True),
            Job("rotation of the encryption key", 60.0, self.opening.rotate_if_due),
        ]

    def _verify_once(self, most: float) -> bool:
        """Once after each opening: a store that somebody has changed behind our back is not served any longer."""
        if self.opening.sealed or self.opening.times == self.verified:
            return False
        self.verified = self.opening.times
        if self.barrier.rows > most:
            _log.info("the store is large: check it with `ml-secrets operator verify` when it suits")
        elif not self.opening.verify()["intact"]:
            _log.critical(
                "the store was changed from outside: rows are damaged, put back or missing. Restore it from a backup."
            )
            if not self.accept_rollback:
                self.opening.seal()
        return False

    def deliveries(self) -> Job:
        """What tells webhooks; not for a program that opens its own store, which does not last."""
        return Deliveries(self.house, Outbound(self.house.settings.outbound_networks).post).job()

    def _keep_mark(self) -> bool:
        if not self.opening.sealed:
            keep_mark(self.clock(), self.house.units)
        return False

    def _reseal_some(self) -> bool:
        with self.house.units.turn():
            return self.barrier.reseal(limit=_RESEAL_ROWS) > 0

    def _keep_anchor(self) -> bool:
        self.opening.keep_anchor()
        return False


def assemble(
    config: Config,
    *,
    kv_at_secret: bool,
    root_token: str = "",
    accept_rollback: bool = False,
    clock: Callable[[], float] | None = None,
) -> Assembled:
    """Build a server from settings. `clock` is for tests that turn it. Raises `StoreFault` when the store cannot be had."""
    clock = clock or Clock()
    auto, storage = auto_seal(config), _storage(config)
    barrier = Barrier(storage, os.urandom)
    units = Units(barrier, clock)
    settings = settings_of(config)
    devices = AuditTrail(barrier.subkey, clock, configured=config.audit)
    house = _house(barrier, units, devices, settings, clock)
    opening = Opening(
        barrier,
        units,
        storage=storage,
        auto=auto,
        random=os.urandom,
        clock=clock,
        first_run=lambda unit: first_run(house, unit, kv_at_secret=kv_at_secret, root_token=root_token),
        new_root=lambda unit: new_root_token(house, unit),
        opened=lambda: _opened(house, barrier, settings, clock),
        closed=lambda: _closed(house),
        anchor=Anchor(config.anchor_file, accept_rollback=accept_rollback) if config.anchor_file else None,
        logs=AuditLogs(devices, units),
        open_to_shares=config.open_to_shares,
    )
    house.seal = opening
    if config.backup is not None:
        place, plan = config.backup.folder, config.backup.plan
        house.backups = Backups(place, plan, storage=storage, barrier=barrier, clock=clock, random=os.urandom)
    server = Assembled(
        config, clock, storage, barrier, house, Pipeline(house, wire.envelope), opening, accept_rollback
    )
    house.stop = server.fail
    return server


def _house(
    barrier: Barrier, units: Units, devices: AuditTrail, settings: ServerSettings, clock: Callable[[], float]
) -> House:
    return House(
        units=units,
        keys=Keys(barrier.subkey, barrier.seal_blob, barrier.open_blob),
        engines={kind: catalog.load(kind) for kind in catalog.ENGINES},
        auth_methods={kind: catalog.load(kind) for kind in catalog.AUTH_METHODS},
        devices=devices,
        settings=settings,
        clock=clock,
        random=os.urandom,
    )


def _storage(config: Config) -> Freezable:
    if config.storage == "memory":
        return MemoryStorage()
    if config.path is None:
        raise Invalid("the storage needs a path")
    from ml_secrets.storage.sqlite import SqliteStorage  # noqa: PLC0415 - a driver is imported where it is used

    return SqliteStorage(config.path)


def auto_seal(config: Config) -> AutoSeal | None:
    """The seal that opens the store by itself; None under Shamir. Raises `Invalid` for a key file in the store's folder."""
    if config.seal == "keyfile" and config.key_file is not None:
        seal = KeyFile(config.key_file, config.path)
        seal.check_place()
        return seal
    if config.seal == "passphrase" and config.passphrase_file is not None:
        return Passphrase(from_file(config.passphrase_file))
    return None


def _opened(house: House, barrier: Barrier, settings: ServerSettings, clock: Callable[[], float]) -> None:
    """The store is open: nothing that was cached before counts, and the audit devices open before the first request."""
    if isinstance(clock, Clock):
        resume(clock, house.units)
    settings.cluster_id = barrier.cluster_id
    house.forget_all()
    house.units.read(house.devices.load)


def _closed(house: House) -> None:
    house.forget_all()
    house.devices.close()
