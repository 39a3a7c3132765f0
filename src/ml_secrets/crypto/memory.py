"""Where keys lie while they are in use, and what a process can do against leaking its memory.

`KeyMemory` asks the kernel for memory that nothing but this process can read: not swapped, not dumped, not mapped by
the kernel itself (memfd_secret, Linux 5.14 and later). Elsewhere it locks ordinary pages and keeps them out of dumps.

A forked child has no part in it: where the parent has its keys the child finds zeros of its own, so it neither knows
them nor wipes them under the parent.

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
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ml_secrets.crypto.kdf import Key

_PAGE: Final = mmap.PAGESIZE
_MEMFD_SECRET: Final = 447  # the same number on every architecture of Linux
_CLOSE_ON_EXEC: Final = 0o2000000
_SET_DUMPABLE: Final = 4
_LOCK_CURRENT_AND_FUTURE: Final = 3
_READ_AND_WRITE: Final = mmap.PROT_READ | mmap.PROT_WRITE
_PRIVATE: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_WHERE_NOTHING_IS: Final = 0x100000  # MAP_FIXED_NOREPLACE
_WIPE_ON_FORK: Final = 18
_MAP_FAILED: Final = ctypes.c_void_p(-1).value
_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)


class KeyMemory:
    """Room for keys. `secret` tells whether the kernel hides all of it from itself too."""

    def __init__(self) -> None:
        self.secret = True
        self._owner = os.getpid()
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
        """Overwrite everything with zeros. Whoever still holds a part holds zeros. Nothing to do in a forked child."""
        if os.getpid() == self._owner:
            for page in self._pages:
                page[:] = bytes(_PAGE)

    def _new_page(self) -> memoryview:
        page = _secret_page()
        if page is None:
            self.secret = False
            page = _locked_page()
        return page


def wipe(buffer: bytearray | memoryview) -> None:
    """Overwrite with zeros."""
    buffer[:] = bytes(len(buffer))


def _secret_page() -> memoryview | None:
    """A page of memfd_secret. It can only be mapped shared, so children are given a hole instead (`_fill_holes`).

    Not by Python's mmap, which would keep the file open, and with it a second way to the keys.
    """
    if not sys.platform.startswith("linux"):
        return None
    file = _libc.syscall(_MEMFD_SECRET, _CLOSE_ON_EXEC)
    if file < 0:
        return None
    try:
        os.ftruncate(file, _PAGE)
        address = _libc.mmap(None, _PAGE, _READ_AND_WRITE, mmap.MAP_SHARED, file, 0)
    finally:
        os.close(file)
    if address == _MAP_FAILED:
        return None
    if not _call("madvise", address, _PAGE, mmap.MADV_DONTFORK):
        _call("munmap", address, _PAGE)
        return None
    return memoryview(_mapped(address)).cast("B")


def _mapped(address: int) -> ctypes.Array[ctypes.c_ubyte]:
    """The page there, which goes with the last one who holds a part of it."""
    page = (ctypes.c_ubyte * _PAGE).from_address(address)
    _addresses.add(address)
    weakref.finalize(page, _unmap, address).atexit = False
    return page


def _unmap(address: int) -> None:
    _addresses.discard(address)
    _call("munmap", address, _PAGE)


def _locked_page() -> memoryview:
    page = mmap.mmap(-1, _PAGE, flags=_PRIVATE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    _call("mlock", address, _PAGE)
    with contextlib.suppress(AttributeError, OSError):
        page.madvise(mmap.MADV_DONTDUMP)
        page.madvise(_WIPE_ON_FORK)
    return memoryview(page)


_addresses: Final[set[int]] = set()


def _fill_holes() -> None:
    """In a forked child: zeros where the parent has its pages, so that whoever reaches for a key there does not crash."""
    for address in list(_addresses):
        _libc.mmap(address, _PAGE, _READ_AND_WRITE, _PRIVATE | _WHERE_NOTHING_IS, -1, 0)


os.register_at_fork(after_in_child=_fill_holes)


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
