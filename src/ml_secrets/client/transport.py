"""Requests to bytes and back: over HTTP with httpx, or into the embedded store.

Rules: certificates are verified unless that was switched off in so many words; no redirect is followed; an answer has
an end in size and in time; a proxy is not asked for what is on this machine. Errors of the network become `NotSent` or
`Lost` without the library's frames, which hold the token in their locals.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks the second

import certifi
import httpx

from ml_secrets.client import deadline
from ml_secrets.client.messages import Lost, NotSent, Response
from ml_secrets.client.streams import AsyncStream, Stream
from ml_secrets.client.wire import body_of, frameless, headers_of, target_of
from ml_secrets.errors import Invalid, MlSecretsError, Unreachable
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.client.messages import Request
    from ml_secrets.client.settings import Settings

CONNECT_SECONDS: Final = 5.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_UNSENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
)


def _sent(request: Request, namespace: str) -> dict[str, Any]:
    seconds = request.timeout
    reading = None if request.streams else seconds  # each piece of a stream has an end in time of its own
    timeout = httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds), read=reading)
    return {"content": body_of(request), "headers": headers_of(request, namespace), "timeout": timeout}


def _streamed(client: httpx.Client | httpx.AsyncClient, request: Request, namespace: str) -> httpx.Request:
    return client.build_request(request.method, target_of(request), **_sent(request, namespace))


def _begun(answer: httpx.Response, stream: Stream | AsyncStream) -> Response:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(answer.status_code, headers, Sensitive(b""), stream)


class HttpTransport:
    """HTTP with a pool of kept connections. Threads may share it. Unclosed, it closes with its last user or the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = httpx.Client(**_options(settings), transport=_socket(settings, deadline.Transport))
        self._end = weakref.finalize(self, _close, self._client, os.getpid())

    def send(self, request: Request) -> Response:
        """The server's answer, whatever its status. Raises `NotSent` or `Lost`."""
        handled = sys.exception()
        try:
            return self._exchange(request)
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:
            failure: MlSecretsError = failure_of(error, self._settings.address)
        except MlSecretsError as error:
            failure = error
        except BaseException as error:  # noqa: BLE001 - it goes on, without its frames
            raise frameless(error, handled)  # noqa: B904 - it is the same error
        raise frameless(failure, handled)

    def _exchange(self, request: Request) -> Response:
        return self._begin(request) if request.streams else self._whole(request)

    def _begin(self, request: Request) -> Response:
        """An answer that goes on, if it is a success."""
        sent = _streamed(self._client, request, self._settings.namespace)
        with deadline.within(request.timeout):
            answer = self._client.send(sent, stream=True)
            if answer.status_code == 200:
                return _begun(answer, Stream(answer, self._told))
            with contextlib.closing(answer):
                taken = _Taken(request)
                for chunk in answer.iter_raw():
                    taken.add(chunk)
                return taken.response(answer)

    def _told(self, error: Exception) -> Unreachable:
        return failure_of(error, self._settings.address)

    def _whole(self, request: Request) -> Response:
        taken = _Taken(request)
        with (
            deadline.within(request.timeout),
            self._client.stream(
                request.method, target_of(request), **_sent(request, self._settings.namespace)
            ) as answer,
        ):
            for chunk in answer.iter_raw():
                taken.add(chunk)
        return taken.response(answer)

    def close(self) -> None:
        """Close the kept connections."""
        self._end()


class AsyncHttpTransport:
    """The same for tasks of one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(
            **_options(settings), transport=_socket(settings, httpx.AsyncHTTPTransport)
        )

    async def send(self, request: Request) -> Response:
        """The server's answer, whatever its status. Raises `NotSent` or `Lost`."""
        handled = sys.exception()
        try:
            async with asyncio.timeout(request.timeout):
                return await self._exchange(request)
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError, TimeoutError) as error:
            failure: MlSecretsError = failure_of(error, self._settings.address)
        except MlSecretsError as error:
            failure = error
        except BaseException as error:  # noqa: BLE001 - it goes on, without its frames
            raise frameless(error, handled)  # noqa: B904 - it is the same error
        raise frameless(failure, handled)

    async def _exchange(self, request: Request) -> Response:
        return await (self._begin(request) if request.streams else self._whole(request))

    async def _begin(self, request: Request) -> Response:
        """An answer that goes on, if it is a success."""
        sent = _streamed(self._client, request, self._settings.namespace)
        answer = await self._client.send(sent, stream=True)
        if answer.status_code == 200:
            return _begun(answer, AsyncStream(answer, self._told))
        async with contextlib.aclosing(answer):
            taken = _Taken(request)
            async for chunk in answer.aiter_raw():
                taken.add(chunk)
            return taken.response(answer)

    def _told(self, error: Exception) -> Unreachable:
        return failure_of(error, self._settings.address)

    async def _whole(self, request: Request) -> Response:
        taken = _Taken(request)
        async with self._client.stream(
            request.method, target_of(request), **_sent(request, self._settings.namespace)
        ) as answer:
            async for chunk in answer.aiter_raw():
                taken.add(chunk)
        return taken.response(answer)

    async def close(self) -> None:
        """Close the kept connections."""
        await self._client.aclose()


