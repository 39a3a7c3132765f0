"""Files that hold secrets: written so that nobody can have them written elsewhere, see half of one, or read one that is not theirs.

1. The folder is opened from `/` down, one name after another, and no link is followed.
2. It is refused unless it belongs to us, to root or to whom the files are for, and unless others are kept from replacing
   what is in it: not writable by group or others, or sticky. Unless told, it is refused where it is not in memory.
3. A file is made under a name that nobody knows, new or not at all (O_EXCL, O_NOFOLLOW, 0600), gets its owner and mode,
   then its content, and is made durable.
4. Only when all files of a call are there are they moved over their targets, which are never opened for writing: a link, a
   second name or a FIFO that somebody left there is replaced, and what it led to stays as it is.
5. The folder is made durable, and its path has to lead to it still.

Files that belong together can be exchanged by one rename instead (generations.py): `Folder.exchange`.

Whoever dies in between leaves each file whole, the old one or the new one. What lies there half done has no writer any more, since writers hold the
folder's lock, and goes when the folder is opened next.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, Self

import msgspec

from ml_secrets.agent import generations
from ml_secrets.agent.descriptors import blank, file_descriptor, fill, folder_descriptor, lock
from ml_secrets.agent.rights import checked_folder
from ml_secrets.errors import Conflict, Denied, Invalid
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Iterator

_PART: Final = (".ml-secrets.", ".part")
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST: Final = 200


class File(msgspec.Struct, frozen=True):
    """What is to be written. `owner` is user and group by number; None is us."""

    name: str
    content: Sensitive
    mode: int = 0o400
    owner: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not fits(self.name):
            raise Invalid(
                f"{self.name!r} is no name for a file here",
                hint="a name has no slash, no control character and at most 200 bytes",
            )
        if self.mode & ~0o660 or not self.mode & 0o400:
            raise Invalid(
                f"mode {self.mode:04o} is not for a secret",
                hint="0400, or 0440 for a group; never for others, never to be run",
            )


class Written(msgspec.Struct, frozen=True):
    """A file that is there. `changed` is False where it was there already, just as it is to be."""

    path: Path
    changed: bool


def fits(name: str) -> bool:
    """Is it a name for one file in a folder, and none of those that half-done files have?"""
    return (
        name.isprintable()
        and 0 < len(name.encode(errors="replace")) <= _LONGEST
        and name not in {".", ".."}
        and "/" not in name
        and not name.startswith(_PART[0])
        and not generations.is_own(name)
    )


class Folder:
    """A folder, open and checked. Threads may share it; forked children may not.

    with Folder(Path("/run/user/1000/job")) as folder:
        folder.write(File("db_password", value))
    """

    def __init__(
        self, path: Path, *, on_disk: bool = False, owner: tuple[int, int] | None = None, create: bool = True
    ) -> None:
        """Open it, made with mode 0700 where it is missing; what writers left half done goes. `owner`: see rule 2."""
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
        self._alone = Lock()
        self._inner = partial(Folder, on_disk=on_disk, owner=owner)
        self._fd = checked_folder(self.path, on_disk=on_disk, owner=owner, create=create)
        try:
            self.sweep()
        except BaseException:
            os.close(self._fd)
            raise

    def write(self, *files: File) -> list[Written]:
        """Write files: all of them, or none. One that is there already, just as it is to be, is not touched."""
        _check_names(files)
        with self._locked():
            changed = [file for file in files if not self._has(file)]
            if changed:
                self._replace(changed)
        self._check_path()
        return [Written(self.path / file.name, file in changed) for file in files]

    def exchange(self, *files: File) -> list[Written]:
        """Put these files in place of all that were exchanged before, by one rename. Where all are there, nothing is done.

        What readers open are links then. Others must not be able to write to the folder.
        """
        _check_names(files)
        if os.fstat(self._fd).st_mode & 0o022:
            raise Denied(f"others can write to {self.path}", hint="name a folder of your own")
        with self._locked():
            changed = not self._is_current(files)
            if changed:
                self._put_in_place(files)
            generations.drop_others(self._fd)
        self._check_path()
        return [Written(self.path / file.name, changed) for file in files]

    def shred(self, *names: str) -> None:
        """Overwrite files and remove them; one that is not there is done with. What that is worth: see `_overwrite`."""
        with self._locked():
            for name in names:
                self._shred(name)
            os.fsync(self._fd)

    def destroy(self) -> None:
        """Shred what is in the folder, and remove the folder. Folders within are left, and keep it from being removed."""
        with self._locked():
            for name in generations.generations(self._fd):
                with self._inner(self.path / name, create=False) as generation:
                    generation.destroy()
            for name in self._names():
                self._shred(name)
        self._check_path()
        self.path.rmdir()

    def has_only(self, *files: File) -> bool:
        """Are these there, just as they are to be, and no others?"""
        with self._locked():
            return set(self._names()) == {file.name for file in files} and all(map(self._has, files))

    def sweep(self) -> None:
        """Remove what writers left half done when they died."""
        with self._locked():
            for name in self._names():
                if name.startswith(_PART[0]) and name.endswith(_PART[1]):
                    with suppress(PermissionError):  # in a sticky folder, another's
                        self._shred(name)
            if not os.fstat(self._fd).st_mode & 0o022:
                generations.drop_others(self._fd)

    def close(self) -> None:
        """Close it. What was written stays."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── rules 3, 4 and 5 ────────────────────────────────────────────────────────────────────────────────────────────

    def _names(self) -> list[str]:
        return os.listdir(self._fd)  # noqa: PTH208 - by the descriptor: the path may lead elsewhere

    def _check_path(self) -> None:
        """Raises `Conflict` where the path leads elsewhere by now: whoever reads by it would read another's files."""
        there = folder_descriptor(self.path, create=False)
        try:
            same = os.path.sameopenfile(there, self._fd)
        finally:
            os.close(there)
        if not same:
            raise Conflict(
                f"{self.path} was replaced while it was written to",
                hint="somebody else can write to a folder above it",
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._alone, lock(self._fd, self.path):
            yield

    def _has(self, file: File) -> bool:
        """Is it there already: a file with one name, with this owner, mode and content?"""
        opened = file_descriptor(file.name, os.O_RDONLY, self._fd)
        if opened is None:
            return False
        try:
            found = os.fstat(opened)
            uid, gid = file.owner or (os.geteuid(), found.st_gid)
            wanted = (1, uid, gid, file.mode, len(file.content.reveal_bytes()))
            is_so = (found.st_nlink, found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), found.st_size)
            return is_so == wanted and _content(opened) == file.content
        finally:
            os.close(opened)

    def _replace(self, files: list[File]) -> None:
        parts: list[str] = []
        try:
            for file in files:
                self._check_target(file.name)
                parts.append(os.urandom(8).hex().join(_PART))
                self._stage(file, parts[-1])
            for file, part in zip(files, list(parts), strict=True):
                os.rename(part, file.name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
                parts.remove(part)
        finally:
            for part in parts:
                self._shred(part)
            os.fsync(self._fd)

    def _is_current(self, files: tuple[File, ...]) -> bool:
        name = generations.current(self._fd)
        if name not in generations.generations(self._fd):
            return False
        with self._inner(self.path / name, create=False) as generation:
            return generation.has_only(*files)

    def _put_in_place(self, files: tuple[File, ...]) -> None:
        for file in files:
            self._check_target(file.name)
        name = generations.new_name()
        with self._inner(self.path / name) as generation:
            generation.write(*files)
        part = os.urandom(8).hex().join(_PART)
        generations.exchange(self._fd, name, [file.name for file in files], part)
        os.fsync(self._fd)

    def _check_target(self, name: str) -> None:
        """Raises where moving a file over it would fail: by then others might have been moved."""
        try:
            found = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode):
            raise Conflict(f"{self.path / name} is a folder", hint="choose another name for the file")
        folder = os.fstat(self._fd)
        if folder.st_mode & stat.S_ISVTX and os.geteuid() not in {0, found.st_uid, folder.st_uid}:
            raise Denied(f"{self.path / name} belongs to another user", hint="choose a folder of your own")

    def _stage(self, file: File, part: str) -> None:
        opened = os.open(part, _NEW, 0o600, dir_fd=self._fd)
        try:
            if file.owner is not None:
                os.fchown(opened, *file.owner)
            os.fchmod(opened, file.mode)
            fill(opened, file.content, str(self.path / file.name))
        finally:
            os.close(opened)

    def _shred(self, name: str) -> None:
        try:
            self._overwrite(name)
        finally:
            with suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(name, dir_fd=self._fd)

    def _overwrite(self, name: str) -> None:
        """Write zeros over a file's content, unless it may be another's under a name that somebody planted here.

        In memory (tmpfs) those are the pages that held it, unless they were swapped out. A disk may keep the old blocks:
        journals, copies on write, snapshots and flash all do. There only a key that is thrown away erases.
        """
        opened = file_descriptor(name, os.O_RDONLY, self._fd)
        if opened is None:
            return
        try:
            if self._is_no_trap(os.fstat(opened)):
                with suppress(PermissionError):  # another's, which we may remove and no more
                    os.fchmod(opened, 0o600)
                again = file_descriptor(name, os.O_WRONLY, self._fd)
                if again is not None:
                    blank(again, like=opened)
        finally:
            os.close(opened)

    def _is_no_trap(self, found: os.stat_result) -> bool:
        """Nobody but us can have put it here; or it has this name alone, and is ours or in a folder that is not shared."""
        folder = os.fstat(self._fd)
        shared = bool(folder.st_mode & 0o022)
        if not shared and folder.st_uid == os.geteuid():
            return True
        return found.st_nlink == 1 and (not shared or found.st_uid == os.geteuid())


def _check_names(files: tuple[File, ...]) -> None:
    if len({file.name for file in files}) != len(files):
        raise Invalid("two files have the same name", hint="give one of them another")


def _content(opened: int) -> Sensitive:
    with os.fdopen(opened, "rb", closefd=False) as file:
        return Sensitive(file.read())
