"""Opening and closing the store: init, unseal, seal, and what key shares may do. Implements `SealControl`.

To open, whatever the seal, in this order; anything that fails leaves the store sealed:

    1  the root key     from shares, from the key file or from the passphrase
    2  the barrier      takes it, or refuses it
    3  the first start  was completed (else nothing is in there, and nobody holds a root token)
    4  the anchor       finds neither the store nor an audit log put back
    5  opened()         the rest of the server loads what it needs

    6  the anchor       knows from now on how far both are

Only then does `sealed` turn False, and requests are served.

Locks: `_gate` guards opening and may wait for units; attempts have locks of their own, and never wait for units. So
an operation inside a unit may use attempts, and may seal, but never opens.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.barrier import backup
from ml_secrets.barrier.seals import locks, shamir
from ml_secrets.contract.access import Rotation
from ml_secrets.crypto.memory import wipe
from ml_secrets.errors import Invalid, MlSecretsError, StoreFault
from ml_secrets.pipeline.anchoring import KeptAnchor
from ml_secrets.pipeline.rekeying import Rekeying
from ml_secrets.pipeline.rootmaking import RootMaking
from ml_secrets.pipeline.shares import Shares, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ml_secrets.barrier.anchor import Anchor
    from ml_secrets.barrier.barrier import Barrier
    from ml_secrets.barrier.seals.locks import AutoSeal
    from ml_secrets.pipeline.logs import AuditLogs
    from ml_secrets.pipeline.units import Units
    from ml_secrets.registry.unit import Unit
    from ml_secrets.storage.interface import Freezable

_STARTED: Final = "open/opening/started"
_ROTATION: Final = "open/opening/rotation"
_log = logging.getLogger(__name__)


class KeyLost(Invalid):
    """The store's own key file or passphrase is lost or another's. Recovery keys still open the store."""


class Opening:
    """The one who opens and closes.

    storage: the one below the barrier, for backups. auto: the seal that opens by itself; None for Shamir. clock: seconds since 1970. random: n random bytes.
    first_run: makes what a new store starts with, inside one write unit, and returns the root token.
    new_root: makes a root token. opened, closed: told when the store has opened, and when it is closed.
    anchor: None for no protection against rollback. logs: the audit logs, for the anchor.
    times: how often the store has been opened since this process began. open_to_shares: which of "rekey" and "generate-root" may be used without a token, as in Vault; else they need `sudo`.
    """

    def __init__(
        self,
        barrier: Barrier,
        units: Units,
        *,
        storage: Freezable,
        auto: AutoSeal | None,
        random: Callable[[int], bytes],
        clock: Callable[[], float],
        first_run: Callable[[Unit], str],
        new_root: Callable[[Unit], str],
        opened: Callable[[], None],
        closed: Callable[[], None],
        anchor: Anchor | None = None,
        logs: AuditLogs | None = None,
        open_to_shares: Collection[str] = (),
    ) -> None:
        self._barrier = barrier
        self._storage = storage
        self._units = units
        self._auto = auto
        self._random = random
        self._clock = clock
        self._first_run = first_run
        self._opened = opened
        self._closed = closed
        self._anchor = KeptAnchor(anchor, barrier, units, logs)
        self.open_to_shares = frozenset(open_to_shares)
        self._open = False
        self.times = 0
        self._gate = threading.Lock()
        self._shares = Shares(random)
        self.rekeying = Rekeying(barrier, auto, random)
        self.rootmaking = RootMaking(barrier, new_root, random)

    # ── state ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def initialized(self) -> bool:
        """The store has been initialised."""
        return self._barrier.initialized

    @property
    def sealed(self) -> bool:
        """Nothing is served."""
        return not self._open

    def status(self) -> dict[str, Any]:
        """The wire's seal status, as far as the seal knows."""
        initialized = self._barrier.initialized
        config = locks.decode(self._barrier.seal_config) if initialized else None
        return {
            "type": config.kind if config else self._kind,
            "initialized": initialized,
            "sealed": self.sealed,
            "t": config.threshold if config else 0,
            "n": config.shares if config else 0,
            "progress": len(self._shares),
            "nonce": self._shares.nonce,
            "recovery_seal": self._auto is not None,
        }

    @property
    def _kind(self) -> str:
        return self._auto.kind if self._auto else "shamir"

    # ── init ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def initialize(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make a new store. Its keys and first root token are in the answer, and nowhere else.

        Under Shamir it is sealed afterwards; a seal that opens by itself leaves it open.
        """
        with self._gate:
            shares, threshold = self._counts(request)
            if self._barrier.initialized:
                raise Invalid("Vault is already initialized")
            if self._anchor.exists:
                raise Invalid(
                    "there is an anchor of another store",
                    hint="is the right store mounted? A second store needs an anchor_file of its own (a local one: another ML_SECRETS_CONFIG_DIR); remove the anchor only if its store is gone for good",
                )
            root_key, key = bytearray(self._random(locks.KEY_SIZE)), self._random(locks.KEY_SIZE)
            hexes, base64s = shown(shamir.split(key, shares, threshold, self._random))
            config = self._new_config(shares, threshold, key, root_key)
            self._barrier.initialize(root_key, locks.encode(config), now=self._clock())
            try:
                with self._units.write() as unit:
                    token = self._first_run(unit)
                    unit.tx.put(_STARTED, b"1")
            finally:
                self._close_barrier()
            if self._auto is None:
                wipe(root_key)
                return {"keys": hexes, "keys_base64": base64s, "root_token": token}
            self._open_new(root_key)
            return {
                "keys": [],
                "keys_base64": [],
                "recovery_keys": hexes,
                "recovery_keys_base64": base64s,
                "root_token": token,
            }

    def _open_new(self, root_key: bytearray) -> None:
        """Open a store just made. Its keys must reach the caller even if this fails: nobody else has them."""
        try:
            self._open_with(root_key)
        except MlSecretsError as error:
            _log.critical("the new store could not be opened: %s", error)

    def _counts(self, request: Mapping[str, Any]) -> tuple[int, int]:
        """(shares, threshold) for the people's key."""
        secret = int(request.get("secret_shares") or 0), int(request.get("secret_threshold") or 0)
        recovery = int(request.get("recovery_shares") or 0), int(request.get("recovery_threshold") or 0)
        mine, others, others_name = (
            (secret, recovery, "recovery") if self._auto is None else (recovery, secret, "secret")
        )
        if any(others):
            raise Invalid(
                f"parameters {others_name}_shares,{others_name}_threshold not applicable to seal type {self._kind}"
            )
        if self._auto is not None and not any(mine):
            return 1, 1
        shamir.check_counts(*mine)
        return mine

    def _new_config(self, shares: int, threshold: int, key: bytes, root_key: bytearray) -> locks.SealConfig:
        people, machine, parameters = locks.close(key, root_key, locks.PEOPLE, self._random), None, b""
        if self._auto is not None:
            machine, parameters = self._machine_lock(self._auto, root_key)
        return locks.SealConfig(
            kind=self._kind,
            shares=shares,
            threshold=threshold,
            people=people,
            machine=machine,
            parameters=parameters,
        )

    def _machine_lock(self, auto: AutoSeal, root_key: bytearray) -> tuple[locks.Lock, bytes]:
        key, parameters = auto.fresh(self._random)
        return locks.close(key, root_key, locks.MACHINE, self._random), parameters

    # ── unseal ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def unseal(self, key: str, *, reset: bool) -> dict[str, Any]:
        """Take one share, or drop those given so far.

        Under a seal that opens by itself these are recovery shares: enough of them open the store and lock it to the
        key file (made anew if it is lost) or the passphrase as they are now.
        """
        if not self._barrier.initialized:
            raise Invalid("Vault is not initialized", hint="initialise it first: `ml-secrets operator init`")
        if reset and self._open:
            raise Invalid("vault is unsealed")
        share = b"" if reset else shamir.read_share(key)
        if self._open:
            return self.status()
        with self._gate:
            if reset:
                self._shares.wipe()
            elif not self._open:
                self._take(share)
            return self.status()

    def _take(self, share: bytes) -> None:
        config = self._config()
        if not self._shares.nonce:
            self._shares.begin()
        self._shares.add(share)
        try:
            root_key = self._shares.root_key(config)
        except MlSecretsError:
            self._shares.wipe()
            raise
        if root_key is not None:
            self._shares.wipe()
            self._open_with(root_key, recovered=config if self._auto else None)

    def open_automatically(self, *, initialize: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Open by the key file or passphrase; nothing happens under Shamir. Raises `KeyLost` when neither opens the store.

        A new store is initialised when `initialize` says how; the answer is that of init. Otherwise None.
        """
        if self._auto is None:
            return None
        if not self._barrier.initialized:
            return None if initialize is None else self.initialize(initialize)
        with self._gate:
            config = self._config()
            if not self._open and config.machine is not None:
                self._open_with(_machine_key(self._auto, config.machine, config.parameters))
        return None

    def _config(self) -> locks.SealConfig:
        config = locks.decode(self._barrier.seal_config)
        if config.kind != self._kind:
            raise Invalid(
                f"the store has a {config.kind} seal, and the server is set to {self._kind}",
                hint=f"set the seal to {config.kind}",
            )
        return config

    def _open_with(self, root_key: bytearray, *, recovered: locks.SealConfig | None = None) -> None:
        """Open, and wipe the root key. `recovered`: the seal to renew, when people opened what opens by itself."""
        try:
            self._barrier.unseal(root_key)
            self._check_started()
            self._anchor.check()
            if recovered is not None and self._auto is not None:
                self._lock_anew(self._auto, recovered, root_key)
            self._opened()
            self._anchor.renew()
        except BaseException:
            self._close_barrier()
            raise
        finally:
            wipe(root_key)
        self._open = True
        self.times += 1

    def _lock_anew(self, auto: AutoSeal, config: locks.SealConfig, root_key: bytearray) -> None:
        """The same root key, locked to the key file or passphrase as it is now."""
        machine, parameters = self._machine_lock(auto, root_key)
        renewed = msgspec.structs.replace(config, machine=machine, parameters=parameters)
        self._barrier.rewrap(root_key, locks.encode(renewed))
        _log.warning("opened with recovery keys, and locked to the present %s again", auto.kind)

    def _check_started(self) -> None:
        if self._units.read(lambda unit: unit.tx.get(_STARTED)) is None:
            raise StoreFault(
                "the store's first start was interrupted: it holds nothing",
                hint="remove its folder, then initialise again",
            )

    def _close_barrier(self) -> None:
        self._barrier.seal()
        self._closed()

    # ── seal ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def seal(self) -> None:
        """Forget the keys. Also right before the process ends: the anchor is brought up to date."""
        if self._open:
            self._open = False
            self._anchor.write()
        self.rekeying.forget()
        self.rootmaking.forget()
        self._close_barrier()

    def keep_anchor(self) -> None:
        """Bring the anchor up to date if it is time. For upkeep, off the way of requests."""
        if self._open:
            self._anchor.keep(self._clock())

    # ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def rotate(self) -> None:
        """A new key for all writes from now on."""
        self._barrier.rotate(self._clock())

    def rotation(self, unit: Unit) -> Rotation:
        """When the key for writes is rotated by itself."""
        row = unit.tx.get(_ROTATION)
        return Rotation() if row is None else msgspec.msgpack.decode(row, type=Rotation)

    def set_rotation(self, unit: Unit, rotation: Rotation) -> None:
        """Change that."""
        unit.tx.put(_ROTATION, msgspec.msgpack.encode(rotation))

    def rotate_if_due(self) -> bool:
        """Rotate the key for writes once it is old or much used. For upkeep; tells whether it did."""
        if not self._open:
            return False
        rotation, status = self._units.read(self.rotation), self._barrier.key_status()
        age = self._clock() - datetime.fromisoformat(status["install_time"]).timestamp()
        used_up = status["encryptions"] >= rotation.max_operations
        if not rotation.enabled or not (used_up or (rotation.interval and age >= rotation.interval)):
            return False
        with self._units.turn():
            self.rotate()
        return True

    def key_status(self) -> dict[str, Any]:
        """Term, age and use of the key for writes."""
        return self._barrier.key_status()

    def rekey_target(self, *, recovery: bool) -> Rekeying:
        """The rekey attempt; `recovery` tells which key the caller means. Raises `Invalid` for one this seal has not."""
        if recovery and self._auto is None:
            raise Invalid(
                "recovery rekeying not supported", hint="this seal has key shares only: use sys/rekey"
            )
        if not recovery and self._auto is not None:
            raise Invalid(
                f"a {self._kind} seal has no key shares to rekey",
                hint="make new recovery shares: ml-secrets operator rekey --recovery (sys/rekey-recovery-key; bao operator rotate-keys -target=recovery)",
            )
        return self.rekeying

    # ── backup ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def verify(self) -> dict[str, Any]:
        """Open every row, and compare them all with what the newest commit accounts for. Writers go on meanwhile."""
        report = self._barrier.verify()
        return {
            "intact": report.clean,
            "rows": report.rows,
            "commits": report.commit_seq,
            "damaged_rows": len(report.damaged),
            "accounted": report.accounted,
        }

    def snapshot(self, unit: Unit) -> bytes:
        """A backup of the store as it is at this moment. Writers go on meanwhile."""
        content = BytesIO()
        content.writelines(backup.snapshot(self._storage, self._barrier, now=unit.now))
        return content.getvalue()


def _machine_key(auto: AutoSeal, lock: locks.Lock, parameters: bytes) -> bytearray:
    """The root key, by the key file or passphrase."""
    try:
        return locks.open_(lock, auto.key(parameters), locks.MACHINE)
    except Invalid as error:
        raise KeyLost(error.message, hint=error.hint) from None
