"""The secrets in hand, each whole, as the server has them.

- A secret is fetched when somebody first asks for it, together with what else is asked for then.
- The server tells of changes (events); what they are about is fetched anew. Everything is, when that begins and whenever
  the server cannot say what was missed. Who may not listen to events follows each secret for itself (watchers.py), and so do those
  who ask together with others, as one wait is for all of them. A server that can do neither is asked every `poll` seconds.
- While the server is away, what is in hand stays. `age` says for how long nobody knows whether it still holds.
- One secret that is gone or refused keeps its last state; it does not keep the others from being fetched.
- Nothing that happens in there ends the following.
"""

from __future__ import annotations

import random
import time
from threading import Event, Lock, RLock, Thread
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.gather import gather
from ml_secrets.agent.reference import Reference
from ml_secrets.agent.telling import told_of
from ml_secrets.agent.watchers import Watchers
from ml_secrets.client.events import ALIVE, MISSED, READY, Feed, leave, next_event
from ml_secrets.errors import Denied, Fault, Incomplete, Limited, MlSecretsError, Sealed, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ml_secrets.agent.gather import Value
    from ml_secrets.client import Client
    from ml_secrets.client.events import Event as Change

PASSING: Final = (Fault, Limited, Sealed)
_AGAIN: Final = 5.0
_LONGEST: Final = 30.0
_SETTLES: Final = 0.5


class Source:
    """What was fetched. Threads may share it."""

    def __init__(self, client: Client, values: Mapping[Reference, Value] | None = None) -> None:
        self.client = client
        self.values: dict[Reference, Value] = dict(values or {})
        self.refused: dict[Reference, MlSecretsError] = {}
        self._lock = RLock()

    def fetch(self, references: Iterable[Reference]) -> set[Reference]:
        """Have these as they are now. Gives those that changed. Raises what is passing; what is refused is in `refused`."""
        wanted = list(dict.fromkeys(references))
        found, refused = self._gathered(wanted)
        with self._lock:
            for reference in wanted:
                self.refused.pop(reference, None)
            self.refused.update(refused)
            changed = {
                one for one, value in found.items() if one not in self.values or self.values[one] != value
            }
            self.values.update(found)
        return changed

    def _gathered(
        self, wanted: list[Reference]
    ) -> tuple[dict[Reference, Value], dict[Reference, MlSecretsError]]:
        try:
            return gather(self.client, wanted), {}
        except Incomplete as error:
            told = error.errors
        passing = next((one for one in told.values() if isinstance(one, PASSING)), None)
        if passing is not None:
            raise passing
        refused = {one: told[str(one)] for one in wanted if str(one) in told}
        rest = [one for one in wanted if one not in refused]
        return (gather(self.client, rest) if rest else {}), refused

    def moving(self, places: set[str] | None) -> list[Reference]:
        """Those that may have changed, in these places or anywhere: not what names its version, and was had."""
        with self._lock:
            known = dict.fromkeys([*self.values, *self.refused])
        return [
            one
            for one in known
            if (places is None or one.path in places) and (one.version is None or one in self.refused)
        ]


