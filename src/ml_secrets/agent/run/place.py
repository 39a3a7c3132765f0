"""The folder of one run, in memory. Its name says whose it is, so that the next run removes what was left behind.

Where containers share the folder, each removes its own: of the others' processes it knows nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from typing import TYPE_CHECKING, Final

from ml_secrets.errors import MlSecretsError
from ml_secrets.places import process_namespace, process_over, process_started

if TYPE_CHECKING:
    from pathlib import Path

    from ml_secrets.agent.files import Folder

_OF_A_RUN: Final = re.compile(r"run-([1-9]\d*)-(\d+)-(\d+)-[0-9a-f]{16}", re.ASCII)


def new_mark() -> str:
    """A name for this run that no other has: whose numbers its process has one of, that, when it began, and chance."""
    process = os.getpid()
    return f"{process_namespace()}-{process}-{process_started(process)}-{secrets.token_hex(8)}"


def make(mark: str) -> Folder:
    """The run's folder, mode 0700, open."""
    from ml_secrets.agent.runtime import runtime_folder  # noqa: PLC0415 - only where there are files

    folder = runtime_folder(f"run-{mark}")
    _sweep(folder.path.parent, mark)
    return folder


def remove(path: Path) -> None:
    """Shred a run's folder, if it is there."""
    from ml_secrets.agent.files import Folder  # noqa: PLC0415 - as above

    with contextlib.suppress(FileNotFoundError):
        if path.is_dir():
            with Folder(path, create=False) as folder:
                folder.destroy()


def _sweep(above: Path, mark: str) -> None:
    """Remove folders of runs whose runner and guardian were both killed. `mark`: ours; only of its namespace we know who lives."""
    namespace, _, _ = mark.partition("-")
    for path in above.iterdir():
        found = _OF_A_RUN.fullmatch(path.name)
        if found and found[1] == namespace and process_over(int(found[2]), found[3]):
            with contextlib.suppress(OSError, MlSecretsError):  # it is not what we run for
                remove(path)
