"""Where secrets lie in memory and on no disk: tmpfs by default, or a file without a name (memfd).

Both may be swapped out, as all memory may: encrypted swap, or none, is the machine's business. What reads `statfs`
goes by the file system's type, not by its path.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.descriptors import fill

if TYPE_CHECKING:
    from ml_secrets.sensitive import Sensitive

_TMPFS: Final = 0x01021994
_RAMFS: Final = 0x858458F6
_NOEXEC: Final = 0x0008  # MFD_NOEXEC_SEAL: Linux 6.3 and later
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def in_memory(opened: int) -> bool:
    """Is an open file or folder on tmpfs or ramfs?"""
    room = (ctypes.c_long * 64)()  # struct statfs is 120 bytes, and begins with f_type
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fstatfs(opened, room):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(room[0]) & 0xFFFFFFFF in {_TMPFS, _RAMFS}


def memory_file(name: str, content: Sensitive) -> int:
    """An open file that has no place in any folder, mode 0400, and cannot be changed any more.

    A child that inherits the descriptor N (`pass_fds`) reads it, or opens /proc/self/fd/N as often as it likes. It is
    gone when the last one that has it open ends. `name` shows in /proc and is no secret.
    """
    opened = _made(name)
    try:
        fill(opened, content, name)
        os.fchmod(opened, 0o400)
        fcntl.fcntl(opened, fcntl.F_ADD_SEALS, _SEALS)
        os.lseek(opened, 0, os.SEEK_SET)
    except BaseException:
        os.close(opened)
        raise
    return opened


def memory_path(opened: int) -> str:
    """The path by which a process that has inherited the file opens it."""
    return f"/proc/self/fd/{opened}"


def _made(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _NOEXEC)
    except OSError:
        return os.memfd_create(name, flags)  # a kernel that does not know the flag
