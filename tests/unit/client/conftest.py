"""A server of bare sockets that answers what a test tells it to, so that faults are real ones."""

import contextlib
import json
import socket
import ssl
import threading
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from ml_secrets import Client
from ml_secrets.client import settings

MOUNT = {"data": {"type": "kv", "path": "secret/", "options": {"version": "2"}}}


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def http(status, body=b"", headers=(), media_type="application/json"):
    """Bytes of an HTTP response; `body` may be anything that JSON knows."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(raw)}", f"Content-Type: {media_type}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def envelope(data=None, **more):
    """A success body."""
    return {
        "request_id": "r",
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": data,
        "wrap_info": None,
        "warnings": None,
        "auth": None,
    } | more


def kv2(value, version=1, etag=None, **more):
    """A KV version 2 read."""
    metadata = {
        "version": version,
        "created_time": "2026-01-02T03:04:05Z",
        "custom_metadata": None,
        "deletion_time": "",
        "destroyed": False,
    }
    data = {"data": value if isinstance(value, dict) else {"value": value}, "metadata": metadata | more}
    return http(200, envelope(data), [] if etag is None else [f"ETag: {etag}"])


@dataclass
class Scripted:
    """`answer(asked, number)` returns bytes to send, or None to hang up without a word. Preflights answer themselves."""

    answer: object
    preflight: bool = True
    tls: ssl.SSLContext | None = None
    asked: list = field(default_factory=list)

    def __post_init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"
        self.open = set()
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.open.add(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError), connection:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as reader:
                while (asked := self.read(reader)) is not None:
                    if self.preflight and asked.path.startswith("/v1/sys/internal/ui/mounts/"):
                        reply = http(200, envelope(MOUNT["data"]))
                    else:
                        with self.lock:
                            self.asked.append(asked)
                            number = len(self.asked)
                        reply = self.answer(asked, number)
                    if reply is None:
                        return
                    for piece in [reply] if isinstance(reply, bytes) else reply:
                        connection.sendall(piece)

    @staticmethod
    def read(reader):
        first = reader.readline().decode().split()
        if len(first) != 3:
            return None
        headers = {}
        while line := reader.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        target = urlsplit(first[1])
        body = reader.read(int(headers.get("content-length", 0)))
        return Asked(first[0], unquote(target.path), dict(parse_qsl(target.query)), headers, body)

    def close(self):
        self.listener.close()
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


class Wire:
    """What tests build answers from."""

    http = staticmethod(http)
    envelope = staticmethod(envelope)
    kv2 = staticmethod(kv2)


@pytest.fixture
def wire():
    return Wire


@pytest.fixture
def serve():
    """Start scripted servers; they stop with the test."""
    started = []

    def start(answer, **settings):
        started.append(Scripted(answer, **settings))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def client_of():
    """Clients of a scripted server, closed with the test."""
    made = []

    def make(server, token="t", **settings):
        made.append(Client(server if isinstance(server, str) else server.url, token, **settings))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """A home with nothing in it, so that no setting of the machine plays a part."""
    home = tmp_path / "home"
    home.mkdir()
    for name in (
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "http_proxy",
        "https_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    return settings


class Clock:
    """A clock to turn: `clock.drive(client)`, then `clock.now += 5`."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        self.monkeypatch = monkeypatch

    def __call__(self):
        return self.now

    def drive(self, client):
        client.session.clock = self
        self.monkeypatch.setattr("ml_secrets.client.calls._monotonic", self)
        return client


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)
