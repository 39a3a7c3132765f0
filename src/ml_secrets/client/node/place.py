"""Where processes of one job meet: a folder of the user that nobody else gets into, in memory where the system has that.

The socket's name says which server is asked, how it is trusted, for which job, by which installation of us and in which words: who differs in
one of these meets elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ml_secrets import places
from ml_secrets.client.node.words import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.client.settings import Settings

_DIGITS: Final = 15
"""Of a name that make a place in the file of locks."""
_LONGEST: Final = 100
"""What a Unix socket's address holds, and a little less."""
TRUST: Final = ("SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""How the variables begin that say whom connections trust and by what way they go."""


@dataclass(frozen=True, slots=True)
class Place:
    """The socket; and the file of all locks, with the place in it for whoever starts the process behind the socket, and for the process."""

    socket: str
    locks: str
    starting: int
    serving: int


def place_for(settings: Settings) -> Place | None:
    """Where to meet; None where there is no such folder, or no such socket."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    if not isinstance(settings.verify, str | bool):
        return None  # what an SSLContext trusts cannot be told
    name = _name(settings, os.environ)
    for above in places.runtime_dirs(os.environ):
        folder = above / "node"
        path = str(folder / name)
        if len(path) < _LONGEST and _private(above) and _private(folder):
            number = int(name[:_DIGITS], 16) * 2
            return Place(path, str(folder / "locks"), number, number + 1)
    return None


def _name(settings: Settings, environ: Mapping[str, str]) -> str:
    told: list[object] = [
        settings.share,
        settings.address,
        str(whole(settings.verify)),
        whole(settings.client_cert),
        whole(settings.client_key),
        sorted(trust_in(environ).items()),
        PROTOCOL,
        __file__,
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def trust_in(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of that, with paths that mean the same from every folder."""
    found = {name: text for name, text in environ.items() if name.upper().startswith(TRUST)}
    return {name: str(whole(text)) if name.startswith("SSL_") else text for name, text in found.items()}


def whole(path: object) -> object:
    """A path that means the same from every folder; what is none stays as it is."""
    return str(Path(path).absolute()) if isinstance(path, str) and path else path


def _private(folder: Path) -> bool:
    """Is it there (made, where it was not), a folder and no link, ours, and closed to all others?"""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError:
        return False
    found = os.lstat(folder)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
