"""Files that must be whole or not there: written beside the target, made durable, then moved over it."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from glob import escape
from typing import TYPE_CHECKING, BinaryIO

from ml_secrets.storage.folders import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(path: Path, *, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A file to write; it takes the place of `path` when the block ends well, and is gone when it does not.

    After a crash there is the old file or the new one, never half of one; what else lies there goes with the next write.
    """
    remove_leftovers(path.parent, escape(path.name))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "w+b") as file:
            os.fchmod(file.fileno(), mode)
            yield file
            make_durable(file)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_durable(file: BinaryIO) -> None:
    """Force what was written to the disk."""
    file.flush()
    os.fsync(file.fileno())


def remove_leftovers(folder: Path, names: str) -> None:
    """Remove what writers of files with such names (a glob pattern) left half done when they were killed.

    What a process that lives is writing stays; in this one, only one writes a file at a time.
    """
    for part in folder.glob(f".{names}.*.part"):
        writer = part.name.split(".")[-2]
        if not writer.isdecimal() or int(writer) == os.getpid() or not _lives(int(writer)):
            part.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
