"""Sealed records: XAES-256-GCM as C2SP specifies it (a key derived by CMAC from the nonce's first half, then AES-GCM).

    record = "ms" | format (1) | algorithm (1) | epoch (4) | nonce (24) | ciphertext and tag

- The first eight bytes are authenticated with the associated data. GCM does not commit to a key, so a reader looks up
  the key of the record's epoch and never tries several.
- The nonce's first half is kept for a while and its second half is random, so that one derived key serves many
  records and opening one costs a single AES-GCM. docs/decisions/0002-xaes-with-cached-derived-keys.md has the bounds.
- Python cannot wipe what OpenSSL and the interpreter copied: derived keys live until their `Cipher` forgets them, and
  then in freed memory until it is used again. The root key and the keyring's keys are never copied that way.
"""

from __future__ import annotations

import struct
from functools import lru_cache, partial
from itertools import count
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from ml_secrets.errors import TamperFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.crypto.kdf import Key

_HEAD: Final = struct.Struct(">2sBBI")
_MAGIC: Final = b"ms"
_FORMAT: Final = 1
_XAES_256_GCM: Final = 1
_PREFIX: Final = slice(8, 20)
_REST: Final = slice(20, 32)
_BODY: Final = 32
OVERHEAD: Final = 48
"""How much longer a record is than its plaintext."""
SPAN: Final = 2**20
"""How many records share the first half of their nonces, at most."""
_DERIVED: Final = 1024


class Cipher:
    """One key (32 bytes), for the records of one epoch. Thread-safe."""

    def __init__(self, key: Key, random: Callable[[int], bytes], *, epoch: int = 0, span: int = SPAN) -> None:
        self._head = _HEAD.pack(_MAGIC, _FORMAT, _XAES_256_GCM, epoch)
        self._random = random
        self._span = span
        self._sealed = count(1)
        self._prefix = random(12)
        self._derived = lru_cache(_DERIVED)(partial(_derive, key))

    def seal(self, plaintext: Key, context: bytes) -> bytes:
        """A record of `plaintext`, which opens only with an equal `context`."""
        if not next(self._sealed) % self._span:
            self._prefix = self._random(12)
        prefix, rest = self._prefix, self._random(12)
        return (
            self._head + prefix + rest + self._derived(prefix).encrypt(rest, plaintext, self._head + context)
        )

    def open(self, record: bytes, context: bytes) -> bytes:
        """The plaintext. Raises `TamperFault` when record, context and key do not belong together."""
        if record[:8] != self._head or len(record) < OVERHEAD:
            raise tampered()
        try:
            return self._derived(record[_PREFIX]).decrypt(record[_REST], record[_BODY:], self._head + context)
        except InvalidTag:
            raise tampered() from None

    def open_into(self, record: bytes, context: bytes) -> bytearray:
        """Like `open`, for keys: the caller wipes the answer."""
        if record[:8] != self._head or len(record) < OVERHEAD:
            raise tampered()
        plaintext = bytearray(len(record) - OVERHEAD)
        try:
            self._derived(record[_PREFIX]).decrypt_into(
                record[_REST], record[_BODY:], self._head + context, plaintext
            )
        except InvalidTag:
            raise tampered() from None
        return plaintext

    def forget(self) -> None:
        """Drop the derived keys."""
        self._derived.cache_clear()


def seal(key: Key, plaintext: Key, context: bytes, random: Callable[[int], bytes]) -> bytes:
    """A single record under a key that is not used often."""
    return Cipher(key, random).seal(plaintext, context)


def open_(key: Key, record: bytes, context: bytes) -> bytes:
    """The plaintext of a single record. Raises `TamperFault` when the three do not belong together."""
    return Cipher(key, bytes).open(record, context)


def epoch_of(record: bytes) -> int:
    """Whose key the record wants; 0 for bytes that are no record."""
    return int.from_bytes(record[4:8], "big")


def tampered() -> TamperFault:
    """The one error for all that does not open: it tells no more than that."""
    return TamperFault(
        "a sealed record does not open: it is not what was written, or not where",
        hint="verify the store, and restore a backup if it is damaged",
    )


def _derive(key: Key, prefix: bytes) -> AESGCM:
    derived = bytearray()
    for half in (b"\x00\x01X\x00", b"\x00\x02X\x00"):
        mac = CMAC(AES(key))
        mac.update(half + prefix)
        derived += mac.finalize()
    cipher = AESGCM(derived)
    derived[:] = bytes(len(derived))
    return cipher
