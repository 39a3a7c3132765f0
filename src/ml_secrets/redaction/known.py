"""The values that this process was handed out. The SDK tells of each (`hand_out`), and a program of those that it has from elsewhere (`know`).

Rules
- Until somebody watches, nothing is computed and nothing kept: a source is only remembered weakly, so no value lives longer for it.
- From `watch` on values are fingerprints: at once of every source that is still alive, then of each new one.
- A value that was dropped by everybody before `watch` is not known. So watch early.
- The last ten thousand values are known, and up to as many of those before them; each is known anew when it is read again.
- A forked child knows what its parent knew.
"""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Lock
from weakref import WeakSet

TYPE_CHECKING = False  # as in ml_secrets/__init__.py: the client imports this module
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final, Protocol

    from ml_secrets.detect.table import Span
    from ml_secrets.redaction.fingerprints import Fingerprints
    from ml_secrets.sensitive import Sensitive

    class Source(Protocol):
        """What holds values, each with a name that may be shown."""

        def handed(self) -> Iterable[tuple[str, Sensitive]]: ...


MOST: Final = 10_000


class Known:
    """What is known, in two generations: when the younger is full, the older is forgotten."""

    def __init__(self, most: int = MOST) -> None:
        self.watching = False
        self._most = most
        self._sources: WeakSet[Source] = WeakSet()
        self._lock = Lock()
        self._generations: tuple[Fingerprints, ...] = ()

    def hand_out(self, source: Source) -> None:
        """This process got these values."""
        if self.watching:
            self.know(source.handed())
        else:
            with self._lock:
                self._sources.add(source)

    def watch(self) -> None:
        """From now on values are known. Those of living sources, too."""
        with self._lock:
            sources, self._sources, self.watching = list(self._sources), WeakSet(), True
        for source in sources:
            self.know(source.handed())

    def know(self, values: Iterable[tuple[str, Sensitive]]) -> None:
        """These values, by their names."""
        with self._lock:
            for name, value in values:
                with suppress(ValueError):  # text without UTF-8, which no stream takes either
                    self._young().add(value.reveal_bytes(), name)

    def forget(self) -> None:
        """Nothing is known any more, and nobody watches."""
        with self._lock:
            self.watching, self._generations = False, ()

    def search(self, data: bytes) -> tuple[list[Span], int]:
        """See `Fingerprints.search`."""
        found = [each.search(data) for each in self._generations]
        return sorted(span for spans, _ in found for span in spans), min(
            (at for _, at in found), default=len(data)
        )

    def telling(self, beginning: bytes) -> bool:
        """See `Fingerprints.telling`."""
        return any(each.telling(beginning) for each in self._generations)

    def __len__(self) -> int:
        return sum(map(len, self._generations))

    def renew(self) -> None:
        """In a forked child: no lock is held by a thread that is not there."""
        self._lock = Lock()

    def _young(self) -> Fingerprints:
        if not self._generations or len(self._generations[0]) >= self._most:
            from ml_secrets.redaction.fingerprints import Fingerprints  # noqa: PLC0415 - only for who watches

            self._generations = (Fingerprints(), *self._generations[:1])
        return self._generations[0]


KNOWN: Final = Known()
hand_out: Final = KNOWN.hand_out
os.register_at_fork(after_in_child=KNOWN.renew)
