import threading

import pytest
from tests.unit.storage.exercise import put

from ml_secrets.storage.interface import Moved
from ml_secrets.storage.memory import _Rows
from ml_secrets.storage.staged import StagedStorage


class Slow(_Rows):
    """Rows that become visible one by one, when the test says so."""

    def __init__(self):
        super().__init__()
        self.slow, self.half, self.go_on = False, threading.Event(), threading.Event()

    def show(self, changes):
        for number, (key, value) in enumerate(changes.items()):
            if self.slow and number == 1:
                self.half.set()
                assert self.go_on.wait(10)
            super().show({key: value})


@pytest.fixture
def half_shown():
    """A storage with rows a and b, and a commit of new ones that is half visible."""
    rows = Slow()
    storage = StagedStorage(rows)
    put(storage, {"a": b"1", "b": b"1"})
    before = storage.begin(write=False)
    assert before.get("a") == b"1"
    rows.slow = True
    writer = threading.Thread(target=put, args=(storage, {"a": b"2", "b": b"2"}))
    writer.start()
    assert rows.half.wait(10)
    yield storage, rows, before
    rows.go_on.set()
    writer.join(10)


def test_half_a_commit_is_not_read(half_shown):
    """A read that began before gets Moved: neither the new row nor, beside it, the old one."""
    _, rows, before = half_shown
    assert rows.peek("a") == b"2"
    assert rows.peek("b") == b"1"
    for key in ("a", "b"):
        with pytest.raises(Moved):
            before.get(key)


def test_a_read_begins_when_a_commit_is_all_visible(half_shown):
    """One that begins in the middle waits for the end."""
    storage, rows, _ = half_shown
    seen = []

    def read():
        with storage.begin(write=False) as tx:
            seen.append((tx.get("a"), tx.get("b")))

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(0.1)
    assert seen == []
    rows.go_on.set()
    reader.join(10)
    assert seen == [(b"2", b"2")]


def test_an_error_while_storing_leaves_the_revision_at_rest():
    """The next read begins at once."""

    class Failing(_Rows):
        def store(self, changes, new):
            raise ZeroDivisionError

    storage = StagedStorage(Failing())
    with pytest.raises(ZeroDivisionError):
        put(storage, {"a": b"1"})
    assert storage.revision == 0
    assert storage.begin(write=False).get("a") is None