def _close(client: httpx.Client, owner: int) -> None:
    if os.getpid() == owner:  # a forked child's would wait for locks that a thread of its parent held
        client.close()


class _Taken:
    """An answer's body as it comes in, with an end in size. Never prints."""

    __slots__ = ("_chunks", "_largest", "_size")

    def __init__(self, request: Request) -> None:
        self._chunks: list[bytes] = []
        self._largest = request.largest
        self._size = 0

    def add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        del chunk
        if self._size > self._largest:
            raise Lost(f"the answer is larger than {self._largest >> 20} MiB")

    def response(self, answer: httpx.Response) -> Response:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status_code, headers, Sensitive(b"".join(self._chunks)))


def failure_of(error: Exception, address: str) -> Unreachable:
    """What a network error means for the caller. Nothing of the error itself is kept but its kind."""
    if isinstance(error, _UNSENT):
        reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error), flags=re.ASCII) or type(error).__name__
        if "not valid for" in reason:
            hint = "use the name that the certificate is for, or a certificate for this one; do not switch verification off"
        elif "has expired" in reason or "not yet valid" in reason:
            hint = "the server needs a new certificate, or the clock of this machine is wrong; do not switch verification off"
        elif "CERTIFICATE" in reason.upper():
            hint = "name the authority's certificate with ML_SECRETS_CACERT; do not switch verification off"
        elif "[SSL" in reason:
            hint = "something listens there; does it speak TLS, or is it an http:// address?"
        else:
            hint = "start one with `ml-secrets server`, or set ML_SECRETS_ADDR to where it listens"
        return NotSent(f"no server answers at {address}: {reason}", hint=hint)
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return Lost(
            f"{address} did not answer in time", hint="raise the timeout, or look at the server's load"
        )
    return Lost(
        f"the connection to {address} broke: {type(error).__name__}",
        hint="is it a Vault-compatible server, and is TLS right (https)?",
    )


def _options(settings: Settings) -> dict[str, Any]:
    return {"base_url": base_url(settings.address), "follow_redirects": False, "trust_env": False}


def base_url(address: str) -> str:
    """The address as httpx takes it; a Unix socket has no host of its own."""
    return "http://localhost" if address.startswith("unix://") else address


def _socket(settings: Settings, kind: Any) -> Any:
    address = urlsplit(settings.address)
    if address.scheme == "unix":
        return kind(uds=address.path)
    proxy = None if address.hostname in _LOOPBACK else _proxy(settings.address)
    return kind(verify=_verify(settings), proxy=proxy)


def _proxy(address: str) -> str | None:
    """The proxy that the environment names for `address`, if any."""
    parts = urlsplit(address)
    if proxy_bypass_environment(parts.hostname or ""):
        return None
    return getproxies_environment().get(parts.scheme)


def _verify(settings: Settings) -> ssl.SSLContext | bool:
    """How certificates are checked: against the system's authorities, or the ones that the settings name."""
    if isinstance(settings.verify, ssl.SSLContext):
        return settings.verify
    if not settings.address.startswith("https:"):
        return False  # no TLS is spoken, and no redirect followed to where it would be: load no authorities
    if settings.verify is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context = _trusting(settings.verify)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.client_cert:
        _identify(context, settings)
    return context


def _identify(context: ssl.SSLContext, settings: Settings) -> None:
    """Show the client certificate of the settings."""
    try:
        context.load_cert_chain(settings.client_cert, settings.client_key or None)
    except OSError as error:  # an SSLError is one, too
        raise Invalid(
            f"cannot load the client certificate {settings.client_cert}: {error.strerror or type(error).__name__}",
            hint="check ML_SECRETS_CLIENT_CERT and ML_SECRETS_CLIENT_KEY",
        ) from None


def _trusting(authority: str | bool) -> ssl.SSLContext:
    try:
        if isinstance(authority, str):
            folder = Path(authority).is_dir()
            return ssl.create_default_context(
                cafile=None if folder else authority, capath=authority if folder else None
            )
        context = ssl.create_default_context()
        known = ssl.get_default_verify_paths()
        if known.cafile is None and known.capath is None:
            context.load_verify_locations(certifi.where())  # a slim image has no authorities of its own
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return context
    raise Invalid(
        f"cannot load the certificate authority {authority}: {reason}", hint="check ML_SECRETS_CACERT"
    )
