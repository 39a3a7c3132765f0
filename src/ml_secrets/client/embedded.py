"""The one seam to the server wing: the store inside this process, when no server is configured and none runs.

`connect` is loaded by its dotted path, so that nothing here imports the server. All clients of one process share one
open store, because it has one owner.
"""

from __future__ import annotations

import os
import sys
import weakref
from importlib import import_module
from threading import RLock
from typing import TYPE_CHECKING, Final, Protocol

from ml_secrets.client.messages import NotSent, Response
from ml_secrets.client.wire import body_of, frameless, headers_of, target_of
from ml_secrets.errors import Unreachable
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from pathlib import Path

    from ml_secrets.client.messages import Request
    from ml_secrets.client.settings import Settings

PLACE: Final = "ml_secrets.server.embedded:connect"


class Connection(Protocol):
    """An open store. `path` is the raw path with its query; `token` is the owner's."""

    @property
    def token(self) -> str: ...

    def request(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[int, dict[str, str], bytes]: ...

    def close(self) -> None: ...


class EmbeddedTransport:
    """Sends requests into the store. Unclosed, it lets the store go with its last user or the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: Connection = _shared.take(settings.data_dir)
        self._end = weakref.finalize(self, _shared.give_back, settings.data_dir, os.getpid())

    def send(self, request: Request) -> Response:
        """The store's answer, whatever its status."""
        connection = self._connection
        if not self._end.alive:
            raise NotSent(
                "the store was let go while this was about to be sent"
            )  # and is sent to the next one
        if request.token is None and request.login is None:
            request.token = Sensitive(
                connection.token
            )  # kept, so that a refusal reads as one of a known caller
        handled = sys.exception()
        try:
            status, headers, body = connection.request(
                request.method,
                target_of(request),
                list(headers_of(request, self._settings.namespace).items()),
                body_of(request),
            )
        except BaseException as error:  # noqa: BLE001 - it goes on, without its frames
            raise frameless(error, handled)  # noqa: B904 - it is the same error
        return Response(status, {name.lower(): value for name, value in headers.items()}, Sensitive(body))

    def close(self) -> None:
        """Let the store go. It closes when the last client has let it go."""
        self._end()


class _Shared:
    """The stores that are open in this process, and how many clients each has."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._open: dict[Path | None, tuple[Connection, int]] = {}

    def take(self, place: Path | None) -> Connection:
        with self._lock:
            connection, users = self._open.get(place) or (_connect(place), 0)
            self._open[place] = (connection, users + 1)
            return connection

    def give_back(self, place: Path | None, owner: int) -> None:
        if os.getpid() != owner:
            return  # a parent's, from before a fork
        with self._lock:
            connection, users = self._open[place]
            if users > 1:
                self._open[place] = (connection, users - 1)
                return
            del self._open[place]
            connection.close()

    def renew(self) -> None:
        """In a forked child: the store is the parent's. It is not closed here, and never used again."""
        self._lock = RLock()
        self._open = {}


def _connect(place: Path | None) -> Connection:
    module, _, name = PLACE.partition(":")
    try:
        connect = getattr(import_module(module), name)
    except ImportError as error:
        missing = error.name
    else:
        connection: Connection = connect(place)
        return connection
    raise Unreachable(
        f"no server is configured, none runs here, and the embedded store is not installed (it lacks {missing})",
        hint="set ML_SECRETS_ADDR to a server's address, or install the store: pip install 'ml-secrets[server]'",
    )


_shared = _Shared()
os.register_at_fork(after_in_child=_shared.renew)
