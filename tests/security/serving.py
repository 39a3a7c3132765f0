"""Our server as its own process, and ways to talk to it that no polite client has."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ml_secrets.testing.programs import ROOT_TOKEN, free_port, own_command

PATIENCE = 30.0


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def data(self):
        return self.json["data"]

    @property
    def errors(self):
        return self.json["errors"]


def place_of(url):
    """Host and port of an address."""
    host, _, port = url.removeprefix("http://").removeprefix("https://").partition(":")
    return host, int(port)


def send(url, method, path, body=None, *, token=ROOT_TOKEN, headers=(), timeout=30, raw_path=False):
    """One request on a connection of its own. `path` follows /v1/ and is sent as it stands."""
    sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    own = {"X-Vault-Token": token} if token is not None else {}
    connection = http.client.HTTPConnection(*place_of(url), timeout=timeout)
    with contextlib.closing(connection):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused while it was being sent
            connection.request(method, path if raw_path else f"/v1/{path}", sent or None, own | dict(headers))
        if connection.sock is None:
            raise ConnectionResetError("nobody took the connection up")
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


def many(count, work):
    """Run `work(number)` that often, all at once; the results in order."""
    barrier = threading.Barrier(count)

    def run(number):
        barrier.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))


def talk(url, *pieces, timeout=5.0, half=False):
    """Bytes in, bytes out, over one connection, until the server closes it or is silent for `timeout` seconds."""
    with socket.create_connection(place_of(url), 10) as line:
        line.settimeout(timeout)
        received = b""
        try:
            for piece in pieces:
                line.sendall(piece)
            if half:
                line.shutdown(socket.SHUT_WR)
            while part := line.recv(65536):
                received += part
        except (TimeoutError, ConnectionError):
            pass
        return received


def head(method, path, *headers, version="1.1", host="Host: test\r\n", token=ROOT_TOKEN):
    """The head of a request as bytes, ended; `Connection: close` unless a header says otherwise."""
    lines = [f"X-Vault-Token: {token}"] if token else []
    lines += [line for line in headers if line]
    if not any(line.lower().startswith("connection:") for line in lines):
        lines.append("Connection: close")
    start = f"{method} {path} HTTP/{version}\r\n{host}"
    return (start + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode("latin-1")


def statuses(received):
    """The status of each response in what was received."""
    return [int(number) for number in re.findall(rb"HTTP/1\.[01] (\d{3})", received)]


class Store:
    """A server with a store on disk, an audit log and a key file, to start, stop and kill."""

    def __init__(self, folder, *, extra="", environment=None, audit=True, program=None):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.path = self.folder / "store"
        self.audit_log = self.folder / "audit.log"
        self.anchor = self.folder / "anchor"
        self.log = self.folder / "server.log"
        self.token = ""
        self.made = {}
        self.process = None
        self.environment = environment
        self.program = program or own_command()
        text = [
            extra,
            f'anchor_file = "{self.anchor}"',
            f'[storage]\ntype = "sqlite"\npath = "{self.path}"',
            f'[[listener]]\ntype = "tcp"\naddress = "127.0.0.1:{self.port}"\ntls_disable = true',
            f'[seal]\ntype = "keyfile"\npath = "{self.folder / "unseal.key"}"',
        ]
        if audit:
            text.append(f'[[audit]]\ntype = "file"\npath = "file"\nfile_path = "{self.audit_log}"')
        self.config = self.folder / "server.toml"
        self.config.write_text("\n".join(text) + "\n")

    def probe(self):
        send(self.url, "GET", "sys/seal-status", token=None, timeout=5)

    def command(self):
        return [*self.program, "server", "--config", str(self.config)]

    def start(self):
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command(),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment,
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.log.read_text()[-2000:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.probe()
                return self
            time.sleep(0.03)
        raise RuntimeError("the server did not start in time")

    def initialize(self):
        self.made = self.ask(
            "PUT", "sys/init", {"recovery_shares": 1, "recovery_threshold": 1}, token=None
        ).json
        self.token = self.made["root_token"]
        return self

    def ask(self, method, path, body=None, **options):
        return send(self.url, method, path, body, **({"token": self.token} | options))

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                return self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode if self.process is not None else None


@contextlib.contextmanager
def stored(folder, **options):
    """A store on disk, initialised, its server running."""
    store = Store(folder, **options)
    try:
        yield store.start().initialize()
    finally:
        store.stop()


def resident(pid):
    """Resident memory of a process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def processor_seconds(pid):
    """User and system time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
