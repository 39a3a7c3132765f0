"""Calls to addresses that somebody else chose. All that go out of this server go through here.

- A name is resolved once for each call; every address that it has must be allowed (domain/outbound.py), and the
  connection goes to one of just these: a name that means something else a moment later changes nothing.
- TLS with the system's authorities (SSL_CERT_FILE names others); plain HTTP to this machine alone.
- No redirect is followed, no proxy asked, no cookie kept; of the answer only the status counts.
- A call is over after `DEADLINE` seconds, whatever the other side does.

What went wrong is told in few words that hold nothing of the URL.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from functools import cache
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import certifi

from ml_secrets.domain.outbound import allows, read_networks, read_url
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ml_secrets.domain.outbound import Target

DEADLINE: Final = 10.0
_CONNECT: Final = 5.0
_MOST_ADDRESSES: Final = 4


class _Undelivered(Exception):  # noqa: N818 - a signal, not an error of anyone's
    """It did not get through; the text says why."""


class Outbound:
    """Posts to URLs. `networks` are those that are not public and may be called nevertheless."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = read_networks(networks)

    def post(self, url: str, headers: dict[str, str], body: bytes) -> str:
        """POST once. Returns "" when the other side said that it has it (2xx), else what went wrong."""
        try:
            status = self._post(read_url(url), headers, body)
        except (OSError, HTTPException, ValueError, Invalid, _Undelivered) as error:
            return _told(error)
        return "" if 200 <= status < 300 else f"the answer was {status}"

    def _post(self, target: Target, headers: dict[str, str], body: bytes) -> int:
        connection = _Pinned(target, self._addresses(target))
        try:
            with _ended_in_time(connection):
                connection.connect()
                connection.request("POST", target.path, body, headers)
                return connection.getresponse().status
        finally:
            connection.close()

    def _addresses(self, target: Target) -> list[str]:
        """What the host resolves to, all of it allowed."""
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise _Undelivered("the host's name cannot be resolved") from None
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        for address in addresses:
            parsed = ip_address(address)
            if not allows(parsed, self._networks):
                raise _Undelivered("the host's address is not public: the configuration has to allow it")
            if not target.secure and not parsed.is_loopback:
                raise _Undelivered("http:// is for this machine alone")
        return addresses[:_MOST_ADDRESSES]


def _told(error: Exception) -> str:
    """What went wrong."""
    if isinstance(error, Invalid):
        return error.message
    if isinstance(error, _Undelivered):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the certificate is not trusted, or is for another name"
    if isinstance(error, TimeoutError):
        return "there was no answer in time"
    return f"the connection failed: {getattr(error, 'strerror', None) or type(error).__name__}"


class _Pinned(HTTPConnection):
    """A connection to one of these addresses, whatever the host's name means by now."""

    def __init__(self, target: Target, addresses: list[str]) -> None:
        super().__init__(target.host, target.port, timeout=_CONNECT)
        self._target = target
        self._addresses = addresses

    def connect(self) -> None:
        """Take the first address that answers."""
        problem: OSError = TimeoutError()
        for address in self._addresses:
            try:
                self.sock = socket.create_connection((address, self._target.port), timeout=_CONNECT)
            except OSError as error:
                problem = error
                continue
            if self._target.secure:
                self._secure(self.sock)
            return
        raise problem

    def _secure(self, plain: socket.socket) -> None:
        """Speak TLS. The handshake comes once the connection knows its socket, so that it can be cut, too."""
        secure = _context().wrap_socket(
            plain, server_hostname=self._target.host, do_handshake_on_connect=False
        )
        self.sock = secure
        secure.do_handshake()


@contextlib.contextmanager
def _ended_in_time(connection: HTTPConnection) -> Iterator[None]:
    """Cut the connection when the time is over: one that sends a byte now and then would never be."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        if connection.sock is not None:  # typeshed has it always there
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    timer = threading.Timer(DEADLINE, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, HTTPException, ValueError):
        if not late.is_set():
            raise
    finally:
        timer.cancel()
    if late.is_set():  # what came may have ended where it was cut
        raise TimeoutError


@cache
def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    known = ssl.get_default_verify_paths()
    if known.cafile is None and known.capath is None:
        context.load_verify_locations(certifi.where())  # a slim image has no authorities of its own
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
