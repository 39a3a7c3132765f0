"""Calls of the kernel that Python lacks. Linux only; where one is missing, what it protects is said to be missing."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NAME: Final = 15
_SFD_CLOEXEC: Final = 0o2000000
_SFD_NONBLOCK: Final = 0o4000
_SIGNAL_INFO: Final = 128
_KERNEL: Final = 0x80
_LEAST_CORE: Final = 1

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Signal(NamedTuple):
    """A signal that came. `sender` is 0 where the kernel sent it: for keys like Ctrl-C, say."""

    number: int
    sender: int


def die_with(parent: int) -> None:
    """The kernel kills this process when `parent` ends. Called between fork and exec; it outlasts the exec."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel knew
        os.kill(os.getpid(), signal.SIGKILL)


def hide_memory() -> None:
    """No core file of this process, and nobody of its user reads its memory or attaches to it."""
    no_core()
    _prctl(_PR_SET_DUMPABLE, 0)


def no_core() -> None:
    """No core file of this process and of all that come from it.

    The limit is one byte: too little for a file, and the one that the kernel also heeds when cores go to a program.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    least = _LEAST_CORE if hard == resource.RLIM_INFINITY else min(_LEAST_CORE, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (least, least))


def be_named(name: str) -> None:
    """What `ps -o comm` shows of this process: 15 characters of it."""
    _prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()))


def _prctl(option: int, argument: int | ctypes.c_char_p) -> None:
    if _libc.prctl(option, argument, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def signals(numbers: Iterable[int]) -> int:
    """A descriptor from which these signals are read, once they are blocked."""
    mask = sum(1 << (number - 1) for number in numbers)
    descriptor: int = _libc.signalfd(-1, struct.pack("<Q120x", mask), _SFD_CLOEXEC | _SFD_NONBLOCK)
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return descriptor


def signals_from(descriptor: int) -> list[Signal]:
    """What came since; none where nothing did."""
    try:
        read = os.read(descriptor, 32 * _SIGNAL_INFO)
    except BlockingIOError:
        return []
    heads = (struct.unpack_from("<IiiI", read, start) for start in range(0, len(read), _SIGNAL_INFO))
    return [Signal(number, 0 if code == _KERNEL else sender) for number, _, code, sender in heads]
