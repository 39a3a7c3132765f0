"""The machine's syslog daemon, through its local datagram socket: one record a datagram."""

from __future__ import annotations

import socket
from logging.handlers import SysLogHandler
from typing import Final

from ml_secrets.audit.sinks import Begin, SinkFault

ADDRESS: Final = "/dev/log"
_TIMEOUT: Final = 2.0


class SyslogSink:
    """Sends to the socket at `address`, as `facility` (a name such as "auth"), severity info, under `tag`."""

    def __init__(self, *, facility: str, tag: str, address: str = ADDRESS) -> None:
        code = SysLogHandler.facility_names[facility]
        self._start = f"<{code << 3 | SysLogHandler.LOG_INFO}>{tag}: ".encode()
        self._address = address
        self._socket: socket.socket | None = None

    def open(self) -> Begin:
        """Connect."""
        self.close()
        new = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        new.settimeout(_TIMEOUT)
        try:
            new.connect(self._address)
        except OSError as error:
            new.close()
            raise SinkFault(f"cannot reach syslog at {self._address!r}: {error.strerror or error}") from None
        self._socket = new
        return Begin()

    def write(self, lines: bytes) -> None:
        """Send each record on its own."""
        if self._socket is None:
            raise SinkFault("syslog is not connected")
        sent = 0
        try:
            for line in lines.splitlines():
                self._socket.send(self._start + line)
                sent += 1
        except OSError as error:
            self.close()
            raise SinkFault(f"cannot write to syslog: {error.strerror or error}", reached=sent > 0) from None

    def moved(self) -> bool:
        """Never: a daemon that went away shows when writing."""
        return False

    def close(self) -> None:
        """Disconnect."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def read_facility(name: str) -> str:
    """A facility's name in lower case. Raises `ValueError` for one that syslog does not know."""
    folded = name.lower()
    if folded not in SysLogHandler.facility_names:
        raise ValueError(f"facility must be one of {', '.join(sorted(SysLogHandler.facility_names))}")
    return folded
