"""Transactions as units of work: reads that are brief or done again, writers that wait, and those that share a commit."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from ml_secrets.pipeline.brief import MOST, Brief, Waits
from ml_secrets.pipeline.units import Units
from ml_secrets.storage.interface import Moved
from ml_secrets.storage.memory import MemoryStorage


def test_a_brief_read_gives_up_after_so_many_rows():
    """As many rows as may be read on the event loop are read; the next one has to wait."""
    with MemoryStorage().begin(write=False) as tx:
        brief = Brief(tx)
        assert [brief.get(f"row{number}") for number in range(MOST)] == [None] * MOST
        with pytest.raises(Waits):
            brief.get("one more")


class Asked:
    """A transaction that notes how many names it was asked for."""

    def __init__(self, tx):
        self.tx = tx
        self.limits = []

    def list(self, prefix, *, after="", limit=-1):
        self.limits.append(limit)
        return self.tx.list(prefix, after=after, limit=limit)


@pytest.fixture
def names():
    """Begin a brief read of a store with names below `a/`, one more than may be listed, and below `b/` as many as may."""
    storage = MemoryStorage()
    with storage.begin(write=True) as tx:
        for number in range(MOST):
            tx.put(f"a/{number:03}", b"")
        for number in range(MOST - 1):
            tx.put(f"b/{number:03}", b"")
    with storage.begin(write=False) as tx:
        yield lambda: Brief(Asked(tx))


def test_a_brief_list_gives_up_after_so_many_names(names):
    """The list itself and each of its names count; of a longer one, no more is read than tells that it is too long."""
    assert len(names().list("b/")) == MOST - 1
    long = names()
    with pytest.raises(Waits):
        long.list("a/")
    assert long._tx.limits == [MOST + 1]


def test_a_brief_list_gives_what_was_asked_for(names):
    """From where it was to begin, and no more names than were wanted; later lists have what is left."""
    brief = names()
    assert brief.list("a/", after="003", limit=2) == ["004", "005"]
    assert brief.list("a/", limit=0) == []
    assert len(brief.list("a/", limit=MOST - 5)) == MOST - 5
    with pytest.raises(Waits):
        brief.list("a/", limit=0)


def test_a_write_moves_the_stamp_when_it_is_seen_and_again_when_the_caches_have_followed():
    """What was looked at in between belongs to neither state: nothing that is remembered of it holds."""
    units, seen = Units(MemoryStorage(), lambda: 1.0), []
    before = units.stamp
    with units.write() as unit:
        unit.tx.put("row", b"new")
        unit.after_commit(lambda: seen.append(units.stamp))
    assert before < seen[0] < units.stamp


def test_who_writes_beside_those_that_write_together_waits_for_them():
    """Another thread's change is none of theirs: it is not kept with them, and not undone with them."""
    units, written = Units(MemoryStorage(), lambda: 1.0), threading.Event()

    def write():
        with units.write() as unit:
            unit.tx.put("row", b"theirs")
        written.set()

    def fail_together():
        with units.together():
            writer.start()
            assert not written.wait(0.1)
            raise RuntimeError

    writer = threading.Thread(target=write)
    with pytest.raises(RuntimeError):
        fail_together()
    writer.join(5)
    assert units.read(lambda unit: unit.tx.get("row")) == b"theirs"


def test_those_that_write_together_have_the_turn():
    """Who may not wait sees that it is taken, until they are done; then it is free."""
    units = Units(MemoryStorage(), lambda: 1.0)
    with ThreadPoolExecutor(1) as other:
        with units.together():
            assert other.submit(units.try_together).result(5) is None
        assert other.submit(units.try_together).result(5) is not None


def test_what_follows_a_commit_may_write():
    """Whichever thread commits has the turn by then, and not the one that made it."""
    units = Units(MemoryStorage(), lambda: 1.0)

    def write(value):
        with units.write() as unit:
            unit.tx.put("row", value)

    together = units.try_together()
    with together, units.write() as unit:
        unit.after_commit(lambda: write(b"after"))
    with ThreadPoolExecutor(1) as other:
        other.submit(together.commit).result(5)
    assert units.read(lambda unit: unit.tx.get("row")) == b"after"


def test_what_is_to_be_done_after_a_commit_is_done_after_the_one_they_share():
    """In the order they came, and only for those whose changes are kept."""
    units, done = Units(MemoryStorage(), lambda: 1.0), []

    def write(name, *, fails=False):
        with units.write() as unit:
            unit.after_commit(lambda: done.append(name))
            if fails:
                raise RuntimeError

    with units.together():
        write("first")
        with pytest.raises(RuntimeError):
            write("undone", fails=True)
        write("last")
        assert done == []
    assert done == ["first", "last"]


def test_a_store_that_cannot_begin_lets_the_turn_go():
    """Sealed, say: who comes next is told so as well, and does not wait for ever."""
    units = Units(MemoryStorage(), lambda: 1.0)
    begin = units._storage.begin

    def refuse(*, write):
        raise RuntimeError(write)

    units._storage.begin = refuse
    for _ in range(2):
        with pytest.raises(RuntimeError):
            units.try_together()
    units._storage.begin = begin
    with units.write() as unit:
        unit.tx.put("row", b"kept")
    assert units.read(lambda unit: unit.tx.get("row")) == b"kept"


def test_a_read_that_is_always_overtaken_takes_its_turn():
    """After a few tries it is done with the writers held back, so it ends."""
    units, seen = Units(MemoryStorage(), lambda: 1.0), Counter()
    written = threading.Event()

    def write():
        with units.write() as unit:
            unit.tx.put("row", b"new")
        written.set()

    writer = threading.Thread(target=write)

    def overtaken(unit):
        seen["tries"] += 1
        if seen["tries"] <= 8:
            raise Moved
        writer.start()
        assert not written.wait(0.1)
        return unit.tx.get("row")

    assert units.read(overtaken) is None
    writer.join(5)
    assert seen["tries"] == 9
    assert units.read(lambda unit: unit.tx.get("row")) == b"new"
