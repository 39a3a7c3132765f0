"""The keys of an open barrier.

    root key      wraps the keyring; given at unseal, changed by a rekey
    stable key    the source of all subkeys (tokens, audit, names, state); never changes
    epochs        one data key each; the newest seals, all open. Rotation adds one, and it goes when no row needs it

All of them lie in `KeyMemory` and never become `bytes` (fresh ones are expanded into it from a random seed, which does).
Wrapped, the keyring is one record under the root key, bound to the cluster, the seal configuration and its generation
(which the sealed state row names too, so that an older keyring cannot be put back).
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ml_secrets.barrier.header import Slot, damaged
from ml_secrets.crypto import kdf
from ml_secrets.crypto.aead import Cipher
from ml_secrets.crypto.kdf import KEY_SIZE, Key
from ml_secrets.crypto.memory import KeyMemory, wipe
from ml_secrets.errors import Invalid, TamperFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_EPOCH: Final = struct.Struct(">Id")
_SIZE: Final = _EPOCH.size + KEY_SIZE


@dataclass(frozen=True, slots=True)
class Epoch:
    """One data key: its number (the wire's "term"), when it was made, and its cipher for records."""

    term: int
    installed: float
    key: memoryview
    record_key: memoryview
    cipher: Cipher


class Keyring:
    """The keys, while the barrier is open. `epochs` is in the order of their making."""

    def __init__(self, cluster_id: str, root_key: Key, random: Callable[[int], bytes]) -> None:
        self.cluster_id = cluster_id
        self.generation = 0
        self.memory = KeyMemory()
        self.root_key = self.memory.keep(checked_root_key(root_key))
        self.stable_key = self.memory.take(KEY_SIZE)
        self.epochs: dict[int, Epoch] = {}
        self.newest: Epoch
        """The epoch that seals."""
        self.ciphers: dict[bytes, Cipher] = {}
        self._random = random

    @classmethod
    def new(cls, cluster_id: str, root_key: Key, random: Callable[[int], bytes], *, now: float) -> Keyring:
        """Fresh keys, with a first epoch."""
        keyring = cls(cluster_id, root_key, random)
        kdf.expand_into(keyring.stable_key, random(KEY_SIZE), "stable key")
        keyring.add(keyring.new_epoch(now))
        return keyring

    @classmethod
    def unwrap(cls, cluster_id: str, root_key: Key, slot: Slot, random: Callable[[int], bytes]) -> Keyring:
        """The keys in a slot. Raises `Invalid` for another root key, `TamperFault` for a slot that is not ours."""
        if not hmac.compare_digest(slot.check, check_value(checked_root_key(root_key), cluster_id)):
            raise Invalid(
                "invalid key: it does not open this store",
                hint="is it the key of this store, from its latest rekey?",
            )
        keyring = cls(cluster_id, root_key, random)
        try:
            keyring._open(slot)
        except BaseException:
            keyring.wipe()
            raise
        return keyring

    def _open(self, slot: Slot) -> None:
        try:
            content = Cipher(self.root_key, self._random).open_into(
                slot.wrapped, _binding(self.cluster_id, slot)
            )
        except TamperFault:
            raise damaged() from None
        try:
            self._fill(content)
        finally:
            wipe(content)
        self.generation = slot.generation

    def new_epoch(self, now: float) -> Epoch:
        """A fresh epoch; not in use yet."""
        key = self.memory.take(KEY_SIZE)
        kdf.expand_into(key, self._random(KEY_SIZE), "data key")
        return self._epoch(max(self.epochs, default=0) + 1, now, key)

    def add(self, epoch: Epoch) -> None:
        """Put an epoch into use."""
        self.ciphers[epoch.term.to_bytes(4, "big")] = epoch.cipher
        self.epochs[epoch.term] = epoch
        self.newest = self.epochs[max(self.epochs)]

    def drop(self, term: int) -> None:
        """Forget an epoch that no row needs."""
        epoch = self.epochs.pop(term)
        self.newest = self.epochs[max(self.epochs)]
        del self.ciphers[term.to_bytes(4, "big")]
        epoch.cipher.forget()
        wipe(epoch.key)
        wipe(epoch.record_key)

    def wrap(self, root_key: Key, seal_config: bytes, epochs: Iterable[Epoch]) -> Slot:
        """The next generation of this keyring, with these epochs, under that root key."""
        chosen = list(epochs)
        content = bytearray(KEY_SIZE + _SIZE * len(chosen))
        with memoryview(content) as view:
            view[:KEY_SIZE] = self.stable_key
            for at, epoch in zip(range(KEY_SIZE, len(content), _SIZE), chosen, strict=True):
                _EPOCH.pack_into(view, at, epoch.term, epoch.installed)
                view[at + _EPOCH.size : at + _SIZE] = epoch.key
        slot = Slot(self.generation + 1, seal_config, check_value(root_key, self.cluster_id), b"")
        wrapped = Cipher(root_key, self._random).seal(content, _binding(self.cluster_id, slot))
        wipe(content)
        return Slot(slot.generation, seal_config, slot.check, wrapped)

    def wipe(self) -> None:
        """Forget everything."""
        for epoch in self.epochs.values():
            epoch.cipher.forget()
        self.memory.wipe()

    def _fill(self, content: bytearray) -> None:
        if len(content) < KEY_SIZE + _SIZE or (len(content) - KEY_SIZE) % _SIZE:
            raise damaged()
        with memoryview(content) as view:
            self.stable_key[:] = view[:KEY_SIZE]
            for at in range(KEY_SIZE, len(content), _SIZE):
                term, installed = _EPOCH.unpack_from(view, at)
                self.add(self._epoch(term, installed, self.memory.keep(view[at + _EPOCH.size : at + _SIZE])))

    def _epoch(self, term: int, installed: float, key: memoryview) -> Epoch:
        """Records are sealed under a key derived from the epoch's."""
        record_key = self.memory.take(KEY_SIZE)
        kdf.expand_into(record_key, key, "record")
        return Epoch(term, installed, key, record_key, Cipher(record_key, self._random, epoch=term))


def checked_root_key(root_key: Key) -> Key:
    """The key, if it can be one."""
    if len(root_key) != KEY_SIZE:
        raise Invalid(f"a root key has {KEY_SIZE} bytes")
    return root_key


def check_value(root_key: Key, cluster_id: str) -> bytes:
    """What tells the right root key from a wrong one without opening anything. Root keys are random, so it tells no more."""
    return kdf.expand(root_key, "root key check", cluster_id, size=16)


def _binding(cluster_id: str, slot: Slot) -> bytes:
    return kdf.framed(cluster_id, "keyring", slot.generation.to_bytes(8, "big"), slot.seal_config)
