"""systemd is told what this service is doing (sd_notify): ready, reloading, stopping, alive. Without systemd nobody is told."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Notify:
    """The service manager's ear. `watchdog` is how many seconds may pass between two signs of life; 0 is any number."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        meant_for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        wanted = environ.get("WATCHDOG_USEC", "")
        self.watchdog = int(wanted) / 1e6 if wanted.isdecimal() and meant_for_us else 0.0
        self._alive = 0.0

    def ready(self, status: str) -> None:
        """All that was asked for is there."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is read anew; `ready` ends that."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """A sign of life, where one is due."""
        now = time.monotonic()
        if self.watchdog and now - self._alive >= self.watchdog / 3:
            self._alive = now
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto("\n".join(lines).encode(), self._address)
