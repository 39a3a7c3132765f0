"""A collector behind a TCP, UDP or Unix socket: one record a line.

A stream that breaks may have swallowed what was sent last, so the chain counts it as written, and a gap in the
numbers at the collector shows what was lost. After a failure the collector is left alone for a second, so that one that
does not answer cannot hold up every request for its whole timeout.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from ml_secrets.audit.sinks import Begin, SinkFault

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS: Final = ("tcp", "udp", "unix")
_REST: Final = 1.0


class SocketSink:
    """Sends to `address`: "host:port", or a path for "unix". `timeout` in seconds, for connecting and for each write. `now` is the clock."""

    def __init__(self, *, kind: str, address: str, timeout: float, now: Callable[[], float]) -> None:
        self._kind = kind
        self._address = address
        self._timeout = timeout
        self._now = now
        self._socket: socket.socket | None = None
        self._not_before = 0.0

    def open(self) -> Begin:
        """Connect."""
        self.close()
        if 0 < self._not_before - self._now() <= _REST:
            raise SinkFault(f"cannot reach {self._address!r}: it failed a moment ago")
        try:
            self._socket = self._connect()
        except OSError as error:
            raise self._fault("cannot reach", error, reached=False) from None
        return Begin()

    def write(self, lines: bytes) -> None:
        """Send all of it (a datagram for each record over UDP)."""
        stream = self._socket
        if stream is None:
            raise SinkFault(f"{self._address!r} is not connected")
        reached = False
        try:
            if self._kind == "udp":
                for line in lines.splitlines(keepends=True):
                    stream.send(line)
                    reached = True
            else:
                if _hung_up(stream):
                    raise ConnectionResetError(0, "the collector closed the connection")
                reached = True
                stream.sendall(lines)
        except OSError as error:
            raise self._fault("cannot write to", error, reached=reached) from None

    def moved(self) -> bool:
        """Never: a collector that went away shows when writing."""
        return False

    def close(self) -> None:
        """Disconnect."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        if self._kind == "unix":
            new = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                new.settimeout(self._timeout)
                new.connect(self._address)
            except OSError:
                new.close()
                raise
            return new
        host, _, port = self._address.rpartition(":")
        where = (host.strip("[]"), int(port))
        if self._kind == "tcp":
            new = socket.create_connection(where, self._timeout)
            new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return new
        family, _, _, _, found = socket.getaddrinfo(*where, type=socket.SOCK_DGRAM)[0]
        new = socket.socket(family, socket.SOCK_DGRAM)
        new.settimeout(self._timeout)
        new.connect(found)
        return new

    def _fault(self, what: str, error: OSError, *, reached: bool) -> SinkFault:
        was_open = self._socket is not None
        self.close()
        if not was_open or isinstance(error, TimeoutError):
            self._not_before = self._now() + _REST
        why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
        return SinkFault(f"{what} {self._address!r}: {why}", reached=reached)


def read_address(kind: str, address: str) -> str:
    """Check an address. Raises `ValueError`."""
    if kind == "unix":
        if not address.startswith("/"):
            raise ValueError("address must be the absolute path of a socket")
        return address
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("address must be host:port")
    try:
        host.strip("[]").encode("idna")
    except UnicodeError:
        raise ValueError("address names no host that there can be") from None
    return address


def _hung_up(stream: socket.socket) -> bool:
    """The other side has closed: a first write would still seem to succeed."""
    timeout = stream.gettimeout()
    stream.setblocking(False)
    try:
        return stream.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    finally:
        stream.settimeout(timeout)
