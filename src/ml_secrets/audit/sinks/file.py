"""A file of our own: appended to with one `write` for each record or pair, and never itself a symbolic link.

- A write that does not fit is cut off again, so a full disk leaves whole lines only.
- A last line without its end (the process was killed, the power went) is cut off when the file is opened.
- The file is locked: two devices, or two servers, never mix their chains in one file.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from pathlib import Path
from typing import Final

from ml_secrets.audit.sinks import Begin, SinkFault

_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CHUNK: Final = 65536
_MODE: Final = re.compile(r"0?[0-7]{3,4}", re.ASCII)


class FileSink:
    """Appends to `path`. `mode` are its permission bits; None leaves those of an existing file (a new one gets 0600)."""

    def __init__(self, path: str, mode: int | None = None) -> None:
        self._path = path
        self._mode = mode
        self._file = -1

    def open(self) -> Begin:
        """Open, lock and repair the file."""
        try:
            file = os.open(self._path, _FLAGS, 0o600)
        except OSError as error:
            raise self._fault("open", error) from None
        try:
            begin = self._begin(file)
        except OSError as error:
            os.close(file)
            raise self._fault("open", error) from None
        except SinkFault:
            os.close(file)
            raise
        self.close()
        self._file = file
        return begin

    def write(self, lines: bytes) -> None:
        """Append; what was written in part is cut off again."""
        file = self._file
        try:
            written = os.write(file, lines)
            if written == len(lines):
                return
            os.ftruncate(file, os.fstat(file).st_size - written)
        except OSError as error:
            self.close()
            raise self._fault("write to", error) from None
        self.close()
        raise SinkFault(f"cannot write to {self._path!r}: no space left")

    def moved(self) -> bool:
        """The path no longer leads to the open file."""
        if self._file < 0:
            return True
        try:
            there, here = Path(self._path).stat(follow_symlinks=False), os.fstat(self._file)
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def close(self) -> None:
        """Close the file, which also unlocks it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _begin(self, file: int) -> Begin:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise SinkFault(f"{self._path!r} is not a plain file")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SinkFault(f"{self._path!r} is in use by another audit device or server") from None
        if self._mode is not None:
            os.fchmod(file, self._mode)
        end = _end_of_last_line(file)
        torn = os.fstat(file).st_size - end
        if torn:
            os.ftruncate(file, end)
        return Begin(empty=end == 0, last=_last_line(file, end), repaired=torn)

    def _fault(self, what: str, error: OSError) -> SinkFault:
        return SinkFault(f"cannot {what} {self._path!r}: {error.strerror}")


def read_mode(text: str) -> int | None:
    """Permission bits from octal text; "0000" leaves an existing file's as they are. Raises `ValueError`."""
    if not _MODE.fullmatch(text) or int(text, 8) & 0o111:
        raise ValueError("mode must be octal permissions without execution, such as 0600")
    return int(text, 8) or None


def first_line(path: str) -> bytes:
    """The first line of a file; empty when there is no such file, or nothing in it."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123 - opened by descriptor
            return file.readline(_CHUNK)
    except OSError:
        return b""


def _end_of_last_line(file: int) -> int:
    """Where the last whole line ends."""
    position = os.fstat(file).st_size
    while position:
        start = max(0, position - _CHUNK)
        newline = os.pread(file, position - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        position = start
    return 0


def _last_line(file: int, end: int) -> bytes:
    """The line that ends at `end`, without its newline."""
    found, position = b"", max(0, end - 1)
    while position:
        start = max(0, position - _CHUNK)
        part = os.pread(file, position - start, start)
        newline = part.rfind(b"\n")
        found = part[newline + 1 :] + found
        if newline >= 0:
            break
        position = start
    return found
