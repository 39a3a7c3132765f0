"""Started by reach.py: becomes the one that asks for all, unless there is one, and says so by ending its first process.

stdin   where the server is, the place, and for how long to stay alone: JSON
0       somebody serves at the place now
1       nobody does
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from ml_secrets.client.node.place import Place
from ml_secrets.client.node.serve import hide_memory, listener_at, serve
from ml_secrets.client.settings import Settings

_TURN_SECONDS: Final = 5.0


def main() -> int:
    """Serve in a process of its own, which is nobody's child, so that nobody has to wait for its end."""
    told = msgspec.json.decode(sys.stdin.buffer.read())
    ready, say = os.pipe()
    if os.fork():
        os.close(say)
        return 0 if os.read(ready, 1) else 1
    os.close(ready)
    os.setsid()
    hide_memory()
    _hold(told, say)
    return 0


def _hold(told: dict[str, Any], say: int) -> None:
    place, linger = Place(**told.pop("place")), told.pop("linger")
    with open(place.serving, "ab") as lock:  # noqa: PTH123 - it stays open
        if not _locked(lock.fileno()):
            return
        listening = listener_at(place.socket)
        os.write(say, b"+")
        os.close(say)
        try:
            asyncio.run(serve(listening, Settings(**told), linger))
        finally:
            Path(place.socket).unlink(missing_ok=True)


def _locked(lock: int) -> bool:
    """Is it our turn? The one before may be about to end."""
    ends = time.monotonic() + _TURN_SECONDS
    while time.monotonic() < ends:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
