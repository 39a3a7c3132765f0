"""Reads a file that opens the store: only if nobody but its owner could have read or changed it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from pathlib import Path

_MOST: Final = 4096
_OTHERS: Final = 0o077
_OTHERS_OF_ROOTS: Final = 0o037


def read_own(path: Path, what: str, *, flags: int = 0) -> bytes:
    """The file's content, at most 4096 bytes. `what` it is, is said in refusals. Raises `OSError` when it cannot be opened."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    with os.fdopen(file, "rb") as opened:
        check_own(path, what, os.fstat(opened.fileno()))
        return opened.read(_MOST)


def check_own(path: Path, what: str, status: os.stat_result) -> None:
    """Raises `Invalid` unless the file is a plain one that the server's user has to itself.

    What root has laid ready for the server may be readable by a group: systemd's credentials are (their access list shows
    as the group's rights), and so is a secret that a container is given.
    """
    if not stat.S_ISREG(status.st_mode):
        raise Invalid(f"the {what} {path} is not a plain file", hint="name one that is")
    of_root = status.st_uid == 0 != os.geteuid()
    if not of_root and status.st_uid != os.geteuid():
        raise Invalid(
            f"the {what} {path} belongs to another user",
            hint="it must belong to the user that runs the server",
        )
    if status.st_mode & (_OTHERS_OF_ROOTS if of_root else _OTHERS):
        raise Invalid(f"the {what} {path} is open to other users", hint=f"chmod 0400 {path}")
