"""Started by reach.py: becomes the one that asks for all, unless there is one, and says so by ending its first process.

stdin   where the server is, the place, and for how long to stay alone: JSON
0       somebody serves at the place now
1       nobody does

Its memory goes into no core file, and no process of the user may look into it. It listens before it has loaded what it
works with, so that those who come meanwhile wait at its door instead of looking for it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from ml_secrets.client.node.place import Place

_TURN_SECONDS: Final = 5.0
_BACKLOG: Final = 4096
_PR_SET_DUMPABLE: Final = 4


def main() -> int:
    """Serve in a process of its own, which is nobody's child, so that nobody has to wait for its end."""
    told = msgspec.json.decode(sys.stdin.buffer.read())
    ready, say = os.pipe()
    if os.fork():
        os.close(say)
        return 0 if os.read(ready, 1) else 1
    os.close(ready)
    os.setsid()
    _hide_memory()
    _hold(told, say)
    return 0


def _hold(told: dict[str, Any], say: int) -> None:
    place, linger = Place(**told.pop("place")), told.pop("linger")
    with open(place.locks, "ab") as locks:  # noqa: PTH123 - it stays open
        if not _locked(locks.fileno(), place.serving):
            return
        heir = Path(place.socket).exists()
        listening = _listener_at(place.socket)
        os.write(say, b"+")
        os.close(say)
        try:
            _serve(listening, told, linger, heir=heir)
        finally:
            Path(place.socket).unlink(missing_ok=True)


def _serve(listening: socket.socket, told: dict[str, Any], linger: float, *, heir: bool) -> None:
    import asyncio  # noqa: PLC0415 - see above

    from ml_secrets.client.node.serve import serve  # noqa: PLC0415
    from ml_secrets.client.settings import Settings  # noqa: PLC0415

    asyncio.run(serve(listening, Settings(**told), linger, heir=heir))


def _listener_at(path: str) -> socket.socket:
    """The socket, in place of one that a killed process left."""
    Path(path).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(_BACKLOG)
    return listening


def _hide_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _locked(locks: int, place: int) -> bool:
    """Is it our turn? The one before may be about to end."""
    ends = time.monotonic() + _TURN_SECONDS
    while time.monotonic() < ends:
        try:
            fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
