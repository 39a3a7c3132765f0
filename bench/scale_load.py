"""What one store costs: its start, its memory, its reads and lists over HTTP, alone and amid a crowd."""

import contextlib
import random
import re
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

import load
import scale_counts
import scale_crowd
import scale_store

_IDLE = 0.05
_AGAIN = 10_000
_SEED = 7
_WRK_READ = (
    '"/v1/secret/data/bench/" .. string.format("%%08x", (math.random(0, %d - 1) * 2654435761) %% 4294967296)'
)
_WRK_LIST = '"/v1/secret/metadata/bench?list=true&limit=100&after=" .. string.format("%08x", math.random(0, 4026531839))'


@dataclass
class Found:
    """All that was seen of one store."""

    secrets: int
    tokens: int
    size: int
    read: scale_counts.Counts
    absent: scale_counts.Counts
    page: scale_counts.Counts
    warm: list = field(default_factory=list)
    cold: list = field(default_factory=list)
    memory: list = field(default_factory=list)
    http_read: load.Figures | None = None
    http_page: load.Figures | None = None
    checked: float = 0.0
    meanwhile: dict = field(default_factory=dict, repr=False)
    then: dict = field(default_factory=dict, repr=False)


def starts(store, found, rounds):
    """First answers: with the store's file in the kernel's memory, and without."""
    for _ in range(rounds):
        with scale_store.running(store) as (_, seconds, processor):
            found.warm.append((seconds, processor))
        scale_store.cold()
        with scale_store.running(store) as (_, seconds, processor):
            found.cold.append((seconds, processor))


def outside(store, found, seconds, reads):
    """Memory at rest; reads and lists over HTTP, one connection; memory after `reads` reads and the use of every token."""
    with scale_store.running(store) as (pid, *_):
        found.meanwhile = _asked(store, min(seconds, 2))
        found.checked = _settled(pid)
        found.then = _asked(store, seconds)
        found.memory.append(scale_store.memory(pid))
        found.http_read = _wrk(store, seconds, _WRK_READ % store.secrets)
        found.http_page = _wrk(store, seconds, _WRK_LIST)
        read_many(store, [store.token], _at_random(store, reads))
        read_many(store, [store.token], [number % store.secrets for number in range(_AGAIN)] * 3)
        found.memory.append(scale_store.memory(pid))
        if store.tokens:
            read_many(store, store.tokens, _at_random(store, len(store.tokens)))
            found.memory.append(scale_store.memory(pid))


def _settled(pid):
    """Wait until the server has little to do. Seconds since it began."""
    before = scale_store.processor_seconds(pid)
    while True:
        time.sleep(1)
        now = scale_store.processor_seconds(pid)
        if now - before < _IDLE:
            return time.time() - Path(f"/proc/{pid}").stat().st_ctime - 1
        before = now


def crowded(store, idle, slow, seconds):
    """Health and reads, alone and amid the crowd."""
    scale_crowd.take_files(idle + slow)
    with scale_store.running(store) as (pid, *_):
        _settled(pid)
        alone = _asked(store, seconds)
        with scale_crowd.gathered(store.address, idle, slow) as became:
            amid = _asked(store, seconds)
            became["MB"] = scale_store.memory(pid)
    return Crowd(alone, amid, became)


@dataclass
class Crowd:
    """Milliseconds of each kind of request, alone and amid the crowd, and what became of that."""

    alone: dict
    amid: dict
    became: dict


def _asked(store, seconds):
    """Requests in turns, for so long. What is asked: milliseconds of each time."""
    took = {"health, new connection": [], "health, kept connection": [], "read, kept connection": []}
    read, chance = "/v1/secret/data/bench/", random.Random(_SEED)
    end = time.monotonic() + seconds
    with Line(store.address) as kept:
        while time.monotonic() < end:
            secret = read + scale_store.name_of(chance.randrange(store.secrets))
            with _timed(took["health, new connection"]), Line(store.address) as fresh:
                fresh.get("/v1/sys/health")
            with _timed(took["health, kept connection"]):
                kept.get("/v1/sys/health")
            with _timed(took["read, kept connection"]):
                kept.get(secret, store.token)
    return took


@contextlib.contextmanager
def _timed(took):
    began = time.perf_counter()
    yield
    took.append((time.perf_counter() - began) * 1e3)


def _wrk(store, seconds, path):
    return load.run(store, load.Load("GET", path), 1, seconds)


def _at_random(store, reads):
    """Numbers of secrets."""
    chance = random.Random(_SEED)
    return [chance.randrange(store.secrets) for _ in range(reads)]


def read_many(store, tokens, numbers):
    """Read these secrets, by the tokens in turn."""
    with Line(store.address) as line:
        for turn, number in enumerate(numbers):
            name = scale_store.name_of(number)
            status = line.get(f"/v1/secret/data/bench/{name}", tokens[turn % len(tokens)])
            if status != 200:
                raise RuntimeError(f"a read was answered with {status}")


class Line:
    """One connection that is kept. Plain sockets, so that the client takes little of what is measured."""

    def __init__(self, address):
        host, port = address.split(":")
        self._socket = socket.create_connection((host, int(port)), 30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def get(self, path, token=""):
        """The status of the answer, once all of it is here."""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nhost: bench\r\nx-vault-token: {token}\r\n\r\n".encode())
        while b"\r\n\r\n" not in self._rest:
            self._receive()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: *([0-9]+)", head)[1])
        while len(self._rest) < length:
            self._receive()
        self._rest = self._rest[length:]
        return int(head.split(b" ", 2)[1])

    def _receive(self):
        part = self._socket.recv(65536)
        if not part:
            raise RuntimeError("the server ended the connection")
        self._rest += part
