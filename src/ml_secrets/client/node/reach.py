"""The way to the process that asks for all. Where there is none, whoever has the lock starts it, and the others wait.

The locks are those of a process (`lockf`), not of an open file (`flock`): a forked child, a DataLoader's worker say, does
not hold them on when the process that took them has died.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import random
import socket
import sys
import time
from threading import RLock
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.client.node.place import trust_in, whole
from ml_secrets.client.node.words import is_ours
from ml_secrets.errors import Denied

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml_secrets.client.node.place import Place
    from ml_secrets.client.settings import Settings

START_SECONDS: Final = 15.0
LINGER: Final = 10.0
"""Seconds that it stays after the last process that was connected."""
_LOOK: Final = 0.02
_PASSED: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "XDG_RUNTIME_DIR",
)
_RUN: Final = "from ml_secrets.client.node.__main__ import main; raise SystemExit(main())"


def reach(place: Place, settings: Settings, seconds: float) -> socket.socket | None:
    """A connection; None where nobody serves, and nobody could be started."""
    ends = time.monotonic() + min(seconds, START_SECONDS)
    while time.monotonic() < ends:
        found = connected(place)
        if found is not None:
            return found
        with _alone(place) as alone:
            if alone:
                return connected(place) or _started(place, settings, ends)
        time.sleep(_LOOK * (0.5 + random.random()))  # noqa: S311 - so that they do not all look at once
    return None


def connected(place: Place) -> socket.socket | None:
    """A connection, if somebody serves. Raises `Denied` where that is another user."""
    opened = socket.socket(socket.AF_UNIX)
    try:
        opened.connect(place.socket)
    except OSError:
        opened.close()
        return None
    if is_ours(opened):
        return opened
    opened.close()
    raise Denied(f"{place.socket} is served by another user", hint="whoever made it was no friend: remove it")


_turn = RLock()  # a signal handler may come in while this very thread holds it


def _renew() -> None:
    """In a forked child: a thread that held the lock is not there to let it go."""
    global _turn  # noqa: PLW0603 - one for the process
    _turn = RLock()


os.register_at_fork(after_in_child=_renew)


@contextlib.contextmanager
def _alone(place: Place) -> Iterator[bool]:
    """Have we the lock? Nobody waits for it."""
    with _turn, open(place.locks, "ab") as locks:  # noqa: PTH123 - to be locked, not to be read
        try:
            fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place.starting)
        except OSError:
            yield False
        else:
            yield True


def _started(place: Place, settings: Settings, ends: float) -> socket.socket | None:
    import subprocess  # noqa: PLC0415 - one of many does

    told = {
        "place": dataclasses.asdict(place),
        "linger": LINGER,
        "address": settings.address,
        "verify": whole(settings.verify),
        "client_cert": whole(settings.client_cert),
        "client_key": whole(settings.client_key),
    }
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, and our own module
            [sys.executable, "-P", "-c", _RUN],
            input=msgspec.json.encode(told),
            env=_surroundings(os.environ),
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=max(ends - time.monotonic(), 0.1),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return connected(place) if done.returncode == 0 else None


def _surroundings(environ: Mapping[str, str]) -> dict[str, str]:
    """What it needs to find itself and the server; no token. It finds modules where this process does."""
    passed = {name: value for name, value in environ.items() if name in _PASSED or name.startswith("PYTHON")}
    modules = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)  # noqa: PTH100
    return passed | trust_in(environ) | {"PYTHONPATH": modules}
