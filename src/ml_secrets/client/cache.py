"""Secrets kept in this process for a while, so that a training loop may ask for one as often as it likes.

Rules
- A key is (scope, mount, name, version). The scope is a digest of server, namespace and identity, so what one identity
  was given is never served to another.
- An entry is fresh until `check_at`: the earlier of the next conditional read (where the server gave an ETag) and the
  end of its TTL, both counted from the last time the server confirmed it. After that it is a candidate for a conditional
  read, or for being served when the server cannot be reached, until `expires_at`; never longer.
- What another process was told (node/) comes with its age, which counts: both limits hold from when the server said it.
- Whoever writes says so by `forget`. That also moves `generation` on, and a value that was asked for before is not kept:
  it may have been read before the write.
- Refusals are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ml_secrets.client.secret import Secret

MOST_ENTRIES: Final = 10_000


class Key(NamedTuple):
    """What a secret is kept under. `version` None is the latest."""

    scope: str
    mount: str
    name: str
    version: int | None = None


@dataclass(slots=True)
class Entry:
    """One secret and until when it may be served. Times are of a clock that only moves forward."""

    secret: Secret
    etag: str
    check_at: float
    expires_at: float


class Cache:
    """The entries of one client. Threads may share it."""

    def __init__(self, ttl: float, revalidate: float) -> None:
        self.ttl = ttl
        self.revalidate = revalidate
        self.generation = 0
        self.entries: dict[Key, Entry] = {}
        self._lock = Lock()

    def fresh(self, key: Key, now: float) -> Secret | None:
        """The secret, when it may be served without asking the server."""
        entry = self.entries.get(key)
        return entry.secret if entry is not None and now < entry.check_at else None

    def stale(self, key: Key, now: float) -> Entry | None:
        """The entry, when its TTL has not run out."""
        entry = self.entries.get(key)
        return entry if entry is not None and now < entry.expires_at else None

    def keep(
        self, key: Key, secret: Secret, etag: str, *, now: float, generation: int, age: float = 0.0
    ) -> None:
        """Keep what the server gave to a question asked at `now`, or `age` before, unless something was written since `generation`."""
        if not self.ttl:
            return
        entry = Entry(secret, etag, *self._until(now, etag, age))
        with self._lock:
            if generation == self.generation:
                if len(self.entries) >= MOST_ENTRIES and key not in self.entries:
                    self._make_room(now)
                self.entries[key] = entry

    def postpone(self, key: Key, entry: Entry, *, now: float) -> None:
        """The server could not be asked: serve the entry a little longer, but not beyond its TTL."""
        later = Entry(
            entry.secret, entry.etag, min(now + max(self.revalidate, 1.0), entry.expires_at), entry.expires_at
        )
        with self._lock:
            if self.entries.get(key) is entry:
                self.entries[key] = later

    def _until(self, now: float, etag: str, age: float) -> tuple[float, float]:
        expires_at = now - age + self.ttl
        if not etag:
            return expires_at, expires_at
        if age > self.revalidate:  # the server could not be asked, as in `postpone`
            return min(now + max(self.revalidate, 1.0), expires_at), expires_at
        return min(now - age + self.revalidate, expires_at), expires_at

    def _make_room(self, now: float) -> None:
        for key in [key for key, entry in self.entries.items() if entry.expires_at <= now]:
            del self.entries[key]
        while len(self.entries) >= MOST_ENTRIES:
            del self.entries[next(iter(self.entries))]

    def drop(self, key: Key) -> None:
        """The server refused it: serve it no more."""
        with self._lock:
            self.entries.pop(key, None)

    def forget(self, mount: str, name: str) -> None:
        """Something was written to this secret."""
        with self._lock:
            self.generation += 1
            for key in [key for key in self.entries if key.mount == mount and key.name == name]:
                del self.entries[key]

    def forget_path(self, path: str) -> None:
        """Something was written to this API path, whatever it means: forget the mount, or all when it is none of ours."""
        with self._lock:
            self.generation += 1
            touched = [key for key in self.entries if path.startswith(key.mount + "/")]
            for key in touched or list(self.entries):
                del self.entries[key]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self.generation += 1
            self.entries.clear()

    def renew(self) -> None:
        """In a child process after a fork: nothing is inherited, and no lock is held by a thread that is not there."""
        self._lock = Lock()
        self.entries = {}
        self.generation += 1
