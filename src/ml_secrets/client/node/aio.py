"""The same as transport.py for tasks of one event loop."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from ml_secrets.client.node.place import place_for
from ml_secrets.client.node.reach import connected, reach
from ml_secrets.client.node.transport import (
    FORGET_SECONDS,
    Meeting,
    ask_of,
    changes,
    forgetting,
    response_of,
    say_alone,
    too_slow,
)
from ml_secrets.client.node.words import HEAD, Ask, Told, length_of, packed, unpacked
from ml_secrets.client.wire import frameless

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ml_secrets.client.messages import Request, Response, Shared
    from ml_secrets.client.settings import Settings
    from ml_secrets.client.wire import AsyncTransport

    Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def shared_transport(settings: Settings, usual: Callable[[], AsyncTransport]) -> AsyncTransport:
    """The transport of a process that asks together with others; the usual one where they cannot meet."""
    place = place_for(settings)
    return usual() if place is None else AsyncSharedTransport(place, settings, usual)


class AsyncSharedTransport(Meeting["AsyncTransport", "Streams"]):
    """For one event loop."""

    async def send(self, request: Request) -> Response:
        """The server's answer, whoever asked for it. Raises `NotSent` or `Lost`."""
        shared = self._to_share(request)
        if shared is not None:
            answer = await self._asked(request, shared)
            if answer is not None:
                return answer
        try:
            return await self._the_usual().send(request)
        finally:
            if changes(request):
                await self._forget(request.path)

    async def _asked(self, request: Request, shared: Shared) -> Response | None:
        """The answer; None where nobody asks for all."""
        handled = sys.exception()
        try:
            async with asyncio.timeout(request.timeout):
                told = await self._ask(request, shared)
        except TimeoutError:
            self._leave_alone()
            failure = too_slow(self._settings.address)
        except BaseException as error:  # noqa: BLE001 - it goes on, without its frames
            raise frameless(error, handled)  # noqa: B904 - it is the same error
        else:
            return None if told is None else response_of(told)
        raise frameless(failure, handled)

    async def _ask(self, request: Request, shared: Shared) -> Told | None:
        ends = time.monotonic() + request.timeout
        while True:
            streams = self._idle.pop() if self._idle else await self._reached(ends - time.monotonic())
            if streams is None:
                self._leave_alone()
                say_alone()
                return None
            told = await self._exchange(streams, ask_of(request, shared, self._settings.namespace, ends))
            if told is not None:
                return told

    async def _reached(self, seconds: float) -> Streams | None:
        found = connected(self._place)
        if found is None:
            found = await asyncio.to_thread(reach, self._place, self._settings, seconds)
        return None if found is None else await _streams(found)

    async def _exchange(self, streams: Streams, ask: Ask) -> Told | None:
        """What is said to it; None where it is gone."""
        reader, writer = streams
        kept = False
        try:
            writer.write(packed(ask))
            await writer.drain()
            length = length_of(await reader.readexactly(HEAD.size))
            told: Told = unpacked(await reader.readexactly(length), Told)
            kept = True
        except (OSError, EOFError):
            return None
        finally:
            if kept:
                self._idle.append(streams)
            else:
                writer.close()
        return told

    async def _forget(self, path: str) -> None:
        found = None if self._idle else connected(self._place)
        streams = self._idle.pop() if self._idle else found and await _streams(found)
        if streams:
            try:
                async with asyncio.timeout(FORGET_SECONDS):
                    await self._exchange(streams, forgetting(path))
            except TimeoutError:
                self._leave_alone()

    async def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop()[1].close()
        if self._usual is not None:
            await self._usual.close()


async def _streams(opened: socket.socket) -> Streams:
    return await asyncio.open_unix_connection(sock=opened)
