"""The passphrase's seal: a key derived with Argon2id from a passphrase that the server reads when it starts.

The salt and the cost are kept in the seal's configuration, so a later change of our defaults opens old stores too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.barrier.seals.own_file import read_own
from ml_secrets.crypto import kdf
from ml_secrets.errors import Invalid, TamperFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SALT_SIZE: Final = 16
_SHORTEST: Final = 8
_MOST_MEMORY_KIB: Final = 1024 * 1024
_MOST_PASSES: Final = 64


class _Parameters(msgspec.Struct, frozen=True):
    salt: bytes
    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 4


class Passphrase:
    """Opens a store with the passphrase that `read` gives."""

    kind: Final = "passphrase"

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read

    def fresh(self, random: Callable[[int], bytes]) -> tuple[bytes, bytes]:
        """(key, parameters) to lock a store with: today's cost, a new salt."""
        parameters = _Parameters(random(_SALT_SIZE))
        return self._derive(parameters), msgspec.msgpack.encode(parameters)

    def key(self, parameters: bytes) -> bytes:
        """The key of a locked store."""
        return self._derive(_read_parameters(parameters))

    def _derive(self, parameters: _Parameters) -> bytes:
        passphrase = self._read()
        if len(passphrase) < _SHORTEST:
            raise Invalid(
                f"the passphrase is shorter than {_SHORTEST} bytes", hint="choose several random words"
            )
        return kdf.argon2id(
            passphrase,
            parameters.salt,
            memory_kib=parameters.memory_kib,
            passes=parameters.passes,
            lanes=parameters.lanes,
        )


def _read_parameters(raw: bytes) -> _Parameters:
    """They are not authenticated before the key is derived, so they are bounded: an edited header costs no more."""
    try:
        found = msgspec.msgpack.decode(raw, type=_Parameters)
    except (ValueError, RecursionError):
        found = _Parameters(b"")
    fits = (
        8 * found.lanes <= found.memory_kib <= _MOST_MEMORY_KIB
        and 1 <= found.passes <= _MOST_PASSES
        and found.lanes >= 1
    )
    if not fits or len(found.salt) != _SALT_SIZE:
        raise TamperFault(
            "the passphrase's parameters in the store's header are damaged",
            hint="restore the store from a backup",
        )
    return found


def from_file(path: Path) -> Callable[[], bytes]:
    """Reads the passphrase from the first line of a file that nobody else may read."""

    def read() -> bytes:
        try:
            return read_own(path, "passphrase file").split(b"\n", 1)[0].rstrip(b"\r")
        except OSError as error:
            raise Invalid(
                f"cannot read the passphrase file {path}: {error.strerror}",
                hint="name a file with the passphrase in its first line, that the server's user may read",
            ) from None

    return read
