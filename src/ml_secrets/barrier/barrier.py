"""The barrier: a storage over a storage that is not trusted.

What goes through it is sealed, bound to its place, and accounted for; while it is sealed, nothing goes through.

- One write transaction here is one below: rows, pages of names and the state row become durable together.
- Keys change in two steps, so that a crash leaves either the old ones or the new: the new keyring is written and read
  back, then one transaction switches to it (barrier/header.py).
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from msgspec.structs import replace

from ml_secrets.barrier import header as clear
from ml_secrets.barrier import survey
from ml_secrets.barrier.header import Header
from ml_secrets.barrier.integrity import EMPTY, STATE_ROW, Report, Tally, digest, stale_rows
from ml_secrets.barrier.keyring import Keyring
from ml_secrets.barrier.opened import Opened, sealed
from ml_secrets.barrier.transaction import Reading, Writing
from ml_secrets.crypto import kdf
from ml_secrets.crypto.aead import Cipher
from ml_secrets.crypto.random import uuid
from ml_secrets.domain.instant import rfc3339
from ml_secrets.errors import Invalid, TamperFault
from ml_secrets.storage.interface import Moved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from ml_secrets.barrier.integrity import State
    from ml_secrets.barrier.keyring import Epoch
    from ml_secrets.crypto.kdf import Key
    from ml_secrets.storage.interface import Freezable, Transaction, Writable

Answer = TypeVar("Answer")
_BLOB_KEYS: Final = 64
_log = logging.getLogger(__name__)
_MORTAL: Final = ("token", "batch-token", "lease")


class Barrier:
    """Sealed at first. `random(n)` gives n random bytes."""

    def __init__(self, storage: Freezable, random: Callable[[int], bytes]) -> None:
        self._storage = storage
        self._random = random
        self._turn = threading.Lock()
        self._opened: Opened | None = None
        self._cluster_id = ""
        self._cursor = survey.START
        self._stuck = 0
        self._walks = 0
        self._blob_cipher = lru_cache(_BLOB_KEYS)(lambda key: Cipher(key, random))

    # ── a storage ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def revision(self) -> int:
        """The storage's."""
        return self._storage.revision

    @property
    def overdue(self) -> bool:
        """The storage's."""
        return self._storage.overdue

    @overload
    def begin(self, *, write: Literal[True]) -> AbstractContextManager[Writable]: ...
    @overload
    def begin(self, *, write: bool) -> AbstractContextManager[Transaction]: ...
    def begin(self, *, write: bool) -> AbstractContextManager[Transaction]:
        """Open a transaction. Raises `Sealed`."""
        if write:
            return self._write()
        opened = self._opened
        if opened is None:
            raise sealed()
        return Reading(opened, self._storage.begin(write=False))

    @contextmanager
    def _write(self) -> Iterator[Writing]:
        with self._turn:
            opened = self._open()
            with self._storage.begin(write=True) as tx:
                writing = Writing(opened, tx, self._new_id)
                yield writing
                state = writing.finish()
            opened.state = state

    def close(self) -> None:
        """Seal, and close the storage."""
        self.seal()
        self._storage.close()

    # ── opening and sealing ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def initialized(self) -> bool:
        """The store has a header."""
        return bool(self.cluster_id)

    @property
    def cluster_id(self) -> str:
        """The store's name for itself, a UUID; "" before it is initialised."""
        if not self._cluster_id:
            header = self._read(clear.read_header)
            self._cluster_id = header.cluster_id if header is not None else ""
        return self._cluster_id

    @property
    def sealed(self) -> bool:
        """There are no keys."""
        return self._opened is None

    @property
    def seal_config(self) -> bytes:
        """The seals room's bytes from the clear header; b"" before the store is initialised. Trust them once it is open."""
        return self._read(
            lambda tx: (
                clear.read_slot(tx, header.slot).seal_config
                if (header := clear.read_header(tx)) is not None
                else b""
            )
        )

    def initialize(self, root_key: Key, seal_config: bytes, *, now: float = 0.0) -> None:
        """Make keys for a new store, and open it. `now` is when its first key was made, in seconds since 1970."""
        with self._turn:
            if self.initialized:
                raise Invalid("Vault is already initialized")
            keyring = Keyring.new(uuid(self._random), root_key, self._random, now=now)
            slot = keyring.wrap(root_key, seal_config, keyring.epochs.values())
            keyring.generation = slot.generation
            opened = Opened(keyring, EMPTY)
            opened.state = replace(Tally(opened.state_mac, EMPTY).state(), generation=slot.generation)
            with self._storage.begin(write=True) as tx:
                clear.write_slot(tx, "a", slot)
                clear.write_header(tx, Header(keyring.cluster_id, "a"))
                tx.put(STATE_ROW, opened.conceal_state(opened.state))
            self._opened = opened

    def unseal(self, root_key: Key) -> None:
        """Open with the root key; on an open barrier, only check it. `Invalid` for another key, `TamperFault` for damage."""
        with self._turn:
            opened = self._read(lambda tx: self._open_with(root_key, tx))
            if self._opened is None:
                self._opened = opened
                self._cursor, self._stuck = survey.START, 0
            else:
                opened.close()

    def _open_with(self, root_key: Key, tx: Transaction) -> Opened:
        header = clear.read_header(tx)
        if header is None:
            raise Invalid("Vault is not initialized", hint="initialise it with `ml-secrets operator init`")
        keyring = Keyring.unwrap(header.cluster_id, root_key, clear.read_slot(tx, header.slot), self._random)
        opened = Opened(keyring, EMPTY)
        try:
            opened.state = _read_state(opened, tx)
        except BaseException:
            opened.close()
            raise
        return opened

    def seal(self) -> None:
        """Forget and wipe the keys. A transaction that has not ended gets `Sealed`. Idempotent."""
        opened, self._opened = self._opened, None
        self._blob_cipher.cache_clear()
        if opened is not None:
            opened.close()

    # ── changing keys ───────────────────────────────────────────────────────────────────────────────────────────────

    def rewrap(self, root_key: Key, seal_config: bytes) -> None:
        """Rekey: from now on that root key opens the store, and the one before does not."""
        with self._turn:
            opened = self._open()
            self._install(opened, root_key, seal_config, opened.keyring.epochs.values())
            opened.keyring.root_key[:] = root_key

    def rotate(self, now: float) -> None:
        """A new data key for all writes from now on. `reseal` moves the rows that there are."""
        with self._turn:
            opened = self._open()
            keyring, config = opened.keyring, self.seal_config
            epoch = keyring.new_epoch(now)
            self._install(opened, keyring.root_key, config, [*keyring.epochs.values(), epoch], added=epoch)
            self._cursor, self._stuck = survey.START, 0

    def key_status(self) -> dict[str, Any]:
        """The newest data key: its number, when it was made, how many records it has sealed."""
        opened = self._open()
        epoch = opened.keyring.newest
        return {
            "term": epoch.term,
            "install_time": rfc3339(epoch.installed),
            "encryptions": opened.state.seals,
        }

    def reseal(self, *, limit: int) -> int:
        """Go over `limit` rows and seal those under older keys anew. Returns how many are left; with the last one, the older keys go.

        They go at a later call where rows of before are being verified. Rows that are damaged stay, and so do the keys they need. Once only such are left there is nothing to do: 0.
        """
        with self._turn:
            opened = self._open()
            if stale_rows(opened.state.rows, opened.keyring.newest.term) not in (0, self._stuck):
                with self._storage.begin(write=True) as tx:
                    writing = Writing(opened, tx, self._new_id)
                    cursor = survey.reseal(opened, tx, writing, self._cursor, limit)
                    state = writing.finish()
                opened.state, self._cursor = state, cursor
            left = stale_rows(opened.state.rows, opened.keyring.newest.term)
            if not left and len(opened.keyring.epochs) > 1 and not self._walks:
                keyring = opened.keyring
                self._install(opened, keyring.root_key, self.seal_config, [keyring.newest])
            if left and self._cursor == survey.START and left != self._stuck:
                self._stuck = left
                _log.error("%d rows are damaged or missing, and keep their older key: verify the store", left)
            return 0 if left == self._stuck else left

    def _install(
        self,
        opened: Opened,
        root_key: Key,
        seal_config: bytes,
        epochs: Iterable[Epoch],
        *,
        added: Epoch | None = None,
    ) -> None:
        """Switch to the next generation of the keyring. Crash safe; see barrier/header.py."""
        keyring, kept = opened.keyring, list(epochs)
        slot = keyring.wrap(root_key, seal_config, kept)
        header = self._read(clear.read_header)
        if header is None:
            raise clear.damaged()
        with self._storage.begin(write=True) as tx:
            clear.write_slot(tx, header.free_slot, slot)
        written = self._read(lambda tx: clear.read_slot(tx, header.free_slot))
        Keyring.unwrap(keyring.cluster_id, root_key, written, self._random).wipe()
        if added is not None:
            keyring.add(added)
        try:
            state = replace(Tally(opened.state_mac, opened.state).state(), generation=slot.generation)
            if added is not None:
                state = replace(state, seals=1)
            with self._storage.begin(write=True) as tx:
                clear.write_header(tx, Header(header.cluster_id, header.free_slot))
                clear.clear_slot(tx, header.slot)
                tx.put(STATE_ROW, opened.conceal_state(state))
                opened.check()
        except BaseException:
            if added is not None:
                keyring.drop(added.term)
            raise
        opened.state, keyring.generation = state, slot.generation
        for term in set(keyring.epochs) - {epoch.term for epoch in kept}:
            keyring.drop(term)

    # ── keys for others ─────────────────────────────────────────────────────────────────────────────────────────────

    def subkey(self, purpose: str) -> bytes:
        """A key for one purpose. Rotation and rekey do not change it (see `bump_incarnation`). Raises `Sealed`."""
        opened = self._open()
        key = opened.subkeys.get(purpose)
        if key is None:
            life = opened.state.incarnation if purpose.startswith(_MORTAL) else 0
            key = kdf.expand(opened.keyring.stable_key, "subkey", purpose, life.to_bytes(4, "big"))
            opened.check()
            opened.subkeys[purpose] = key
        return key

    def bump_incarnation(self) -> None:
        """This store came back from a backup: the subkeys of tokens and leases change, so that all of them are dead."""
        with self._turn:
            opened = self._open()
            state = Tally(opened.state_mac, opened.state).state()
            state = replace(state, incarnation=state.incarnation + 1)
            with self._storage.begin(write=True) as tx:
                tx.put(STATE_ROW, opened.conceal_state(state))
                opened.check()
            opened.state = state
            opened.subkeys.clear()

    def reveal_root_key(self) -> bytearray:
        """A copy of the root key, which opens copies of this store. Whoever asked for it wipes it."""
        opened = self._open()
        key = bytearray(opened.keyring.root_key)
        opened.check()
        return key

    def seal_blob(self, key: bytes, plaintext: bytes, context: bytes) -> bytes:
        """Seal something that is kept elsewhere. Works without the barrier's own keys."""
        return self._blob_cipher(key).seal(plaintext, kdf.framed("blob", context))

    def open_blob(self, key: bytes, blob: bytes, context: bytes) -> bytes:
        """Open it again. Raises `Invalid` for whatever `seal_blob` did not make with that key and context."""
        try:
            return self._blob_cipher(key).open(blob, kdf.framed("blob", context))
        except TamperFault:
            raise Invalid("the sealed data does not open with this key") from None

    # ── integrity ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def commit_seq(self) -> int:
        """How many commits this store has seen."""
        return self._open().state.sequence

    @property
    def rows(self) -> int:
        """How many rows the newest commit accounts for."""
        return sum(self._open().state.rows.values())

    @property
    def state_digest(self) -> str:
        """Tells this state of the store from any other, for an anchor outside of it."""
        opened = self._open()
        return digest(opened.state_key, opened.state)

    def position_of(self, state_row: bytes) -> tuple[int, str]:
        """The commit and the digest of the state in that row, which may be of a moment before."""
        opened = self._open()
        state = opened.reveal_state(state_row)
        return state.sequence, digest(opened.state_key, state)

    def verify(self) -> Report:
        """Open every row as it is now, and account for it. Nobody waits meanwhile."""
        with self._turn:
            opened, moment = self._open(), self._storage.freeze(lookups=True)
            self._walks += 1
        try:
            report = survey.verify(opened, moment)
        finally:
            with self._turn:
                self._walks -= 1
        opened.check()
        return report

    # ── within ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> Opened:
        opened = self._opened
        if opened is None:
            raise sealed()
        return opened

    def _read(self, read: Callable[[Transaction], Answer]) -> Answer:
        while True:
            try:
                with self._storage.begin(write=False) as tx:
                    return read(tx)
            except Moved:
                continue

    def _new_id(self) -> str:
        return self._random(16).hex()


def _read_state(opened: Opened, tx: Transaction) -> State:
    state = opened.reveal_state(tx.get(STATE_ROW))
    if state.generation != opened.keyring.generation:
        raise TamperFault(
            "the store's keyring is not the one its state belongs to",
            hint="a part of the store was put back: restore a whole backup",
        )
    return state
