"""What a request asks of the storage, through the whole pipeline in this process: counts, and the processor's time."""

import contextlib
import random
import statistics
import time
from dataclasses import dataclass

import apsw
import scale_store

from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Request

_PAGE = 100
_SEED = 7
_WARMING = 100
_ROUNDS = 3000
_LAST = "f0000000"  # a page that begins later than this might be short


@dataclass
class Counts:
    """Of one request on average: rows and pages of names asked of the storage, pages of SQLite looked at, microseconds
    of the processor."""

    rows: float
    names: float
    pages: float
    median: float


class Counted:
    """A storage that counts what is asked of it. Stands between the barrier and its storage."""

    def __init__(self, below):
        self._below = below
        self.rows = self.names = 0

    def __getattr__(self, name):
        return getattr(self._below, name)

    @contextlib.contextmanager
    def begin(self, *, write):
        with self._below.begin(write=write) as tx:
            yield _CountedReads(self, tx) if not write else tx


class _CountedReads:
    def __init__(self, counted, tx):
        self._counted = counted
        self._tx = tx

    def get(self, key):
        if key.startswith("names/"):
            self._counted.names += 1
        else:
            self._counted.rows += 1
        return self._tx.get(key)

    def list(self, prefix, **bounds):
        found = self._tx.list(prefix, **bounds)
        self._counted.rows += len(found) + 1
        return found


def inside(store):
    """Counts of reads, of reads of what is not there and of pages of names, at random: nothing is asked for twice."""
    numbers = random.Random(_SEED).sample(range(store.secrets), min(store.secrets, _WARMING + _ROUNDS))
    names = [scale_store.name_of(number) for number in numbers]
    reads = [Request("r", Verb.READ, f"secret/data/bench/{name}", store.token) for name in names]
    absent = [Request("r", Verb.READ, f"secret/data/bench/{name}-none", store.token) for name in names]
    pages = [
        Request(
            "l",
            Verb.LIST,
            "secret/metadata/bench",
            store.token,
            {"limit": scale_store.raw(_PAGE), "after": scale_store.raw(name)},
        )
        for name in names
        if name < _LAST
    ]
    with store.opened() as server:
        counted = server.barrier._storage = Counted(server.storage)  # noqa: SLF001 - between the two
        for requests in (reads, absent, pages):  # so that the program has run once, but knows few of the rows
            _measure(server, counted, requests[:_WARMING])
        read = _measure(server, counted, reads[_WARMING:])
        page = _measure(server, counted, pages[_WARMING:])
        return read, _measure(server, counted, absent[_WARMING:]), page


def _measure(server, counted, requests):
    db = server.storage._file._db  # noqa: SLF001 - SQLite counts its pages
    counted.rows = counted.names = 0
    before, took = _looked_at(db), []
    for request in requests:
        began = time.thread_time()
        server.pipeline.handle(request)
        took.append(time.thread_time() - began)
    rounds = len(requests)
    return Counts(
        counted.rows / rounds,
        counted.names / rounds,
        (_looked_at(db) - before) / rounds,
        statistics.median(took) * 1e6,
    )


def _looked_at(db):
    kinds = apsw.SQLITE_DBSTATUS_CACHE_HIT, apsw.SQLITE_DBSTATUS_CACHE_MISS
    return sum(db.status(kind)[0] for kind in kinds)
