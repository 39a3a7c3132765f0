"""Files that are exchanged all at once, by one rename, as Kubernetes does it.

    FOLDER/..data   -> ..2f6c0d9be1a47385    the link that is exchanged
    FOLDER/db_user  -> ..data/db_user        what readers open
    FOLDER/..2f6c0d9be1a47385/               a generation: all files, each whole

- Who opens `..data` once, and the files in there, has files of one generation, or misses one: then it has been exchanged meanwhile.
- Whoever dies in between leaves the old generation in place or the new one. The other one goes with the next exchange, or when the
  folder is opened next: without being overwritten, since somebody may be reading it.

All by names in an open folder that nobody else can write to.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

DATA: Final = "..data"
_GENERATION: Final = re.compile(r"\.\.[0-9a-f]{16}", re.ASCII)
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def new_name() -> str:
    """A name for a generation."""
    return f"..{os.urandom(8).hex()}"


def is_own(name: str) -> bool:
    """Is it a name that is used here?"""
    return name == DATA or _GENERATION.fullmatch(name) is not None


def generations(folder: int) -> list[str]:
    """Those that there are."""
    return [name for name in os.listdir(folder) if _GENERATION.fullmatch(name)]


def current(folder: int) -> str:
    """The one that readers see; "" where there is none."""
    return _target(folder, DATA)


def exchange(folder: int, generation: str, names: Iterable[str], part: str) -> None:
    """Have readers see this generation, which has these files. `part`: a name for what is half done."""
    wanted = set(names)
    _point(folder, DATA, generation, part)
    for name in wanted:
        if _target(folder, name) != f"{DATA}/{name}":
            _point(folder, name, f"{DATA}/{name}", part)
    for name in os.listdir(folder):
        if name not in wanted and _target(folder, name) == f"{DATA}/{name}":
            os.unlink(name, dir_fd=folder)


def drop_others(folder: int) -> None:
    """Remove the generations that readers do not see."""
    seen = current(folder)
    for name in generations(folder):
        if name != seen:
            opened = os.open(name, _FOLDER, dir_fd=folder)
            try:
                for file in os.listdir(opened):  # noqa: PTH208 - as above
                    os.unlink(file, dir_fd=opened)
            finally:
                os.close(opened)
            os.rmdir(name, dir_fd=folder)


def _point(folder: int, name: str, target: str, part: str) -> None:
    os.symlink(target, part, dir_fd=folder)
    try:
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part, dir_fd=folder)
        raise


def _target(folder: int, name: str) -> str:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return ""
