"""Bodies of requests: how large, how slow, and how many of them at a time.

- A body is at most as large as its listener takes and must arrive within `DEADLINE` seconds.
- More than `SMALL` bytes are taken only from callers who are known: a stranger's login needs no megabyte.
- All bodies together hold at most `ROOM` bytes, those of small requests and of large ones apart, so that neither
  strangers nor a few bulk writers use up the memory, or each other's share of it.
- A client that goes away before the end of its body is dropped, and nothing is done with half a request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.errors import Limited, TooLarge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

DEADLINE: Final = 10.0
SMALL: Final = 1024 * 1024
ROOM: Final = 128 * 1024 * 1024


class Gone(Exception):  # noqa: N818 - a signal, not an error of anyone's
    """The client left, or was too slow, before its request was whole."""


class Bodies:
    """The bodies being read or worked on. Used on the event loop only."""

    def __init__(self) -> None:
        self._small = 0
        self._large = 0

    def arrival(self, most: int, known: Callable[[], bool]) -> Arrival:
        """A body that may come. `known` tells whether its sender is one of ours; it is asked only when that matters."""
        return Arrival(self, most, known)

    def move(self, *, small: int = 0, large: int = 0) -> None:
        """Count bytes in (or, below zero, out). Raises `Limited` when there is no room for them."""
        if (small > 0 and self._small + small > ROOM) or (large > 0 and self._large + large > ROOM):
            raise Limited("the server is busy", hint="try again in a moment", retry_after=1)
        self._small += small
        self._large += large


class Arrival:
    """One body, from its first byte until its request is answered (`release`)."""

    def __init__(self, bodies: Bodies, most: int, known: Callable[[], bool]) -> None:
        self._bodies = bodies
        self._most = most
        self._known = known
        self._size = 0
        self._is_large = False

    def announce(self, length: int) -> None:
        """The client says how long it will be. Raises `TooLarge` at once where that is too long."""
        if length > self._most:
            raise _too_large(self._most)
        if length > SMALL and not self._known():
            raise _too_large(SMALL)

    async def read(self, receive: Receive, length: int | None, came: bytes | None = None) -> bytes:
        """The whole body, which may have come already. Raises `Gone` for one that does not come, `TooLarge` or `Limited` for one that may not."""
        if came is None:
            came = await self._receive(receive)
        else:
            self._take(len(came))
        if length is not None and self._size != length:
            raise Gone
        return came

    async def _receive(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    event = await receive()
                    if event["type"] != "http.request":
                        raise Gone
                    part = event.get("body", b"")
                    self._take(len(part))
                    parts.append(part)
                    if not event.get("more_body", False):
                        break
        except TimeoutError:
            raise Gone from None
        return b"".join(parts)

    def release(self) -> None:
        """The request is answered."""
        held, self._size = self._size, 0
        if not held:
            return
        if self._is_large:
            self._bodies.move(large=-held)
        else:
            self._bodies.move(small=-held)

    def _take(self, more: int) -> None:
        self.announce(self._size + more)
        if self._is_large:
            self._bodies.move(large=more)
        elif self._size + more > SMALL:
            self._bodies.move(large=self._size + more)
            self._bodies.move(small=-self._size)
            self._is_large = True
        else:
            self._bodies.move(small=more)
        self._size += more


def _too_large(most: int) -> TooLarge:
    return TooLarge("the body is too large", hint=f"send at most {most} bytes")
