"""What a process and the one that asks for all say to each other: messages with their length in front, in msgpack.

Both are of one version and of one user: what connects is asked of the kernel, at either end, before a word is said.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from typing import Any, Final

import msgspec

from ml_secrets.client.messages import Lost, NotSent
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import MASK

PROTOCOL: Final = 2
"""Of these words. Another number for others, so that a program that was upgraded does not meet one that was not."""
FORGET: Final = "forget"

LOST: Final = "lost"
FAULTS: Final = {"not sent": NotSent, LOST: Lost, "invalid": Invalid}
"""Why there is no answer. "invalid" are settings, such as a file of authorities that is not there."""

HEAD: Final = struct.Struct(">I")
LARGEST: Final = (64 << 20) + (1 << 16)
_CREDENTIALS: Final = struct.Struct("3i")


class Ask(msgspec.Struct):
    """A request to the server, with all its headers, and how old an answer to it may be.

    kind: what it is, as in messages.py, or FORGET; of FORGET only the path counts. fresh, stale: see messages.Shared.
    refused: the digest of a token, or of a lease's id, that was refused. lease, held, left: of a lease, as in messages.Shared.
    """

    kind: str
    method: str = ""
    path: str = ""
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: bytes = b""
    timeout: float = 30.0
    fresh: float = 0.0
    stale: float = 0.0
    refused: str = ""
    lease: str = ""
    held: bytes = b""
    left: float = 0.0

    def __repr__(self) -> str:
        return MASK


class Told(msgspec.Struct):
    """The answer, and how many seconds ago the server gave it; or why there is none: `fault`, its text and its hint."""

    status: int = 0
    headers: dict[str, str] = {}
    body: bytes = b""
    age: float = 0.0
    fault: str = ""
    text: str = ""
    hint: str = ""

    def __repr__(self) -> str:
        return MASK


def packed(message: Ask | Told) -> bytes:
    """The message, with its length in front."""
    content = msgspec.msgpack.encode(message)
    return HEAD.pack(len(content)) + content


def unpacked(content: bytes | bytearray, kind: type[Any]) -> Any:
    """The message. Raises `ValueError`, which shows nothing of it."""
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except (msgspec.DecodeError, ValueError):
        pass
    raise ValueError("not a message of ours")


def length_of(head: bytes | bytearray) -> int:
    """How long the message is. Raises `ValueError` for one that is too long."""
    length: int = HEAD.unpack(head)[0]
    if length > LARGEST:
        raise ValueError("a message that is too long")
    return length


def is_ours(connected: socket.socket) -> bool:
    """Is the process at the other end of the same user, as the kernel knows?"""
    found = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(found)
    return bool(user == os.geteuid())


def digest_of(token: str) -> str:
    """By what a token is known."""
    return hashlib.sha256(token.encode()).hexdigest()
