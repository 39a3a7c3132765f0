"""Locks: the root key, wrapped under another key, as the store's clear header keeps it.

- A lock tells a wrong key by its check value, before any decryption: one clean error, the same for every wrong key.
- `purpose` is bound into the wrapping, so that a lock for people does not pass for one of a machine.
- The whole `SealConfig` is bound into the wrapped keyring by the barrier: it cannot be swapped for another.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from ml_secrets.crypto import aead
from ml_secrets.errors import Invalid, TamperFault

if TYPE_CHECKING:
    from collections.abc import Callable

KEY_SIZE: Final = 32
PEOPLE: Final = "people"
MACHINE: Final = "machine"
_FORMAT: Final = 1


class Lock(msgspec.Struct, frozen=True):
    """A wrapped root key, and what tells the right key from a wrong one."""

    check: bytes
    wrapped: bytes


class SealConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a store is opened.

    kind: "shamir", "keyfile" or "passphrase". shares, threshold: of the people's key. people: the lock their key opens.
    machine: the lock of a seal that opens by itself; None for Shamir. parameters: what that seal keeps beside it.
    """

    kind: str
    shares: int
    threshold: int
    people: Lock
    machine: Lock | None = None
    parameters: bytes = b""
    format: int = _FORMAT


class AutoSeal(Protocol):
    """A seal that opens by itself: a key file, a passphrase."""

    @property
    def kind(self) -> str: ...
    def fresh(self, random: Callable[[int], bytes]) -> tuple[bytes, bytes]:
        """(key, parameters) to lock a store with."""

    def key(self, parameters: bytes) -> bytes:
        """The key of a store that was locked with these parameters."""


def encode(config: SealConfig) -> bytes:
    """The configuration as the store's header keeps it."""
    return msgspec.msgpack.encode(config)


def decode(raw: bytes) -> SealConfig:
    """Read it back. Raises `TamperFault` for anything we did not write."""
    try:
        config = msgspec.msgpack.decode(raw, type=SealConfig)
    except (ValueError, RecursionError):
        raise TamperFault(
            "the store's seal configuration is damaged", hint="restore the store from a backup"
        ) from None
    if config.format != _FORMAT:
        raise TamperFault(
            f"the store's seal configuration has format {config.format}, which this program does not know",
            hint="upgrade ml-secrets",
        )
    return config


def close(key: bytes, root_key: bytes | bytearray, purpose: str, random: Callable[[int], bytes]) -> Lock:
    """Wrap the root key under `key`."""
    return Lock(_check_value(key, purpose), aead.seal(key, root_key, _context(purpose), random))


def fits(lock: Lock, key: bytes, purpose: str) -> bool:
    """True when `key` is the lock's."""
    return hmac.compare_digest(_check_value(key, purpose), lock.check)


def open_(lock: Lock, key: bytes, purpose: str) -> bytearray:
    """The root key; the caller wipes it. Raises `Invalid` for a wrong key, `TamperFault` for a damaged lock."""
    if not fits(lock, key, purpose):
        raise Invalid(
            "invalid key: it does not open this store",
            hint="check that every share belongs to this store and to its latest rekey",
        )
    return aead.Cipher(key, bytes).open_into(lock.wrapped, _context(purpose))


def _check_value(key: bytes, purpose: str) -> bytes:
    return hmac.digest(key, b"ml-secrets/seal/check/" + purpose.encode(), "sha256")


def _context(purpose: str) -> bytes:
    return b"ml-secrets/seal/root-key/" + purpose.encode()
