"""Who may ask an agent, and how (check 128): whoever gets past has the agent's rights at the server.

- Another process proves who it is by the kernel: SO_PEERCRED on a Unix socket; on loopback, the owner of the other end
  in /proc/net/tcp. It has to be us, root, or one who was named.
- The header X-Vault-Request has to be there: no web page and no request that a service was tricked into can send it.
- On TCP, Host has to be a name of this machine, so that no name that somebody points here gets in.
- What came through a proxy, or from a web page, says so, and is refused.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ml_secrets.agent.resident.http import Asked

_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_FORWARDED: Final = ("x-forwarded-for", "x-forwarded-host", "forwarded", "via", "origin", "sec-fetch-site")
_ESTABLISHED: Final = "01"
_HOST: Final = re.compile(r"(\[[0-9a-f:]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?", re.ASCII)


def peer_of(line: socket.socket) -> int | None:
    """The user at the other end; None where nobody knows."""
    if line.family == socket.AF_UNIX:
        given = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, user, _ = struct.unpack("3i", given)
        return int(user)
    return _owner(line.getpeername(), line.getsockname(), line.family)


def may_come(user: int | None, allowed: tuple[int, ...] | None) -> bool:
    """May this user ask? `allowed` None is anybody; else it has to be us, root, or one of them."""
    return allowed is None or (user is not None and user in {0, os.geteuid(), *allowed})


def is_ours(user: int | None) -> bool:
    """Is it whoever runs the agent, or root?"""
    return may_come(user, ())


def wrong_host(asked: Asked, port: int, hosts: tuple[str, ...]) -> bool:
    """Is Host none of this machine's names?"""
    found = _HOST.fullmatch((asked.header("host") or "").lower())
    if found is None or found[1] not in {*_NAMES, *(host.lower() for host in hosts)}:
        return True
    return found[2] is not None and int(found[2]) != port


def forwarded(asked: Asked) -> bool:
    """Did it come by way of somebody else?"""
    return any(asked.has(name) for name in _FORWARDED)


def says_request(asked: Asked) -> bool:
    """Has it the header that has to be there?"""
    return asked.header("x-vault-request") == "true"


def _owner(theirs: tuple[object, ...], ours: tuple[object, ...], family: int) -> int | None:
    """Whose socket the other end of a connection on this machine is; None where nobody has it open any more.

    A socket that was closed is shown as root's, whoever had it: such a row says nothing.
    """
    table = Path("/proc/net/tcp6" if family == socket.AF_INET6 else "/proc/net/tcp")
    wanted = (_shown(theirs, family), _shown(ours, family))
    try:
        lines = table.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return None
    for line in lines:
        parts = line.split()
        if (parts[1], parts[2]) == wanted and parts[3] == _ESTABLISHED and parts[9] != "0":
            return int(parts[7])
    return None


def _shown(address: tuple[object, ...], family: int) -> str:
    """An address as /proc/net/tcp has it: words of 32 bits, each in the machine's order."""
    packed = socket.inet_pton(family, str(address[0]))
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{int(str(address[1])):04X}"
