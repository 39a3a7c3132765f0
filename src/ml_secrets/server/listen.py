"""Sockets: one granian server for each listener, all inside this process and on its event loop.

Why embedded: one process owns the store, so a supervisor with worker processes would only add a second copy of the
program, and a restart of its worker would seal a Shamir store. To reload TLS files, a second granian server with the new
ones joins the address (SO_REUSEPORT), and the kernel is told to give it all new connections; once the first one has
finished its handshakes, it stops, and its requests in flight end in peace.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any, Final

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server

from ml_secrets.errors import Invalid
from ml_secrets.server.config import host_and_port
from ml_secrets.server.tls import check_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_secrets.server.asgi import Application, Edge
    from ml_secrets.server.config import Listener

BACKLOG: Final = 4096
CONNECTIONS: Final = 16_384
"""granian counts its back-pressure in open connections: with its default, a thousand idle ones would stop all service."""

HEADER_DEADLINE_MS: Final = 5_000
_LINGER: Final = 10
_HANDSHAKES: Final = 3.0
_ENDS: Final = 60.0
_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_RETURN: Final = 0x06
_log: Final = logging.getLogger("ml_secrets.server")


class Listening:
    """The listeners of one server. Make it, and call every method, on the event loop."""

    def __init__(self, edge: Edge, listeners: Sequence[Listener]) -> None:
        self._edge = edge
        self._listeners = list(listeners)
        self._servers: dict[int, _Listener] = {}
        self._reloading = asyncio.Lock()
        self._serving: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve until `stop`. `ready` is called once every socket listens. Raises `Invalid` for an address in use."""
        for listener in self._listeners:
            _bound(listener.address, shared=False).close()
        await asyncio.gather(*(self._begin(number) for number in range(len(self._listeners))))
        ready()
        await self._stopped.wait()
        self._edge.hush()
        for server in self._servers.values():
            server.end()
        await asyncio.wait(self._serving, timeout=_LINGER)

    def stop(self) -> None:
        """Take no more connections, finish the requests in flight, and let `serve` return."""
        self._stopped.set()

    async def reload(self) -> None:
        """Read the TLS files again. Files that cannot be used are logged, and the old ones stay in use."""
        async with self._reloading:
            for number, listener in enumerate(self._listeners):
                if listener.tls_cert_file is not None:
                    await self._reload(number, listener)

    async def _reload(self, number: int, listener: Listener) -> None:
        before = self._servers[number]
        try:
            await self._begin(number)
        except Invalid as error:
            _log.error("TLS files not reloaded: %s", error)
            return
        if _take_all(self._servers[number].socket):
            await asyncio.sleep(_HANDSHAKES)
        before.end()
        _log.info("TLS files reloaded for %s", listener.address)
        await asyncio.wait(
            (before.served,), timeout=_ENDS
        )  # until then its socket is the address's first, this one its second

    async def _begin(self, number: int) -> None:
        server = _server(self._edge, self._listeners[number])
        listening = asyncio.Event()
        server.on_startup(listening.set)
        task = asyncio.ensure_future(server.serve())
        first = asyncio.ensure_future(listening.wait())
        await asyncio.wait((task, first), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            first.cancel()
            server.socket.close()
            raise _cannot_listen(self._listeners[number].address, task.exception())
        server.served = task
        self._servers[number] = server
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)


def _bound(address: str, *, shared: bool) -> socket.socket:
    """A listening socket. Raises `Invalid` when it cannot be had.

    Only our own next one may share it: with another program's, each would get half of the calls. So the first socket of
    an address is asked for alone.
    """
    host, port = host_and_port(address)
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
        made.setblocking(False)
    except (OSError, UnicodeError) as error:
        made.close()
        raise _cannot_listen(address, error) from None
    return made


def _take_all(newest: socket.socket) -> bool:
    """From now on the newer of two sockets at one address gets every new connection. False where the kernel cannot do so."""
    if not sys.platform.startswith("linux"):
        return False
    program = ctypes.create_string_buffer(
        struct.pack("@HBBI", _RETURN, 0, 0, 1)
    )  # "the socket with the index 1"
    try:
        newest.setsockopt(
            socket.SOL_SOCKET,
            _SO_ATTACH_REUSEPORT_CBPF,
            struct.pack("@HP", 1, ctypes.addressof(program)),
        )
    except OSError:
        return False
    return True


class _Listener(Server):
    """granian on a socket of ours, which it gets a copy of."""

    def __init__(self, bound: socket.socket, application: Application, **settings: Any) -> None:
        super().__init__(application, **settings)
        self.socket = bound
        self.served: asyncio.Task[None]

    def end(self) -> None:
        """Take no more connections; those that are there end in peace."""
        self.stop()  # type: ignore[no-untyped-call]  # granian types its constructor only
        self.socket.close()

    def _init_shared_socket(self) -> None:
        holder = SocketHolder(os.dup(self.socket.fileno()), False, BACKLOG)  # type: ignore[call-arg]  # granian types no constructor
        self._ssp, self._shd = None, holder  # type: ignore[assignment]  # granian types them by their first values


_NEXT: Final = {
    errno.EADDRINUSE: "is another server running there? choose another address with --listen",
    errno.EADDRNOTAVAIL: "this machine does not have that address: choose one it has, or 0.0.0.0 for all of them",
    errno.EACCES: "a port below 1024 takes rights that the server does not have: choose a higher one",
    errno.EAFNOSUPPORT: "this machine does not speak IPv6: choose an IPv4 address",
}


def _cannot_listen(address: str, error: BaseException | None) -> Invalid:
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


def _server(edge: Edge, listener: Listener) -> _Listener:
    check_tls(listener)
    return _Listener(
        _bound(listener.address, shared=True),
        edge.at(listener),
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
