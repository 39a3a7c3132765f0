"""`AsyncClient`: the same for tasks. It drives the same flows, so it has no rules of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from ml_secrets.client import lookup
from ml_secrets.client.action import Awaited
from ml_secrets.client.aio_driver import AsyncDriver, Threaded
from ml_secrets.client.calls import Calls
from ml_secrets.client.embedded import EmbeddedTransport
from ml_secrets.client.events import Feed, leave, next_event
from ml_secrets.client.kv_calls import AsyncKv
from ml_secrets.client.live import AsyncLiveSecret
from ml_secrets.client.watching import Watched, following

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from ml_secrets.client.events import Event
    from ml_secrets.client.live import NeededFor
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.secret import Secret
    from ml_secrets.client.wire import AsyncTransport

T = TypeVar("T")


class AsyncClient(Calls, Awaited):
    """A client of one server, as one identity. Tasks may share it, and so may event loops.

    async with AsyncClient() as client:
        (await client.get_secret("openai/api-key")).reveal()
    """

    _driver: AsyncDriver

    def _open(self) -> None:
        self._driver = AsyncDriver(self._connect)
        self.kv = AsyncKv(self)

    def _connect(self) -> AsyncTransport:
        if self.settings.embedded or not self.settings.share:
            return self._connect_alone()
        from ml_secrets.client.node.aio import shared_transport  # noqa: PLC0415 - most are alone

        return shared_transport(self.settings, self._connect_alone)

    def _connect_alone(self) -> AsyncTransport:
        if self.settings.embedded:
            return Threaded(lambda: EmbeddedTransport(self.settings))
        from ml_secrets.client.transport import AsyncHttpTransport  # noqa: PLC0415 - httpx takes long to import

        return AsyncHttpTransport(self.settings)

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow on this client's connection."""
        return await self._driver.run(flow)

    async def get_secret(
        self, name: str, *, field: str | None = None, version: int | None = None, mount: str | None = None
    ) -> Secret:
        """A secret, from the cache while it is fresh. `field` narrows it to one of its fields.

        Raises `NotFound`, `Denied`, `Unauthenticated`, `Unreachable` ...: the errors of ml_secrets.errors.
        """
        found = self._at_hand(name, field, version, mount)
        return await self.run(self._asked_for(name, field, version, mount)) if found is None else found

    def live(
        self, name: str, *, field: str | None = None, mount: str | None = None, needed_for: NeededFor = None
    ) -> AsyncLiveSecret:
        """A handle that is always current, to be awaited."""
        return AsyncLiveSecret(self, name, field, mount, needed_for)

    def watch(self, name: str, *, mount: str | None = None) -> AsyncIterator[Secret | None]:
        """Each state of a secret as it comes, the present one first; None when there is no such secret (any more).

        Never ends by itself: it outlasts a server that is away. A refusal (`Denied`, `Unauthenticated`) is raised.
        """
        watched = Watched(lookup.key_of(self.session, name, None, mount))
        return self._watch(watched)

    async def _watch(self, watched: Watched) -> AsyncIterator[Secret | None]:
        while True:
            yield await self.run(following(self.session, watched))

    async def events(self, path: str = "", *, kinds: Iterable[str] = ()) -> AsyncIterator[Event]:
        """Changes of secrets at or below `path` ("secret/team-a"; "" is everywhere), as they come; of these kinds, or of all.

        You hear of what you may read or list. Never ends by itself: it outlasts a server that is away, and says "missed"
        where it cannot know what happened meanwhile. A refusal (`Denied`, `Unauthenticated`) is raised.
        """
        feed = Feed(path, tuple(kinds))
        try:
            while True:
                yield await self.run(next_event(self.session, feed))
        finally:
            await self.run(leave(feed))

    async def close(self) -> None:
        """Close this event loop's connections and forget what is cached."""
        await self._driver.close()
        self.session.cache.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
