"""Where keys lie while they are in use, and what a process can do against leaking its memory.

`KeyMemory` asks the kernel for memory that nothing but this process can read: not swapped, not dumped, not mapped by
the kernel itself (memfd_secret, Linux 5.14 and later). Elsewhere it locks ordinary pages and keeps them out of dumps.

What that does not cover: Python cannot wipe `bytes`, and OpenSSL keeps key schedules of its own while a cipher is in
use. Whoever reads this process's memory as root while the store is open has the keys. We say "reduced", never "erased".
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ml_secrets.crypto.kdf import Key

_PAGE: Final = mmap.PAGESIZE
_MEMFD_SECRET: Final = 447  # the same number on every architecture of Linux
_CLOSE_ON_EXEC: Final = 0o2000000
_SET_DUMPABLE: Final = 4
_LOCK_CURRENT_AND_FUTURE: Final = 3
_libc: Final = ctypes.CDLL(None, use_errno=True)


class KeyMemory:
    """Room for keys. `secret` tells whether the kernel hides all of it from itself too."""

    def __init__(self) -> None:
        self.secret = True
        self._pages: list[memoryview] = []
        self._used = _PAGE

    def take(self, size: int) -> memoryview:
        """`size` bytes (at most a page), zero as yet."""
        if self._used + size > _PAGE:
            self._pages.append(self._new_page())
            self._used = 0
        self._used += size
        return self._pages[-1][self._used - size : self._used]

    def keep(self, key: Key) -> memoryview:
        """A copy of `key` in here."""
        place = self.take(len(key))
        place[:] = key
        return place

    def wipe(self) -> None:
        """Overwrite everything with zeros. Whoever still holds a part holds zeros."""
        for page in self._pages:
            page[:] = bytes(_PAGE)

    def _new_page(self) -> memoryview:
        page = _secret_page()
        if page is None:
            self.secret = False
            page = _locked_page()
        return memoryview(page)


def wipe(buffer: bytearray | memoryview) -> None:
    """Overwrite with zeros."""
    buffer[:] = bytes(len(buffer))


def _secret_page() -> mmap.mmap | None:
    if not sys.platform.startswith("linux"):
        return None
    file = _libc.syscall(_MEMFD_SECRET, _CLOSE_ON_EXEC)
    if file < 0:
        return None
    try:
        os.ftruncate(file, _PAGE)
        return mmap.mmap(file, _PAGE)
    except OSError:
        return None
    finally:
        os.close(file)


def _locked_page() -> mmap.mmap:
    page = mmap.mmap(-1, _PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    with contextlib.suppress(AttributeError):
        _libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(_PAGE))
    with contextlib.suppress(AttributeError, OSError):
        page.madvise(mmap.MADV_DONTDUMP)
    return page


def harden_process(*, lock_memory: bool = False) -> list[str]:
    """Forbid core dumps and other processes of this user to look inside; returns what could not be done.

    `lock_memory` also keeps all of the process out of the swap, which wants root or a large enough RLIMIT_MEMLOCK.
    """
    failed: list[str] = []
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError) as error:
        failed.append(f"core dumps could not be forbidden: {error}")
    if not _call("prctl", _SET_DUMPABLE, 0, 0, 0, 0):
        failed.append(
            "other processes of this user may still look into the memory of this one (no prctl here)"
        )
    if lock_memory and not _call("mlockall", _LOCK_CURRENT_AND_FUTURE):
        failed.append(
            "the memory could not be locked: parts of it may be swapped to disk (raise `ulimit -l`, or turn the swap off)"
        )
    if _secret_page() is None:
        failed.append("this kernel has no memfd_secret: keys lie in locked memory instead")
    return failed


def _call(name: str, *arguments: int) -> bool:
    try:
        return bool(getattr(_libc, name)(*(ctypes.c_ulong(argument) for argument in arguments)) == 0)
    except AttributeError:
        return False
