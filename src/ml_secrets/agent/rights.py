"""Which folders secrets may be written to: of whom, open to whom, on what.

Not one that others can change, since they could have every reader of it read theirs; not one that the files' owner does not get
into; and none on a disk, unless somebody says that it will do.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ml_secrets.agent.descriptors import folder_descriptor
from ml_secrets.agent.memory import in_memory
from ml_secrets.errors import Denied

if TYPE_CHECKING:
    from pathlib import Path


def checked_folder(
    path: Path, *, on_disk: bool = False, owner: tuple[int, int] | None = None, create: bool = False
) -> int:
    """The descriptor of such a folder, opened without following a link. Raises `Denied`.

    `owner`: whose the files will be, by number; what is made is theirs.
    """
    opened = folder_descriptor(path, owner=owner, create=create)
    try:
        _check_rights(path, os.fstat(opened), owner)
        if not on_disk:
            _check_memory(path, opened)
    except BaseException:
        os.close(opened)
        raise
    return opened


def _check_memory(path: Path, opened: int) -> None:
    if not in_memory(opened):
        raise Denied(
            f"{path} is not in memory (tmpfs): what is written there may stay on a disk",
            hint="choose a folder on tmpfs, such as one in /dev/shm; or, if a disk will do, say so: --on-disk",
        )


def _check_rights(path: Path, found: os.stat_result, owner: tuple[int, int] | None) -> None:
    if found.st_uid not in {os.geteuid(), 0, *(owner or ())[:1]}:
        raise Denied(f"{path} belongs to another user", hint="choose a folder of your own")
    if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        raise Denied(
            f"others can write to {path}, and replace what is in it",
            hint="chmod go-w, or name a folder in it that is not there yet: it is made with mode 0700",
        )
    if owner is not None and not _lets_in(found, *owner):
        raise Denied(
            f"the user that the files are for does not get into {path}",
            hint=f"chown {owner[0]}:{owner[1]} {path}, or name a folder that is not there yet",
        )


def _lets_in(found: os.stat_result, user: int, group: int) -> bool:
    shift = 6 if found.st_uid == user else 3 if found.st_gid == group else 0
    return user == 0 or bool(found.st_mode >> shift & 0o1)
