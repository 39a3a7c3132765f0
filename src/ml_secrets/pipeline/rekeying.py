"""Rekey: new shares, a new people's key and a new root key for the same data, agreed to by the holders of the old shares.

    start    how many new shares; a nonce names the attempt
    update   one old share after the other; with the last one needed come the new shares
    verify   (when asked for at the start) the new shares are given back once, before they count

The old shares open nothing any more once it is done, not even together with an old copy of the seal configuration,
because the root key changes as well. Under a seal that opens by itself, this is about its recovery shares.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ml_secrets.barrier.seals import locks, shamir
from ml_secrets.crypto.memory import wipe
from ml_secrets.errors import Invalid
from ml_secrets.pipeline.shares import Shares, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.barrier.barrier import Barrier
    from ml_secrets.barrier.seals.locks import AutoSeal, SealConfig
    from ml_secrets.registry.unit import Unit


class _Goal(NamedTuple):
    shares: int
    threshold: int
    verify: bool


class _Pending(NamedTuple):
    root_key: bytearray
    config: SealConfig


class Rekeying:
    """The one rekey attempt there may be. `auto` is the seal that opens by itself, if there is one."""

    def __init__(self, barrier: Barrier, auto: AutoSeal | None, random: Callable[[int], bytes]) -> None:
        self._barrier = barrier
        self._auto = auto
        self._random = random
        self._lock = threading.RLock()
        self._goal: _Goal | None = None
        self._old = Shares(random)
        self._new = Shares(random)
        self._pending: _Pending | None = None

    # ── the attempt ─────────────────────────────────────────────────────────────────────────────────────────────────

    def status(self) -> dict[str, Any]:
        """How far the attempt is."""
        with self._lock:
            goal = self._goal
            status: dict[str, Any] = {
                "nonce": self._old.nonce,
                "started": goal is not None,
                "t": goal.threshold if goal else 0,
                "n": goal.shares if goal else 0,
                "progress": len(self._old),
                "required": self._config().threshold,
                "pgp_fingerprints": None,
                "backup": False,
                "verification_required": goal.verify if goal else False,
            }
            if self._pending is not None:
                status["verification_nonce"] = self._new.nonce
            return status

    def start(self, shares: int, threshold: int, *, verify: bool) -> dict[str, Any]:
        """Begin an attempt. Raises `Invalid` while another one is going on."""
        with self._lock:
            if self._goal is not None:
                raise Invalid("rekey already in progress", hint="finish it, or cancel it")
            shamir.check_counts(shares, threshold, prefix="invalid rekey seal configuration")
            self._goal = _Goal(shares, threshold, verify)
            self._old.begin()
            return self.status()

    def cancel(self, nonce: str, *, trusted: bool) -> None:
        """Give the attempt up. `trusted` callers need no nonce. Nothing happens where there is none."""
        with self._lock:
            if self._goal is None:
                return
            if nonce or not trusted:
                self._old.check_nonce(nonce, "rekey")
            self.forget()

    def update(self, unit: Unit, key: str, nonce: str) -> dict[str, Any]:
        """One old share. The rewrap happens after the unit's commit, or, if it is to be verified, after that."""
        with self._lock:
            share = shamir.read_share(key)
            if self._goal is None:
                raise Invalid("no barrier rekey in progress", hint="start one first")
            self._old.check_nonce(nonce, "rekey")
            if self._pending is not None:
                raise Invalid(
                    "rekey is complete but for its verification",
                    hint="give the new shares to rekey/verify, or cancel",
                )
            if not self._old.add(share):
                raise Invalid("given key has already been provided during this generation operation")
            old_root_key = self._old.root_key(self._config())
            if old_root_key is None:
                return self.status()
            wipe(old_root_key)
            return self._complete(unit, self._goal)

    def _complete(self, unit: Unit, goal: _Goal) -> dict[str, Any]:
        key = self._random(locks.KEY_SIZE)
        hexes, base64s = shown(shamir.split(key, goal.shares, goal.threshold, self._random))
        answer: dict[str, Any] = {
            "nonce": self._old.nonce,
            "complete": True,
            "keys": hexes,
            "keys_base64": base64s,
            "pgp_fingerprints": None,
            "backup": False,
            "verification_required": goal.verify,
        }
        pending = self._prepare(goal, key)
        if goal.verify:
            self._new.begin()
            answer["verification_nonce"] = self._new.nonce
            unit.after_commit(lambda: self._await_verification(pending))
        else:
            unit.after_commit(lambda: self._rewrap(pending))
        return answer

    def _prepare(self, goal: _Goal, key: bytes) -> _Pending:
        old, root_key = self._config(), bytearray(self._random(locks.KEY_SIZE))
        machine = None
        if self._auto is not None:
            machine = locks.close(self._auto.key(old.parameters), root_key, locks.MACHINE, self._random)
        people = locks.close(key, root_key, locks.PEOPLE, self._random)
        return _Pending(
            root_key,
            msgspec.structs.replace(
                old, shares=goal.shares, threshold=goal.threshold, people=people, machine=machine
            ),
        )

    def _rewrap(self, pending: _Pending) -> None:
        with self._lock:
            self._barrier.rewrap(pending.root_key, locks.encode(pending.config))
            wipe(pending.root_key)
            self.forget()

    def _await_verification(self, pending: _Pending) -> None:
        with self._lock:
            self._pending = pending

    # ── verification ────────────────────────────────────────────────────────────────────────────────────────────────

    def verify_status(self) -> dict[str, Any]:
        """How far the verification of the new shares is."""
        with self._lock:
            goal, _ = self._verifying()
            return {
                "nonce": self._new.nonce,
                "started": True,
                "t": goal.threshold,
                "n": goal.shares,
                "progress": len(self._new),
            }

    def verify(self, unit: Unit, key: str, nonce: str) -> dict[str, Any]:
        """One new share. With the last one needed the new shares count."""
        with self._lock:
            share = shamir.read_share(key)
            goal, pending = self._verifying()
            self._new.check_nonce(nonce, "verify")
            if not self._new.add(share):
                raise Invalid("given key has already been provided during this verify operation")
            try:
                found = self._new.key(goal.threshold)
            except Invalid:
                found = b""
            if found is None:
                return self.verify_status()
            if not locks.fits(pending.config.people, found, locks.PEOPLE):
                self._new.begin()
                raise Invalid(
                    "rekey verification failed; incorrect key shares supplied",
                    hint="start the verification again with the new nonce",
                )
            unit.after_commit(lambda: self._rewrap(pending))
            return {"nonce": self._new.nonce, "complete": True}

    def verify_restart(self, nonce: str, *, trusted: bool) -> dict[str, Any]:
        """Drop the new shares given so far; the verification goes on under a new nonce."""
        with self._lock:
            self._verifying()
            if nonce or not trusted:
                self._new.check_nonce(nonce, "verify")
            self._new.begin()
            return self.verify_status()

    def _verifying(self) -> tuple[_Goal, _Pending]:
        if self._goal is None or self._pending is None:
            raise Invalid("no rekey configuration found", hint="there is nothing to verify")
        return self._goal, self._pending

    def forget(self) -> None:
        """Drop the attempt with all it holds."""
        with self._lock:
            if self._pending is not None:
                wipe(self._pending.root_key)
            self._goal = self._pending = None
            self._old.wipe()
            self._new.wipe()

    def _config(self) -> SealConfig:
        return locks.decode(self._barrier.seal_config)
