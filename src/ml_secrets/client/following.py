"""Keeps the live secrets of a process current: a thread for each that was looked at, which asks the server for news.

- The server keeps the question until there are some (watching.py), so a thread waits nearly always. At most `MOST` secrets are
  followed without a callback; what is beyond that is as fresh as the cache, which asks anew every few seconds.
- A thread ends with the client, and with the last handle of its secret. One whose handle has callbacks goes on without it.
- After a refusal (a right that was taken away) it asks again every `AGAIN` seconds; meanwhile who looks gets the refusal.
- A forked child follows nothing until it looks.
"""

from __future__ import annotations

import weakref
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.client import ending
from ml_secrets.client.lookup import key_of
from ml_secrets.client.watching import Watched, following
from ml_secrets.errors import MlSecretsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.client.client import Client
    from ml_secrets.client.live import LiveSecret
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.secret import Secret

MOST: Final = 50
AGAIN: Final = 30.0


class Following:
    """The secrets that one client follows."""

    def __init__(self, client: Client) -> None:
        self._client = weakref.ref(client)
        self._lock = Lock()
        self._followed: dict[tuple[str, str], _Followed] = {}

    def add(self, handle: LiveSecret) -> None:
        """Follow the handle's secret from now on."""
        client = self._client()
        if client is None:
            return
        key = key_of(client.session, handle.name, None, handle.mount)
        place = (key.mount, key.name)
        with self._lock:
            followed = self._followed.get(place)
            if followed is not None and followed.hold(handle):
                return
            if handle.callbacks or self._number() < MOST:
                followed = self._followed[place] = _Followed(client, key.mount, key.name)
                followed.hold(handle)
                followed.start()

    def _number(self) -> int:
        """How many are followed."""
        self._followed = {place: one for place, one in self._followed.items() if one.is_alive()}
        return len(self._followed)

    def stop(self) -> None:
        """Follow nothing any more."""
        with self._lock:
            for followed in self._followed.values():
                followed.stop()
            self._followed = {}

    def renew(self) -> None:
        """In a forked child: the threads are the parent's."""
        self._lock = Lock()
        self._followed = {}


class _Ended(MlSecretsError):  # noqa: N818 - a message, not an error
    """Nobody wants to know any more."""


class _Followed(Thread):
    """One secret that is followed, and the handles that want to know. It keeps those with callbacks alive."""

    def __init__(self, client: Client, mount: str, name: str) -> None:
        super().__init__(name=f"ml-secrets live {mount}/{name}", daemon=True)
        self._client = client
        self._place = (mount, name)
        self._handles: weakref.WeakSet[LiveSecret] = weakref.WeakSet()
        self._kept: list[LiveSecret] = []
        self._state: Secret | ending.Unknown | None = ending.UNKNOWN
        self._turn = Lock()
        self._stopped = Event()

    def stop(self) -> None:
        """Nobody wants to know any more."""
        self._stopped.set()

    def hold(self, handle: LiveSecret) -> bool:
        """Tell this handle, too: of what comes after the state that is known. False when this is about to end."""
        with self._turn:
            if self._stopped.is_set():
                return False
            if isinstance(handle.known(), ending.Unknown) and not isinstance(self._state, ending.Unknown):
                handle.told = handle.state(self._state)
            self._handles.add(handle)
            if handle.callbacks and not any(one is handle for one in self._kept):
                self._kept.append(handle)
            return True

    def _wanted(self) -> bool:
        """Is there still a handle? Without one this ends."""
        with self._turn:
            self._kept = [handle for handle in self._kept if handle.callbacks]
            if not self._handles:
                self._stopped.set()
            return not self._stopped.is_set()

    def run(self) -> None:
        """Follow, through whatever comes."""
        while self._wanted():
            try:
                self._follow()
            except _Ended:
                continue  # to look whether that is so, or another identity asks
            except MlSecretsError as error:
                _log("cannot be followed just now", self.name, type(error).__name__)
                self._stopped.wait(AGAIN)

    def _follow(self) -> None:
        """Tell of each state, as long as this identity asks."""
        session, (mount, name) = self._client.session, self._place
        key = key_of(session, name, None, mount)
        entry = session.cache.stale(key, session.clock())
        etag = entry.etag if entry is not None else ""
        watched = Watched(key, etag or None, etag)
        if entry is not None:
            self._tell(entry.secret)
        while True:
            flow = _while(following(session, watched), lambda: self._goes_on(key.scope))
            self._tell(self._client.run(flow))

    def _goes_on(self, scope: str) -> bool:
        return self._client.session.scope == scope and self._wanted()

    def _tell(self, secret: Secret | None) -> None:
        with self._turn:
            self._state = secret
            handles = list(self._handles)
        for handle in handles:
            shown = handle.state(secret)
            before, handle.told = handle.known(), shown
            if isinstance(before, ending.Unknown) or _same(before, shown):
                continue
            for callback in list(handle.callbacks):
                told(callback, shown, self.name)


def _same(before: Secret | None, now: Secret | None) -> bool:
    """Are the values the same? A change of metadata alone is none."""
    if before is None or now is None:
        return before is now
    return before.keys() == now.keys() and all(before[field] == now[field] for field in now)


def told(callback: Callable[[Secret | None], object], secret: Secret | None, who: str) -> None:
    """Call it. What it raises is logged by its kind, and stops nothing."""
    try:
        callback(secret)
    except Exception as error:  # noqa: BLE001 - somebody else's code; its message may hold the value
        _log("a callback failed", who, type(error).__name__)


def _while(flow: Flow[Any], goes_on: Callable[[], bool]) -> Flow[Any]:
    """The flow, up to the first step at which nobody wants it any more: then `_Ended`."""
    result: Any = None
    failure: MlSecretsError | None = None
    while True:
        try:
            step = flow.send(result) if failure is None else flow.throw(failure)
        except StopIteration as stop:
            return stop.value
        if not goes_on():
            flow.close()
            raise _Ended
        result, failure = None, None
        try:
            result = yield step
        except MlSecretsError as error:
            failure = error.with_traceback(None)


def _log(text: str, who: str, what: str) -> None:
    import logging  # noqa: PLC0415 - only when there is something to say

    logging.getLogger("ml_secrets").warning("%s: %s (%s)", who, text, what)
