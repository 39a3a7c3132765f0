"""The key file's seal: 32 random bytes in a file beside, never in, the store's folder.

- Made with O_EXCL and mode 0400, written out to the disk with its directory entry; never overwritten.
- Read without following links; refused unless it is a plain file of ours that nobody else may read or write.
- Text: a line that says what it is, then 64 hex digits.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from ml_secrets.barrier.seals.locks import KEY_SIZE
from ml_secrets.barrier.seals.own_file import read_own
from ml_secrets.errors import Invalid
from ml_secrets.storage.folders import make_folder, sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_HEADER: Final = "ml-secrets key file 1: opens the store; keep it apart from the store and its backups\n"
_TEXT: Final = re.compile(re.escape(_HEADER) + r"([0-9a-f]{64})\n?", re.ASCII)


class KeyFile:
    """Opens a store with the key in `path`. `store` is the store's folder (None for a store in memory)."""

    kind: Final = "keyfile"

    def __init__(self, path: Path, store: Path | None) -> None:
        self._path = path
        self._store = store

    def fresh(self, random: Callable[[int], bytes]) -> tuple[bytes, bytes]:
        """(key, parameters) to lock a store with: the file's key, made now if there is no file."""
        if not os.path.lexists(self._path):
            self._create(random(KEY_SIZE))
        return self._read(), b""

    def key(self, parameters: bytes) -> bytes:  # noqa: ARG002 - a key file needs no parameters
        """The key of a locked store."""
        return self._read()

    def _create(self, key: bytes) -> None:
        self.check_place()
        folder = self._path.parent
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            make_folder(folder)
            file = os.open(self._path, flags, 0o400)
            try:
                _write(file, key)
                sync_folder(folder)
            except BaseException:
                self._path.unlink()  # it has locked nothing yet, and half a key file would stand in the way
                raise
        except OSError as error:
            raise Invalid(
                f"cannot make the key file {self._path}: {error.strerror}",
                hint="let this user write to its folder, or name another place for it",
            ) from None

    def _read(self) -> bytes:
        self.check_place()
        try:
            content = read_own(self._path, "key file", flags=os.O_NOFOLLOW)
        except FileNotFoundError:
            raise Invalid(
                f"there is no key file {self._path}",
                hint="put it back, or unseal with recovery keys: that makes a new one",
            ) from None
        except OSError as error:
            raise Invalid(
                f"cannot read the key file {self._path}: {error.strerror}",
                hint="it must be a plain file, no link, that this user may read",
            ) from None
        found = _TEXT.fullmatch(content.decode("ascii", errors="replace"))
        if found is None:
            raise Invalid(
                f"{self._path} is not a key file of ours",
                hint="put the right file back, or remove it and unseal with recovery keys",
            )
        return bytes.fromhex(found[1])

    def check_place(self) -> None:
        """Raises `Invalid` for a key file inside the store's folder."""
        if self._store is None:
            return
        place, store = self._path.parent.resolve(), self._store.resolve()
        if place == store or store in place.parents:
            raise Invalid(
                f"the key file {self._path} lies in the store's folder {self._store}",
                hint="whoever copies the folder would have both: put the key file elsewhere",
            )


def _write(file: int, key: bytes) -> None:
    with os.fdopen(file, "w", encoding="ascii") as text:
        os.fchmod(text.fileno(), 0o400)
        text.write(f"{_HEADER}{key.hex()}\n")
        text.flush()
        os.fsync(text.fileno())
