"""The folder of one run, in memory. Its name says whose it is, so that the next run removes what a machine's fall left behind."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from typing import TYPE_CHECKING, Final

from ml_secrets.places import process_started

if TYPE_CHECKING:
    from pathlib import Path

    from ml_secrets.agent.files import Folder

_OF_A_RUN: Final = re.compile(r"run-(\d+)-(\d+)-[0-9a-f]{16}", re.ASCII)


def new_mark() -> str:
    """A name for this run that no other has: process, when that began, and chance."""
    return f"{os.getpid()}-{process_started(os.getpid())}-{secrets.token_hex(8)}"


def make(mark: str) -> Folder:
    """The run's folder, mode 0700, open."""
    from ml_secrets.agent.runtime import runtime_folder  # noqa: PLC0415 - only where there are files

    folder = runtime_folder(f"run-{mark}")
    _sweep(folder.path.parent)
    return folder


def remove(path: Path) -> None:
    """Shred a run's folder, if it is there."""
    from ml_secrets.agent.files import Folder  # noqa: PLC0415 - as above

    with contextlib.suppress(FileNotFoundError):
        if path.is_dir():
            with Folder(path, create=False) as folder:
                folder.destroy()


def _sweep(above: Path) -> None:
    """Remove folders of runs whose runner and guardian were both killed."""
    for path in above.iterdir():
        found = _OF_A_RUN.fullmatch(path.name)
        if found and process_started(int(found[1])) != found[2]:
            with contextlib.suppress(OSError):
                remove(path)
