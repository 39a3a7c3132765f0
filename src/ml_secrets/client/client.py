"""`Client`: the SDK for threads. Every rule is in the flows; this file only names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self, TypeVar

from ml_secrets.client import lookup
from ml_secrets.client.action import Blocking
from ml_secrets.client.calls import Calls
from ml_secrets.client.driver import Driver
from ml_secrets.client.embedded import EmbeddedTransport
from ml_secrets.client.events import Feed, leave, next_event
from ml_secrets.client.following import Following
from ml_secrets.client.kv_calls import Kv
from ml_secrets.client.live import LiveSecret
from ml_secrets.client.watching import Watched, following

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ml_secrets.client.events import Event
    from ml_secrets.client.live import NeededFor
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.secret import Secret
    from ml_secrets.client.wire import Transport

T = TypeVar("T")
_NEVER: Final = object()


class Client(Calls, Blocking):
    """A client of one server, as one identity. Threads may share it, and it survives a fork.

    with Client() as client:
        client.get_secret("openai/api-key").reveal()
    """

    _driver: Driver

    def _open(self) -> None:
        self._driver = Driver(self._connect)
        self.kv = Kv(self)
        self.following = Following(self)

    def _connect(self) -> Transport:
        if self.settings.embedded or not self.settings.share:
            return self._connect_alone()
        from ml_secrets.client.node.transport import shared_transport  # noqa: PLC0415 - most are alone

        return shared_transport(self.settings, self._connect_alone)

    def _connect_alone(self) -> Transport:
        if self.settings.embedded:
            return EmbeddedTransport(self.settings)
        from ml_secrets.client.transport import HttpTransport  # noqa: PLC0415 - httpx takes long to import

        return HttpTransport(self.settings)

    def renew_after_fork(self) -> None:
        """Runs in every forked child: nothing cached, no connection and no thread is inherited."""
        super().renew_after_fork()
        self.following.renew()

    def run(self, flow: Flow[T]) -> T:
        """Run a flow on this client's connection."""
        return self._driver.run(flow)

    def get_secret(
        self, name: str, *, field: str | None = None, version: int | None = None, mount: str | None = None
    ) -> Secret:
        """A secret, from the cache while it is fresh. `field` narrows it to one of its fields.

        Raises `NotFound`, `Denied`, `Unauthenticated`, `Unreachable` ...: the errors of ml_secrets.errors.
        """
        found = self._at_hand(name, field, version, mount)
        return self.run(self._asked_for(name, field, version, mount)) if found is None else found

    def live(
        self, name: str, *, field: str | None = None, mount: str | None = None, needed_for: NeededFor = None
    ) -> LiveSecret:
        """A handle that is always current: see `ml_secrets.live`. Pickled, it is one of the other process's own client."""
        return LiveSecret(self, name, field, mount, needed_for)

    def watch(self, name: str, *, mount: str | None = None) -> Iterator[Secret | None]:
        """Each state of a secret as it comes, the present one first; None when there is no such secret (any more).

        Never ends by itself: it outlasts a server that is away. A refusal (`Denied`, `Unauthenticated`) is raised.
        """
        watched = Watched(lookup.key_of(self.session, name, None, mount))
        return iter(lambda: self.run(following(self.session, watched)), _NEVER)

    def events(self, path: str = "", *, kinds: Iterable[str] = ()) -> Iterator[Event]:
        """Changes of secrets at or below `path` ("secret/team-a"; "" is everywhere), as they come; of these kinds, or of all.

        You hear of what you may read or list. Never ends by itself: it outlasts a server that is away, and says "missed"
        where it cannot know what happened meanwhile. A refusal (`Denied`, `Unauthenticated`) is raised.
        """
        feed = Feed(path, tuple(kinds))
        try:
            while True:
                yield self.run(next_event(self.session, feed))
        finally:
            self.run(leave(feed))

    def close(self) -> None:
        """Close connections, follow nothing any more, and forget what is cached."""
        self.following.stop()
        self._driver.close()
        self.session.cache.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