class Follower(Thread):
    """Keeps a source current.

    In this thread `heard` gets each change, or None for "anything may have changed"; then `changed(references)` those of the
    source whose values are others now: again, until it raises nothing that is passing; then `looked()` hears that all was fetched.
    `folder`: all that is of interest is in there. `after`: seconds before it begins. `each`: without events, each secret for itself.
    """

    def __init__(
        self,
        source: Source,
        folder: str,
        *,
        poll: float,
        changed: Callable[[set[Reference]], None],
        told: Callable[[str], None],
        heard: Callable[[Change | None], None] = lambda _: None,
        looked: Callable[[], None] = lambda: None,
        after: float = 0.0,
        each: bool = False,
    ) -> None:
        super().__init__(name="ml-secrets follower", daemon=True)
        self._source = source
        self._folder = folder
        self._poll = poll
        self._changed = changed
        self._heard = heard
        self._looked = looked
        self._told = told
        self._after = after
        self._each = each
        self._over = Event()
        self._feed: Feed | None = None
        self._polls = False
        self._watchers: Watchers | None = None
        self._turn = Lock()
        self._confirmed = time.monotonic()
        self._trouble = ""
        self._draw = random.SystemRandom().random

    @property
    def by(self) -> str:
        """How changes are heard of: "events", "watch", "poll", or "" while the server is away or refuses."""
        if self._trouble or not (self._polls or self._hears()):
            return ""
        return "poll" if self._polls else "events" if self._watchers is None else "watch"

    def _hears(self) -> bool:
        if self._watchers is not None:
            return self._watchers.hear
        return self._feed is not None and self._feed.stream is not None

    def age(self) -> float:
        """For how many seconds nobody has known whether what is in hand still holds."""
        now = time.monotonic()
        if self._hears() and not self._trouble:
            self._confirmed = now
        return now - self._confirmed

    def stop(self) -> None:
        """Follow nothing any more. It ends with the server's next sign of life, which is not acted on."""
        self._over.set()

    def run(self) -> None:
        """Follow until stopped, through whatever comes."""
        failures = 0
        self._over.wait(self._after)
        while not self._over.is_set():
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 - nobody else would go on
                self._say(error)
            failures = failures + 1 if self._trouble else 1
            self._over.wait(self._draw() * min(_LONGEST, 2.0 ** min(failures, 10)))

    def _follow(self) -> None:
        watchers, self._watchers = self._watchers, None
        try:
            if not self._each:
                self._listen()
                return
        except Unsupported:
            self._ask_now_and_then(None)
            return
        except Denied:
            pass
        self._ask_now_and_then(watchers or Watchers(self._source.client, self._saw, self._over))

    def _listen(self) -> None:
        client = self._source.client
        feed = self._feed = Feed(self._folder, (), tells_ready=True, tells_alive=True)
        try:
            while not self._over.is_set():
                events = [client.run(next_event(client.session, feed)), *feed.waiting]
                feed.waiting.clear()  # what they tell of happened before we ask
                if events[0].kind != ALIVE and not self._over.is_set():
                    self._act(events)
        finally:
            client.run(leave(feed))

    def _act(self, events: list[Change]) -> None:
        everything = any(event.kind in (READY, MISSED) or not event.path for event in events)
        for event in [None] if everything else events:
            self._heard(event)
        self._look(None if everything else {f"{event.mount}/{event.path}" for event in events})

    def _ask_now_and_then(self, watchers: Watchers | None) -> None:
        """Without events: what is not followed is asked for."""
        self._watchers, self._feed = watchers, None
        while not self._over.is_set():
            moving = self._source.moving(None)
            if watchers is not None:
                watchers.tend(moving)
                self._over.wait(_SETTLES)
            self._polls = watchers is None or not watchers.follow(moving)
            if self._polls:
                self._heard(None)
                self._look(None)
            self._over.wait(self._poll * (0.8 + 0.2 * self._draw()) if self._polls else 1.0)

    def _saw(self, path: str) -> None:
        self._heard(None)
        self._look({path})

    def _look(self, places: set[str] | None) -> None:
        """Fetch anew what is there, or all; as often as it takes. One thread at a time."""
        with self._turn:
            self._fetch(places)

    def _fetch(self, places: set[str] | None) -> None:
        failures, changed = 0, set[Reference]()
        while not self._over.is_set():
            try:
                changed |= self._source.fetch(self._source.moving(places))
                if changed:
                    self._changed(changed)
                self._looked()
            except PASSING as error:
                failures += 1
                self._say(error)
                self._over.wait(0.1 + self._draw() * min(_AGAIN, 0.25 * 2.0 ** min(failures, 10)))
                continue
            self._trouble = ""
            self._confirmed = time.monotonic()
            return

    def _say(self, error: Exception) -> None:
        """Tell of it once, until it is another."""
        text = told_of(error)
        if self._trouble != text:
            self._trouble = text
            self._told(text)
