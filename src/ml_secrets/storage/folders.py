"""Folders that outlast a power cut: a new name is durable only once the folder that holds it has been synced."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder for us alone where it is missing, and those above it as anybody makes them; durable with their names."""
    missing = [above for above in (folder, *folder.parents) if not above.exists()]
    for above in reversed(missing):
        above.mkdir(exist_ok=True, mode=0o700 if above == folder else 0o777)
        with contextlib.suppress(PermissionError):  # one may be let to write to a folder, and not to read it
            sync_folder(above.parent)
    if not missing:
        folder.mkdir(exist_ok=True)  # raises where it is something else than a folder


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
