"""Sockets: one for each listener, all inside this process and on its event loop.

Why one process: it owns the store, so a supervisor with worker processes would only add a second copy of the program, and
a restart of its worker would seal a Shamir store. To reload TLS files, the next server takes over the socket that listens;
connections that are there, and those that wait to be accepted, stay.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import TYPE_CHECKING, Final

from ml_secrets.errors import Invalid
from ml_secrets.server.config import host_and_port
from ml_secrets.server.http1.connection import Connection
from ml_secrets.server.http1.connections import Connections
from ml_secrets.server.tls import context_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_secrets.server.asgi import Edge
    from ml_secrets.server.config import Listener

BACKLOG: Final = 4096
_LINGER: Final = 10.0
_HANDSHAKE: Final = 10.0
_log: Final = logging.getLogger("ml_secrets.server")


class Listening:
    """The listeners of one server. Make it, and call every method, on the event loop."""

    def __init__(self, edge: Edge, listeners: Sequence[Listener]) -> None:
        self._edge = edge
        self._listeners = list(listeners)
        self._connections = Connections(edge.recall)
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._reloading = asyncio.Lock()
        self._stopped = asyncio.Event()

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve until `stop`. `ready` is called once every socket listens. Raises `Invalid` for an address in use."""
        try:
            self._sockets = [_bound(listener.address) for listener in self._listeners]
            for listener, bound in zip(self._listeners, self._sockets, strict=True):
                self._servers.append(await self._begin(listener, bound))
            ready()
            await self._stopped.wait()
        finally:
            for server in self._servers:
                server.close()
            for bound in self._sockets:
                bound.close()
        self._edge.hush()
        await self._connections.stop(_LINGER)

    def stop(self) -> None:
        """Take no more connections, finish the requests in flight, and let `serve` return."""
        self._stopped.set()

    async def reload(self) -> None:
        """Read the TLS files again. Files that cannot be used are logged, and the old ones stay in use."""
        async with self._reloading:
            for number, listener in enumerate(self._listeners):
                if listener.tls_cert_file is not None and not self._stopped.is_set():
                    await self._reload(number, listener)

    async def _reload(self, number: int, listener: Listener) -> None:
        try:
            server = await self._begin(listener, self._sockets[number])
        except Invalid as error:
            _log.error("TLS files not reloaded: %s", error)
            return
        self._servers[number].close()
        self._servers[number] = server
        _log.info("TLS files reloaded for %s", listener.address)

    async def _begin(self, listener: Listener, bound: socket.socket) -> asyncio.Server:
        context, application = context_of(listener), self._edge.at(listener)
        return await asyncio.get_running_loop().create_server(
            lambda: Connection(application, self._connections),
            sock=bound.dup(),
            backlog=BACKLOG,
            ssl=context,
            ssl_handshake_timeout=None if context is None else _HANDSHAKE,
        )


def _bound(address: str) -> socket.socket:
    """A listening socket. Raises `Invalid` when it cannot be had."""
    host, port = host_and_port(address)
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
        made.setblocking(False)
    except (OSError, UnicodeError) as error:
        made.close()
        raise _cannot_listen(address, error) from None
    return made


_NEXT: Final = {
    errno.EADDRINUSE: "is another server running there? choose another address with --listen",
    errno.EADDRNOTAVAIL: "this machine does not have that address: choose one it has, or 0.0.0.0 for all of them",
    errno.EACCES: "a port below 1024 takes rights that the server does not have: choose a higher one",
    errno.EAFNOSUPPORT: "this machine does not speak IPv6: choose an IPv4 address",
}


def _cannot_listen(address: str, error: BaseException) -> Invalid:
    if isinstance(error, socket.gaierror | UnicodeError):
        return Invalid(
            f"cannot listen on {address}: this machine does not know the name",
            hint="give an IP address, such as 127.0.0.1 or 0.0.0.0",
        )
    reason = getattr(error, "strerror", None) or type(error).__name__
    number = getattr(error, "errno", None)
    return Invalid(
        f"cannot listen on {address}: {reason}",
        hint=_NEXT.get(number or 0, "choose another address with --listen"),
    )
