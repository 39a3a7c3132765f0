"""Answers as bytes: status line, headers, and the pieces of a body whose length nobody knows yet (RFC 9112, sections 4 to 7)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_PIECE: Final = b"0\r\n\r\n"
_STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}


def head(status: int, headers: Iterable[tuple[bytes, bytes]], date: bytes, connection: bytes = b"") -> bytes:
    """Status line and headers. `connection` is a whole line, or nothing where the version's own rule holds."""
    parts = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    parts += (date, connection, b"\r\n")
    return b"".join(parts)


def piece(body: bytes) -> bytes:
    """A part of a chunked body. None may be empty: that would be its end."""
    return b"%x\r\n%b\r\n" % (len(body), body) if body else b""
