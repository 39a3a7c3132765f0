"""One end in time for a whole request of the blocking transport.

httpx bounds each wait for the socket, so a server that sends a byte now and then would never be given up. Here every wait
gets what is left of the request's time. Tasks need none of this: `asyncio.timeout` ends them wherever they are.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

    _Options = Iterable[Any] | None

_PIECE: Final = 1 << 16
"""So much is written between two looks at the clock."""


class _Ends(threading.local):
    """When the request of this thread is to be over. A signal handler may send one of its own in between."""

    at = float("inf")


_ends: Final = _Ends()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """All that this thread sends and receives meanwhile is over after `seconds`, or `httpx.TimeoutException` is raised."""
    before = _ends.at
    _ends.at = time.monotonic() + seconds
    try:
        yield
    finally:
        _ends.at = before


def _left(timeout: float | None) -> float:
    left = _ends.at - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left if timeout is None else min(timeout, left)


class Transport(httpx.HTTPTransport):
    """httpx's own, over connections that look at the clock."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        pool: Any = self._pool  # httpx takes no back end, though its pool does
        pool._network_backend = _Network(pool._network_backend)  # noqa: SLF001 - see above


class _Network(httpcore.NetworkBackend):
    def __init__(self, network: httpcore.NetworkBackend) -> None:
        self._network = network

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._network.connect_tcp(host, port, _left(timeout), local_address, socket_options))

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: _Options = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._network.connect_unix_socket(path, _left(timeout), socket_options))

    def sleep(self, seconds: float) -> None:
        self._network.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[start : start + _PIECE], _left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
