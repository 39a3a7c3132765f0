"""Where records go. One file a kind; each is a `Sink` of four methods.

A sink takes whole lines in one call, and says what became of them when it fails: `SinkFault.reached` is True when some of it may
have arrived (a stream that broke), False when nothing did (a full disk, after the file was cut back).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class SinkFault(Exception):  # noqa: N818 - named like the faults of errors.py
    """A sink cannot write. The text is for the operator: it names the place and the system's reason, never a record."""

    def __init__(self, message: str, *, reached: bool = False) -> None:
        super().__init__(message)
        self.reached = reached


@dataclass(slots=True)
class Begin:
    """What a sink found when it was opened: `empty`, or the last line there; and how many torn bytes were cut off."""

    empty: bool = True
    last: bytes = b""
    repaired: int = 0


class Sink(Protocol):
    """One place to write."""

    def open(self) -> Begin:
        """Open, or connect. Raises `SinkFault`. Called again after a failure, and after `moved` said True."""

    def write(self, lines: bytes) -> None:
        """Write whole lines, all or nothing as far as the place allows. Raises `SinkFault`; the next call is `open`."""

    def moved(self) -> bool:
        """The place was replaced behind our back (a rotated file)."""

    def close(self) -> None:
        """Let go. Idempotent."""
