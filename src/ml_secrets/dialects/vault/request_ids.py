"""The names of requests, in answers and in the audit log: random UUIDs (version 4).

They are no secrets, and there is one for each request: so many are made with one call of the system, which would let other
threads have the interpreter in the middle of a read. Not repeated by a fork; a machine that is put back to an earlier
state of its memory repeats those that were ready then.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from typing import Final

AT_ONCE: Final = 256
_SIZE: Final = 16
_VERSION: Final = bytes(byte & 0x0F | 0x40 for byte in range(256))
_VARIANT: Final = bytes(byte & 0x3F | 0x80 for byte in range(256))
_GROUPS: Final = struct.Struct("8s4s4s4s12s")
_ready: Final[deque[bytes]] = deque()


def request_id() -> str:
    """One that no request had before. Thread-safe."""
    return request_id_bytes().decode()


def request_id_bytes() -> bytes:
    """The same, as it is written."""
    while True:
        try:
            return _ready.pop()
        except IndexError:
            _ready.extend(_many())


def _many() -> list[bytes]:
    raw = bytearray(os.urandom(_SIZE * AT_ONCE))
    raw[6::_SIZE] = raw[6::_SIZE].translate(_VERSION)
    raw[8::_SIZE] = raw[8::_SIZE].translate(_VARIANT)
    return list(map(b"-".join, _GROUPS.iter_unpack(raw.hex().encode())))


os.register_at_fork(after_in_child=_ready.clear)
