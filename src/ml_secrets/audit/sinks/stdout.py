"""The server's standard output, for containers whose runtime keeps it."""

from __future__ import annotations

import os

from ml_secrets.audit.sinks import Begin, SinkFault


class StdoutSink:
    """Writes to a file descriptor that is already open (1 is standard output)."""

    def __init__(self, file: int = 1) -> None:
        self._file = file

    def open(self) -> Begin:
        """Nothing to open: whoever reads there sees a log that begins now."""
        return Begin()

    def write(self, lines: bytes) -> None:
        """Write all of it, in pieces where a pipe takes no more at once."""
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise SinkFault(
                f"cannot write to standard output: {error.strerror}", reached=len(rest) < len(lines)
            ) from None

    def moved(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Standard output is not ours to close."""
