"""One audit device: its hashes, its chain and its sink. Thread-safe: reads come from the event loop, writes from threads."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from typing import TYPE_CHECKING, Final

from ml_secrets.audit.chain import Chain
from ml_secrets.audit.sinks import Begin, SinkFault
from ml_secrets.domain.audit_chain import Head, head_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_secrets.audit.entry import Scribe
    from ml_secrets.audit.hashing import Hasher
    from ml_secrets.audit.options import DeviceRow
    from ml_secrets.audit.sinks import Sink

_LOOK_AGAIN: Final = 1.0


class Device:
    """Writes records. `failure` says why it could not, last time it tried; "" when it could."""

    def __init__(
        self,
        row: DeviceRow,
        sink: Sink,
        *,
        hasher: Hasher,
        scribe: Scribe,
        verification_key: bytes,
        random: Callable[[int], bytes],
    ) -> None:
        self.row = row
        self.hasher = hasher
        self.scribe = scribe
        self.failure = ""
        self._sink = sink
        self._chain = Chain(verification_key, random)
        self._lock = threading.Lock()
        self._found: Begin | None = None
        self._repaired = 0
        self._lost: Head | None = None
        self._open = False
        self._closed = False
        self._fresh = True
        self._look_at = 0.0

    @property
    def head(self) -> Head:
        """The end of its chain."""
        with self._lock:
            return self._chain.head

    def write(self, records: Sequence[bytes], now: float, time: bytes) -> None:
        """Append records (none: only make sure that it can). Raises `SinkFault`, having written nothing of them as far as it can tell."""
        with self._lock:
            just_opened = not self._open
            if just_opened:
                self._connect()
            elif not self._look_at - _LOOK_AGAIN <= now < self._look_at:
                self._look(now)
            try:
                self._append(records, now, time)
            except SinkFault:
                if just_opened:
                    raise
                self._connect()
                self._append(records, now, time)

    def follow(self) -> None:
        """Go on in a new file where the old one was moved away. Raises `SinkFault`, and stays with the old one."""
        with self._lock:
            if self._open and self._sink.moved():
                self._connect(keep=True)

    def close(self) -> None:
        """Let go of the sink and forget the chain's key. Who still holds this device writes nothing with it."""
        with self._lock:
            self._sink.close()
            self._open, self._closed = False, True
            self._chain.forget()

    def _look(self, now: float) -> None:
        """Once a second: is the sink still in its place?"""
        self._look_at = now + _LOOK_AGAIN
        if self._sink.moved():
            with contextlib.suppress(
                SinkFault
            ):  # the new place cannot be had: the old one still takes records
                self._connect(keep=True)

    def _connect(self, *, keep: bool = False) -> None:
        """Open the sink, and carry the chain on from what lies there. With `keep` a failure leaves the old one in use."""
        if self._closed:
            raise SinkFault("it is closed")
        self._open = self._open and keep
        found = self._sink.open()
        self._open = True
        known = self._chain.head
        if not found.empty:
            there = head_of(found.last) or Head(known.seq, hashlib.sha256(found.last).hexdigest())
            if known.seq and there != known:
                self._lost = known
            self._chain.at = there.seq, there.hash
        self._found = found
        self._repaired += found.repaired

    def _append(self, records: Sequence[bytes], now: float, time: bytes) -> None:
        chain, before, opening = self._chain, self._chain.at, b""
        if self._found is not None or now >= chain.ends:
            opening = self._opening(now, time)
        elif not records:
            return
        lines = opening + chain.seal(records)
        try:
            self._sink.write(lines)
        except SinkFault as fault:
            if not fault.reached:
                chain.at = before
            self._open = False
            raise
        if opening:
            self._found, self._repaired, self._lost = None, 0, None

    def _opening(self, now: float, time: bytes) -> bytes:
        """The line that opens the next segment, or the first one in this place."""
        chain, found = self._chain, self._found or Begin(empty=False)
        if not self._fresh:
            chain.turn()
        self._fresh = False
        return chain.opening(now, time.decode(), begins=found.empty, repaired=self._repaired, lost=self._lost)
