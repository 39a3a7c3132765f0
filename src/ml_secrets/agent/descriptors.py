"""Files and folders by open descriptors: opened without following a link, locked, filled.

Folders are opened from `/` down, files by one name in an open folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from ml_secrets.errors import Conflict, Denied, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ml_secrets.sensitive import Sensitive

_FOLDER: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STEP: Final = _FOLDER | os.O_PATH  # needs no right to list what is on the way
_PATIENCE: Final = 10.0
_PAUSE: Final = 0.02
_CHUNK: Final = 1 << 20
_LONGEST_WAY: Final = 8


def folder_descriptor(path: Path, *, owner: tuple[int, int] | None = None, create: bool) -> int:
    """An open folder. `create`: those that are missing are made with mode 0700, for `owner`."""
    *above, last = path.parts[1:] or ["."]
    at, way = os.open("/", _STEP), path.parents[-1]
    try:
        for name in above:
            way /= name
            at, left = _step(at, name, way, _STEP, owner, create=create), at
            os.close(left)
        return _step(at, last, path, _FOLDER | os.O_RDONLY, owner, create=create)
    finally:
        os.close(at)


def _step(at: int, name: str, way: Path, flags: int, owner: tuple[int, int] | None, *, create: bool) -> int:
    if create:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=at)
            if owner is not None:
                os.chown(name, *owner, dir_fd=at, follow_symlinks=False)
    try:
        return os.open(name, flags, dir_fd=at)
    except OSError as error:
        raise _refused(at, name, way, error) from None


def _refused(at: int, name: str, way: Path, error: OSError) -> Exception:
    if error.errno == errno.ENOENT:
        return NotFound(f"there is no folder {way}", hint="make it first")
    with suppress(OSError):
        if stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
            return Denied(
                f"{way} is a symbolic link, and none is followed to where secrets are written",
                hint=f"name the folder itself: realpath {way} shows it",
            )
    return OSError(error.errno, os.strerror(error.errno or 0), str(way))


def file_descriptor(name: str, access: int, folder: int) -> int | None:
    """An open file of that name in an open folder; None where there is none, or something that is no plain file, or no right."""
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return None
        opened = os.open(name, access | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except (FileNotFoundError, PermissionError):
        return None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # it became a link, or a FIFO, just now
            return None
        raise
    if stat.S_ISREG(os.fstat(opened).st_mode):
        return opened
    os.close(opened)
    return None


def mounted_descriptor(name: str, folder: int) -> int | None:
    """The same, to be read, where the file may be reached by links as a kubelet lays out a Secret: name -> ..data/name, ..data -> ..DATE.

    A link is followed if we or root made it and it stays in the folder. Nobody else can put one there, or lead one of these elsewhere.
    """
    ahead, steps = deque([name]), 0
    at = os.dup(folder)
    try:
        while len(ahead) > 1 or _is_link(ahead[0], at):
            steps += 1
            one = ahead.popleft()
            if _is_link(one, at):
                ahead.extendleft(reversed(_inner(one, at)))
            else:
                at, left = os.open(one, _FOLDER, dir_fd=at), at
                os.close(left)
            if not ahead or steps > _LONGEST_WAY:
                return None
        return file_descriptor(ahead[0], os.O_RDONLY, at)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    finally:
        os.close(at)


def _is_link(name: str, folder: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _inner(name: str, folder: int) -> list[str]:
    """Where a link leads, within its folder. Raises `FileNotFoundError` for one that is not to be followed."""
    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_uid not in {os.geteuid(), 0}:
        raise FileNotFoundError
    parts = os.readlink(name, dir_fd=folder).split("/")
    if set(parts) & {"", ".", ".."}:
        raise FileNotFoundError
    return parts


@contextmanager
def lock(folder: int, path: Path) -> Iterator[None]:
    """Be the only one that writes to a folder. Whoever dies lets go of it."""
    deadline = time.monotonic() + _PATIENCE
    while not _taken(folder):
        if time.monotonic() > deadline:
            raise Conflict(
                f"another process has been writing to {path} for {_PATIENCE:.0f} s",
                hint=f"see which one: fuser -v {path}",
            )
        time.sleep(_PAUSE)
    try:
        yield
    finally:
        fcntl.flock(folder, fcntl.LOCK_UN)


def _taken(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def fill(opened: int, content: Sensitive, shown: str) -> None:
    """Write all of a content, and make it durable. Raises `OSError` about `shown`."""
    problem = _pour(opened, content)
    if problem:
        raise OSError(problem, os.strerror(problem), shown)


def blank(opened: int, *, like: int) -> None:
    """Write zeros over all of a file, if it is the one that is open as `like`; close it."""
    try:
        left = os.fstat(opened).st_size if os.path.sameopenfile(opened, like) else 0
        while left > 0:
            left -= os.write(opened, bytes(min(left, _CHUNK)))
        os.fsync(opened)
    finally:
        os.close(opened)


def _pour(opened: int, content: Sensitive) -> int:
    """0, or the number of the error: no frame that raises holds a value."""
    left = memoryview(content.reveal_bytes())
    try:
        while left:
            left = left[os.write(opened, left) :]
        os.fsync(opened)
    except OSError as error:
        return error.errno or errno.EIO
    return 0
