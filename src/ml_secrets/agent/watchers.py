"""Following secrets one by one, for tokens that may read them and may not listen to events.

A thread for each asks the server for news, and waits (client/watching.py).
"""

from __future__ import annotations

import random
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.gather import key_of
from ml_secrets.client.watching import Watched, following
from ml_secrets.errors import MlSecretsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ml_secrets.agent.reference import Reference
    from ml_secrets.client import Client

MOST: Final = 60
"""Each holds a connection, and a client has a hundred."""
_AGAIN: Final = 30.0


class Watchers:
    """Those of one source. `changed(path)` is called in the thread that saw it; for each path once at the start."""

    def __init__(self, client: Client, changed: Callable[[str], None], over: Event) -> None:
        self._client = client
        self._changed = changed
        self._over = over
        self._threads: dict[str, _Watcher] = {}

    def tend(self, references: Iterable[Reference]) -> None:
        """See that these are followed."""
        for reference in references:
            known = self._threads.get(reference.path)
            if (known is None or not known.is_alive()) and len(self._threads) < MOST:
                self._threads[reference.path] = _Watcher(self._client, reference, self._changed, self._over)
                self._threads[reference.path].start()

    @property
    def hear(self) -> bool:
        """Is the server there, for each of them?"""
        return all(one.watched is not None and not one.watched.failures for one in self._threads.values())

    def follow(self, references: Iterable[Reference]) -> bool:
        """Would each of these be heard of at once? Else somebody has to ask now and then."""
        threads = [self._threads.get(reference.path) for reference in references]
        return all(one is not None and one.waits for one in threads)


class _Watcher(Thread):
    def __init__(
        self, client: Client, reference: Reference, changed: Callable[[str], None], over: Event
    ) -> None:
        super().__init__(name=f"ml-secrets watch {reference.path}", daemon=True)
        self._client = client
        self._reference = reference
        self._changed = changed
        self._over = over
        self.watched: Watched | None = None
        self.waits = True

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self._follow()
            except MlSecretsError:  # told of by who fetches it
                self._over.wait(_AGAIN * (0.5 + random.SystemRandom().random()))

    def _follow(self) -> None:
        session = self._client.session
        watched = self.watched = Watched(self._client.run(key_of(session, self._reference)))
        while not self._over.is_set():
            secret = self._client.run(following(session, watched))
            self.waits = secret is None or bool(watched.etag)
            if not self._over.is_set():
                self._changed(self._reference.path)
