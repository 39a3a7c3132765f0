"""A program that webhooks can tell: it keeps what it got, and answers as a test wants it to."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True)
class Got:
    """One request. Header names are lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """Listens on a loopback port while the `with` lasts. `status` is what it answers; it may be changed at any time.

    hold: clear it, and no answer leaves until it is set. more: headers of the answers.
    """

    status: int = 204
    port: int = 0
    tls: ssl.SSLContext | None = None
    more: dict[str, str] = field(default_factory=dict)
    got: list[Got] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.hold.set()
        self._news = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/hook"

    def take(self, one: Got) -> None:
        """A request came."""
        with self._news:
            self.got.append(one)
            self._news.notify_all()
        self.hold.wait(30)

    def wait(self, number: int, *, within: float = 15.0) -> list[Got]:
        """What came, once there are so many. Raises TimeoutError."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.got) >= number, within):
                raise TimeoutError(f"{len(self.got)} of {number} came")
            return list(self.got)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            receiver.take(Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(receiver.status)
            for name, value in receiver.more.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            """Nobody reads it."""

    return Handler
