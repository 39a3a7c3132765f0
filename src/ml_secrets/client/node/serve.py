"""The process that asks for all, at work: it ends when nobody has been connected for a while."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final

from ml_secrets.client.messages import Request
from ml_secrets.client.node.leases import KINDS, Leases
from ml_secrets.client.node.memory import Memory, key_of
from ml_secrets.client.node.words import FAULTS, HEAD, LOST, Ask, Told, is_ours, length_of, packed, unpacked
from ml_secrets.client.transport import AsyncHttpTransport
from ml_secrets.errors import MlSecretsError
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    import socket

    from ml_secrets.client.settings import Settings

_ROUND: Final = 0.5


async def serve(listening: socket.socket, settings: Settings, linger: float, *, heir: bool) -> None:
    """Serve until nobody has been connected for `linger` seconds, and what was made for them is ended. `heir`: of one that was killed."""
    house = _House(settings, linger, heir=heir)
    server = await asyncio.start_unix_server(house.meet, sock=listening)
    async with server:
        while house.wanted():
            await asyncio.sleep(_ROUND)
            house.memory.sweep()
            house.leases.tidy()


class _House:
    """Who is connected, and what is known."""

    def __init__(self, settings: Settings, linger: float, *, heir: bool) -> None:
        self._linger = linger
        self._settings = settings
        self._transport: AsyncHttpTransport | None = None
        clock, draw = time.monotonic, random.SystemRandom().random
        self.memory = Memory(self._send, clock=clock, draw=draw)
        self.leases = Leases(self._send, key_of, clock=clock, draw=draw, linger=linger, heir=heir)
        self._guests = 0
        self._alone_since = time.monotonic()

    def wanted(self) -> bool:
        """Is anybody there, or was a moment ago?"""
        lately = time.monotonic() < self._alone_since + self._linger
        return self._guests > 0 or lately or self.leases.wanted

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        self._guests += 1
        try:
            if is_ours(writer.get_extra_info("socket")):
                await self._talk(reader, writer)
        except (OSError, EOFError, ValueError):
            pass  # it went, or is none of us
        finally:
            self._guests -= 1
            self.leases.gone(writer)
            self._alone_since = time.monotonic()
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length = length_of(await reader.readexactly(HEAD.size))
            ask: Ask = unpacked(await reader.readexactly(length), Ask)
            told = await (self.leases.ask(ask, writer) if ask.kind in KINDS else self.memory.ask(ask))
            writer.write(packed(told))
            await writer.drain()

    async def _send(self, ask: Ask) -> Told:
        """To the server, once."""
        try:
            if self._transport is None:
                self._transport = AsyncHttpTransport(self._settings)
            response = await self._transport.send(_request(ask))
        except MlSecretsError as error:
            kind = next((kind for kind, fault in FAULTS.items() if isinstance(error, fault)), LOST)
            return Told(fault=kind, text=error.message, hint=error.hint)
        return Told(response.status, dict(response.headers), response.body.reveal_bytes())


def _request(ask: Ask) -> Request:
    body = Sensitive(ask.body) if ask.body else None
    return Request(ask.method, ask.path, ask.query, ask.headers, body, timeout=ask.timeout)
