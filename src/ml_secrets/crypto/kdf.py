"""Keys from keys (HKDF-Expand with SHA-256), and a key from a passphrase (Argon2id).

Every derivation names its purpose. Parts of a context are joined with length prefixes, so that no two lists of parts
give the same bytes.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_SIZE: Final = 32
_APPLICATION: Final = "ml-secrets/v1"

Key = bytes | bytearray | memoryview


def framed(*parts: str | bytes) -> bytes:
    """The parts, each after its length in four bytes."""
    return b"".join(frame(part.encode() if isinstance(part, str) else part) for part in parts)


def frame(part: bytes) -> bytes:
    """One part after its length in four bytes."""
    return len(part).to_bytes(4, "big") + part


def expand(key: Key, purpose: str, *context: str | bytes, size: int = KEY_SIZE) -> bytes:
    """A key for one purpose. `key` must be uniformly random (use `argon2id` for what people think up)."""
    return _expansion(purpose, context, size).derive(key)


def expand_into(target: memoryview, key: Key, purpose: str, *context: str | bytes) -> None:
    """Like `expand`, but the new key never becomes an object of Python: it is written straight to `target`."""
    _expansion(purpose, context, len(target)).derive_into(key, target)


def argon2id(
    passphrase: bytes, salt: bytes, *, memory_kib: int, passes: int, lanes: int, size: int = KEY_SIZE
) -> bytes:
    """A key from a passphrase. 64 MiB, 3 passes and 4 lanes take about half a second."""
    return Argon2id(salt=salt, length=size, iterations=passes, lanes=lanes, memory_cost=memory_kib).derive(
        passphrase
    )


def _expansion(purpose: str, context: tuple[str | bytes, ...], size: int) -> HKDFExpand:
    return HKDFExpand(algorithm=SHA256(), length=size, info=framed(_APPLICATION, purpose, *context))
