"""When the event loop may wait for the disk."""

import time

import pytest

from ml_secrets.server import disk
from ml_secrets.server.disk import PROMPT, REST, Disk


@pytest.fixture
def waiting(monkeypatch):
    """A disk, and what makes a commit take so long and work so much, in seconds."""

    class Clocks:
        now = work = 0.0

        def monotonic(self):
            return self.now

        def thread_time(self):
            return self.work

    clocks, one = Clocks(), Disk()
    monkeypatch.setattr(disk, "time", clocks)

    def commit(waits, works=0.0):
        with one.asked():
            clocks.now += waits + works
            clocks.work += works

    return one, commit


def test_a_disk_is_taken_for_prompt_at_first(waiting):
    """And stays so while commits wait for less than the limit, however much they have to do."""
    one, commit = waiting
    for _ in range(1000):
        assert one.prompt
        commit(PROMPT * 0.9, works=0.1)


def test_one_slow_commit_is_forgiven(waiting):
    """A single one, ten times slower than the limit, among prompt ones."""
    one, commit = waiting
    for _ in range(20):
        for waits in (PROMPT * 10, *[PROMPT / 10] * 100):
            assert one.prompt
            commit(waits)


def test_a_slow_disk_is_left_alone(waiting):
    """After a few commits; it is tried again after so many, and found out again."""
    one, commit = waiting

    def tries():
        count = 0
        while one.prompt:
            count += 1
            assert count < 10
            commit(PROMPT * 10)
        return count

    assert tries() > 1
    rested = 1
    while not one.prompt:
        rested += 1
    assert rested == REST
    commit(PROMPT * 10)
    assert tries() > 0


def test_a_commit_that_fails_counts_as_well(waiting):
    """A disk that takes its time to fail is slow, too; the error goes on."""
    one, _ = waiting

    def fail():
        with one.asked():
            disk.time.now += PROMPT * 100
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not one.prompt


def test_it_measures_with_the_machine_s_own_clocks():
    """Whoever sleeps has waited."""
    one = Disk()
    with one.asked():
        time.sleep(PROMPT * 40)
    assert not one.prompt
