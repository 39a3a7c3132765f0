"""The server's standard output, for containers whose runtime keeps it."""

from __future__ import annotations

import os

from ml_secrets.audit.sinks import Begin, SinkFault


class StdoutSink:
    """Writes to a file descriptor that is already open (1 is standard output)."""

    def __init__(self, file: int = 1) -> None:
        self._file = file
        self._torn = False

    def open(self) -> Begin:
        """Nothing to open: whoever reads there sees a log that begins now."""
        return Begin()

    def write(self, lines: bytes) -> None:
        """Write all of it, in pieces where a pipe takes no more at once. A line that was cut short is ended first."""
        data = memoryview(b"\n" + lines if self._torn else lines)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            self._torn = self._torn or written > 0
            raise SinkFault(
                f"cannot write to standard output: {error.strerror}", reached=written > 0
            ) from None
        self._torn = False

    def moved(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Standard output is not ours to close."""
