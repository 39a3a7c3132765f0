"""A client for those who ask once and are in a hurry: its first requests to a server on this machine need no httpx.

Importing httpx takes longer than all the rest of such a command. Plain HTTP to loopback or to a Unix socket is spoken with
h11 over one socket; everything else (TLS, proxies, streams), and all that goes on for longer, goes the usual way.
"""

from __future__ import annotations

import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ml_secrets.client.client import Client
from ml_secrets.client.driver import Driver
from ml_secrets.client.messages import Lost, Response
from ml_secrets.client.wire import body_of, frameless, headers_of, target_of
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.client.messages import Once, Request, Together
    from ml_secrets.client.settings import Settings
    from ml_secrets.client.wire import Transport

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_PIECE: Final = 1 << 16


class QuickDriver(Driver):
    """For one thread, which asks one thing after another."""

    def _once(self, step: Once) -> Any:
        return self.run(step.flow())

    def _together(self, step: Together) -> list[Any]:
        return [self._caught(flow()) for flow in step.flows]


class QuickClient(Client):
    """As `Client`, for one thread; `stay` turns it into one for the long run."""

    _quick = True

    def _open(self) -> None:
        super()._open()
        self._driver = QuickDriver(self._connect)

    @property
    def together(self) -> bool:
        """Does it ask together with others of its job? With a login of its own it does not: the run revokes its token."""
        settings = self.settings
        shares = bool(settings.share) and settings.cache_ttl > 0 and not settings.embedded
        return shares and self.session.login is None

    def _connect(self) -> Transport:
        if not self.together:
            return self._connect_directly()
        from ml_secrets.client.node.transport import shared_transport  # noqa: PLC0415 - most are alone

        return shared_transport(self.settings, self._connect_directly)

    def _connect_directly(self) -> Transport:
        if self._quick and _is_near(self.settings.address):
            return NearTransport(self.settings, self._connect_alone)
        return self._connect_alone()

    def stay(self) -> None:
        """From now on as any other client."""
        self._quick = False
        self._driver.close()
        self._driver = Driver(self._connect)


def _is_near(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme == "unix" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


class NearTransport:
    """One request after another over one socket; for one thread. `usual` makes the transport for what it does not do."""

    def __init__(self, settings: Settings, usual: Callable[[], Transport]) -> None:
        self._settings = settings
        self._make_usual = usual
        self._usual: Transport | None = None
        self._socket: socket.socket | None = None
        self._protocol: Any = None

    def send(self, request: Request) -> Response:
        """The server's answer, whatever its status. Raises `NotSent` or `Lost`."""
        if request.streams or (self._socket is None and not self._connected(request.timeout)):
            return self._the_usual().send(request)
        handled = sys.exception()
        try:
            return self._exchange(request)
        except TimeoutError:
            problem = "did not answer in time"
        except (OSError, _protocol_error()) as error:
            problem = f"broke the connection: {type(error).__name__}"
        except Lost as lost:
            problem = lost.message
        except BaseException as error:  # noqa: BLE001 - it goes on, without its frames
            self._hang_up()
            raise frameless(error, handled)  # noqa: B904 - it is the same error
        self._hang_up()
        raise Lost(f"{self._settings.address} {problem}")

    def _the_usual(self) -> Transport:
        if self._usual is None:
            self._usual = self._make_usual()
        return self._usual

    def _connected(self, timeout: float) -> bool:
        """Connect. Where that fails, the usual transport finds it out again, and says why."""
        import h11  # noqa: PLC0415 - only where it is spoken

        parts = urlsplit(self._settings.address)
        try:
            if parts.scheme == "unix":
                self._socket = socket.socket(socket.AF_UNIX)
                self._socket.settimeout(timeout)
                self._socket.connect(parts.path)
            else:
                self._socket = socket.create_connection((parts.hostname or "", parts.port or 80), timeout)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self._hang_up()
            return False
        self._protocol = h11.Connection(h11.CLIENT)
        return True

    def _exchange(self, request: Request) -> Response:
        import h11  # noqa: PLC0415 - as above

        ends = time.monotonic() + request.timeout
        body = body_of(request)
        sent = self._protocol.send(_head(request, self._settings, len(body)))
        sent += self._protocol.send(h11.Data(body)) if body else b""
        self._call("sendall", ends, sent + self._protocol.send(h11.EndOfMessage()))
        status, headers, pieces = 0, {}, bytearray()
        while type(event := self._next(ends)) is not h11.EndOfMessage:
            if type(event) is h11.Response:
                status = event.status_code
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
            elif type(event) is h11.Data:
                pieces += event.data
                if len(pieces) > request.largest:
                    raise Lost(f"gave an answer that is larger than {request.largest >> 20} MiB")
        self._go_on()
        return Response(status, headers, Sensitive(bytes(pieces)))

    def _next(self, ends: float) -> Any:
        import h11  # noqa: PLC0415 - as above

        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(self._call("recv", ends, _PIECE))
        if type(event) is h11.ConnectionClosed:
            raise Lost("closed the connection before it had answered")
        return event

    def _call(self, name: str, ends: float, argument: Any) -> Any:
        """Send or receive, within what is left of the time."""
        assert self._socket is not None
        left = ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return getattr(self._socket, name)(argument)

    def _go_on(self) -> None:
        """Keep the connection for the next request, where the server does."""
        try:
            self._protocol.start_next_cycle()
        except _protocol_error():
            self._hang_up()

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        """Close the connection."""
        self._hang_up()
        if self._usual is not None:
            self._usual.close()


def _protocol_error() -> type[Exception]:
    import h11  # noqa: PLC0415 - as above

    error: type[Exception] = h11.ProtocolError
    return error


def _head(request: Request, settings: Settings, length: int) -> Any:
    import h11  # noqa: PLC0415 - as above

    parts = urlsplit(settings.address)
    host = "localhost" if parts.scheme == "unix" else parts.netloc
    headers = {"Host": host, **headers_of(request, settings.namespace)}
    if length or request.body is not None:
        headers["Content-Length"] = str(length)
    target = parts.path.rstrip("/") * (parts.scheme != "unix") + target_of(request)
    return h11.Request(method=request.method, target=target, headers=list(headers.items()))
