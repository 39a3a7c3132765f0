"""Sockets: one granian server for each listener, all inside this process and on its event loop.

Why embedded: one process owns the store, so a supervisor with worker processes would only add a second copy of the
program, and a restart of its worker would seal a Shamir store. To reload TLS files, a second granian server with the new
ones joins the address (SO_REUSEPORT), then the first stops taking connections; requests in flight end in peace.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import TYPE_CHECKING, Final

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_secrets.server.asgi import Edge
    from ml_secrets.server.config import Listener

BACKLOG: Final = 4096
CONNECTIONS: Final = 16_384
"""granian counts its back-pressure in open connections: with its default, a thousand idle ones would stop all service."""

HEADER_DEADLINE_MS: Final = 5_000
_LINGER: Final = 10
_log: Final = logging.getLogger("ml_secrets.server")


class Listening:
    """The listeners of one server. Make it, and call every method, on the event loop."""

    def __init__(self, edge: Edge, listeners: Sequence[Listener]) -> None:
        self._edge = edge
        self._listeners = list(listeners)
        self._servers: dict[int, Server] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve until `stop`. `ready` is called once every socket listens. Raises `Invalid` for an address in use."""
        for listener in self._listeners:
            check_free(listener.address)
        await asyncio.gather(*(self._begin(number) for number in range(len(self._listeners))))
        ready()
        await self._stopped.wait()
        for server in self._servers.values():
            server.stop()  # type: ignore[no-untyped-call]  # granian types its constructor only
        await asyncio.wait(self._serving, timeout=_LINGER)

    def stop(self) -> None:
        """Take no more connections, finish the requests in flight, and let `serve` return."""
        self._stopped.set()

    async def reload(self) -> None:
        """Read the TLS files again. Files that cannot be used are logged, and the old ones stay in use."""
        for number, listener in enumerate(self._listeners):
            if listener.tls_cert_file is None:
                continue
            before = self._servers[number]
            try:
                await self._begin(number)
            except Invalid as error:
                _log.error("TLS files not reloaded: %s", error)
            else:
                before.stop()  # type: ignore[no-untyped-call]  # as above
                _log.info("TLS files reloaded for %s", listener.address)

    async def _begin(self, number: int) -> None:
        server = _server(self._edge, self._listeners[number])
        listening = asyncio.Event()
        server.on_startup(listening.set)
        task = asyncio.ensure_future(server.serve())
        first = asyncio.ensure_future(listening.wait())
        await asyncio.wait((task, first), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            first.cancel()
            raise _cannot_listen(self._listeners[number].address, task.exception())
        self._servers[number] = server
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)


def check_free(address: str) -> None:
    """Raise `Invalid` when another program listens there (two servers sharing one port would each get half of the calls)."""
    host, port = host_and_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _cannot_listen(address, error) from None


def _cannot_listen(address: str, error: BaseException | None) -> Invalid:
    reason = getattr(error, "strerror", None) or type(error).__name__
    return Invalid(
        f"cannot listen on {address}: {reason}",
        hint="is another server running there? choose another address with --listen",
    )


def check_tls(listener: Listener) -> None:
    """Raise `Invalid` when the listener's certificate and key cannot be used together."""
    if listener.tls_cert_file is None or listener.tls_key_file is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(listener.tls_cert_file, listener.tls_key_file)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        raise Invalid(f"cannot use {listener.tls_cert_file} with {listener.tls_key_file}: {reason}") from None


def host_and_port(address: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:8200", "[::1]:8200" or ":8200" (every address)."""
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise Invalid(f"cannot listen on {address!r}", hint="write HOST:PORT, such as 127.0.0.1:8200")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - ":PORT" asks for every address, as in Vault


def _server(edge: Edge, listener: Listener) -> Server:
    check_tls(listener)
    host, port = host_and_port(listener.address)
    return Server(
        edge.at(listener),
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_DEADLINE_MS),
        log_enabled=False,
        ssl_cert=listener.tls_cert_file,
        ssl_key=listener.tls_key_file,
        ssl_protocol_min=SSLProtocols.tls13,
        ssl_ca=listener.tls_client_ca_file,
        ssl_client_verify=listener.tls_require_client_cert,
    )
