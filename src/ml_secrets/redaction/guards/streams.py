"""`sys.stdout` and `sys.stderr`: what Python writes there, also a value that comes in several writes.

Held back is at most what may still become a value, and only until the line ends or somebody flushes. Not seen: what is written past these two objects, by
C libraries, child processes and `os.write`. `ml-secrets run` masks those.
"""

from __future__ import annotations

import codecs
import os
import sys
from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ml_secrets.detect.mask import Mask
from ml_secrets.redaction.known import KNOWN
from ml_secrets.redaction.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ml_secrets.redaction.leaks import Clean


def guard(clean: Clean) -> Callable[[], None]:
    """Put it on; gives what takes it off."""
    patches = Patches()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Text):
            patches.swap(sys, name, Text(stream, clean, f"sys.{name}"))
    return patches.take_off


class _Guarded:
    """Everything but writing is the stream's own."""

    def __init__(self, stream: Any, clean: Clean, where: str) -> None:
        self._stream, self._clean, self._where = stream, clean, where
        self._mask = Mask(KNOWN)
        self._told: dict[str, int] = {}
        self._lock = RLock()
        _ALL.add(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Any:
        return iter(self._stream)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.flush()

    def flush(self) -> None:
        """Let go of what is held back."""
        with self._lock:
            self._put(self._mask.flush())
            self._stream.flush()

    def writelines(self, lines: Iterable[Any]) -> None:
        """One after another."""
        for line in lines:
            self.write(line)

    def write(self, data: Any) -> int:
        """What may go out by now."""
        raise NotImplementedError

    def renew(self) -> None:
        """In a forked child."""
        self._lock = RLock()

    def _take(self, data: bytes) -> None:
        ready = self._mask.feed(data)
        if data.endswith((b"\n", b"\r")):
            ready += self._mask.flush()
        self._put(ready)

    def _put(self, data: bytes) -> None:
        found = dict(self._mask.found_by_name)
        new = {name for name, count in found.items() if count > self._told.get(name, 0)}
        self._told = found
        self._clean.found(new, self._where)
        if data:  # a kernel's streams take none at its end, when they are still flushed
            self._pass(data)

    def _pass(self, data: bytes) -> None:
        self._stream.write(data)


class Text(_Guarded):
    """A stream of text."""

    def __init__(self, stream: Any, clean: Clean, where: str) -> None:
        super().__init__(stream, clean, where)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")
        buffer = getattr(stream, "buffer", None)
        if buffer is not None:
            self.buffer = Binary(buffer, clean, where)

    def write(self, data: str) -> int:
        """What may go out by now."""
        with self._lock:
            self._take(data.encode("utf-8", "surrogatepass"))
        return len(data)

    def _pass(self, data: bytes) -> None:
        self._stream.write(self._decoder.decode(data))


class Binary(_Guarded):
    """What lies under a stream of text."""

    def write(self, data: Any) -> int:
        """What may go out by now."""
        with self._lock:
            self._take(bytes(data))
        return len(data)


_ALL: WeakSet[_Guarded] = WeakSet()


def _renew() -> None:
    for each in list(_ALL):
        each.renew()


os.register_at_fork(after_in_child=_renew)
