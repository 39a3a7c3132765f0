"""The lines: who has a place, what changes share, and that nobody waits for an answer that does not come."""

import asyncio
import threading
import time

import pytest

from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Request
from ml_secrets.errors import Limited, StoreFull
from ml_secrets.server.disk import PROMPT
from ml_secrets.server.lines import MOST_ON_THE_LOOP, MOST_TOGETHER, ChangeLine, Line, Places
from ml_secrets.storage.staged import _Rows
from ml_secrets.testing.programs import ROOT_TOKEN

PATIENCE = 60.0


def change(name):
    return Request(name, Verb.WRITE, f"cubbyhole/{name}", token=ROOT_TOKEN, fields={"key": b'"FAKE"'})


class Watched:
    """Notes which requests are carried together; the first batch waits for `go`."""

    def __init__(self, pipeline, monkeypatch):
        self.together, self.go, self.begun = [], threading.Event(), threading.Event()
        handle_all = pipeline.handle_all

        def handle(requests):
            self.together.append([request.id for request in requests])
            self.begun.set()
            assert self.go.wait(10)
            return handle_all(requests)

        monkeypatch.setattr(pipeline, "handle_all", handle)

    async def until_begun(self):
        """The first one is under way."""
        assert await asyncio.to_thread(self.begun.wait, 10)


@pytest.fixture
def watched(server, monkeypatch):
    """See `Watched`."""
    return Watched(server.server.pipeline, monkeypatch)


@pytest.fixture
def changes(server):
    """The line of changes."""
    made = ChangeLine(server.server.pipeline, Places(1000, 1000))
    yield made
    made.close()


def test_those_that_come_meanwhile_are_carried_together(changes, watched):
    """One change is carried at once and alone; those that came by the time it was done, together and in their order."""

    async def run():
        first = asyncio.ensure_future(changes.answer(change("first"), "me", PATIENCE))
        await watched.until_begun()
        rest = [asyncio.ensure_future(changes.answer(change(f"r{n}"), "me", PATIENCE)) for n in range(5)]
        await asyncio.sleep(0)
        watched.go.set()
        return [outcome.error for outcome in await asyncio.gather(first, *rest)]

    assert asyncio.run(run()) == [None] * 6
    assert watched.together == [["first"], ["r0", "r1", "r2", "r3", "r4"]]


@pytest.fixture
def begun(server, monkeypatch):
    """The ids of short changes that were made together on the event loop, and in which thread each group was committed."""
    pipeline, groups, threads = server.server.pipeline, [], []
    begin_all = pipeline.begin_all

    def begin(requests):
        assert threading.current_thread() is threading.main_thread()
        commit = begin_all(requests)
        groups.append([request.id for request in requests] if commit is not None else None)
        return commit and (lambda: threads.append(threading.current_thread().name) or commit())

    monkeypatch.setattr(pipeline, "begin_all", begin)
    return groups, threads


@pytest.fixture(params=["a prompt disk", "a slow disk", "pages to move"])
def committed_by(request, changes, monkeypatch):
    """Who commits what was made on the loop, and why."""
    if request.param == "a prompt disk":
        return "MainThread"
    if request.param == "a slow disk":
        monkeypatch.setattr(type(changes._disk), "prompt", property(lambda _: False))
    else:
        monkeypatch.setattr("ml_secrets.storage.staged.StagedStorage.overdue", property(lambda _: True))
    return "changes"


def test_short_changes_are_made_on_the_loop(server, changes, begun, committed_by):
    """Those of one turn together, at most so many; the others after them, in their order. Where their commit takes long, it is the thread's."""
    groups, threads = begun
    count = MOST_ON_THE_LOOP + 2

    async def run():
        asked = [changes.answer(change(f"r{n}"), "me", PATIENCE, short=True) for n in range(count)]
        return [outcome.error for outcome in await asyncio.gather(*asked)]

    assert asyncio.run(run()) == [None] * count
    names = [f"r{n}" for n in range(count)]
    assert groups == [names[:MOST_ON_THE_LOOP], names[MOST_ON_THE_LOOP:]]
    assert threads == [committed_by] * 2
    assert server.ask("GET", f"cubbyhole/r{count - 1}").status == 200


def test_a_disk_that_turns_out_slow_is_left_to_the_thread(server, changes, begun, monkeypatch):
    """The loop waits for it once, and for that has it measured."""
    _, threads = begun
    commit, wait = _Rows.commit, PROMPT * 60

    def slowly(*given):
        time.sleep(wait)
        return commit(*given)

    monkeypatch.setattr(_Rows, "commit", slowly)

    async def run():
        return [(await changes.answer(change(n), "me", PATIENCE, short=True)).error for n in "abc"]

    assert asyncio.run(run()) == [None] * 3
    assert threads == ["MainThread", "changes", "changes"]


def test_short_changes_and_others_keep_their_order(changes, begun, watched):
    """A short one that came later is made later; what is not short never runs on the loop."""
    groups, _ = begun
    watched.go.set()
    kinds = [True, False, True, True, False]

    async def run():
        asked = [
            changes.answer(change(f"r{n}"), "me", PATIENCE, short=short) for n, short in enumerate(kinds)
        ]
        return [outcome.error for outcome in await asyncio.gather(*asked)]

    assert asyncio.run(run()) == [None] * 5
    assert groups == [["r0"], ["r2", "r3"]]
    assert watched.together == [["r1"], ["r4"]]


def test_a_short_change_that_would_wait_waits_in_the_thread(server, changes, begun, watched):
    """Another writer has the turn: the loop goes on, and the change is made when the turn is free."""
    groups, _ = begun
    watched.go.set()

    async def run():
        with server.house.units.write():
            asked = asyncio.ensure_future(changes.answer(change("first"), "me", PATIENCE, short=True))
            await watched.until_begun()
            assert not asked.done()
        return (await asked).error

    assert asyncio.run(run()) is None
    assert groups == [None]
    assert watched.together == [["first"]]


def test_a_commit_that_fails_on_the_loop_is_told_to_each(server, changes, monkeypatch):
    """And the next ones are made."""

    def full(*_):
        raise StoreFull("FAKE")

    async def ask(*names):
        asked = [changes.answer(change(name), "me", PATIENCE, short=True) for name in names]
        return [type(outcome.error) for outcome in await asyncio.gather(*asked)]

    async def run():
        with monkeypatch.context() as patch:
            patch.setattr("ml_secrets.storage.staged._Rows.commit", full)
            refused = await ask("a", "b")
        return refused, await ask("c", "d")

    assert asyncio.run(run()) == ([StoreFull] * 2, [type(None)] * 2)
    assert [server.ask("GET", f"cubbyhole/{name}").status for name in "abcd"] == [404, 404, 200, 200]


def test_a_late_short_change_is_refused_undone(server, changes, begun):
    """As among the others."""

    async def run():
        asked = [
            changes.answer(change("late"), "me", 0.0, short=True),
            changes.answer(change("last"), "me", PATIENCE, short=True),
        ]
        return await asyncio.gather(*asked)

    late, last = asyncio.run(run())
    assert isinstance(late.error, Limited)
    assert last.error is None
    assert server.ask("GET", "cubbyhole/late").status == 404


def test_a_thread_that_cannot_start_ends_no_line(changes, monkeypatch):
    """The first change gets the error; when there are threads again, the next one is made."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    async def run():
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError):
                await changes.answer(change("first"), "me", PATIENCE)
        return (await changes.answer(change("second"), "me", PATIENCE)).error

    assert asyncio.run(run()) is None


def test_a_failure_on_the_loop_ends_no_line(server, changes, monkeypatch, caplog):
    """Whoever came with it gets the error at once, and the next one is served."""
    pipeline = server.server.pipeline

    async def run():
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "begin_all", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await changes.answer(change("first"), "me", PATIENCE, short=True)
        return (await changes.answer(change("second"), "me", PATIENCE, short=True)).error

    assert asyncio.run(run()) is None
    assert "changes failed: ZeroDivisionError" in caplog.text


def test_a_commit_keeps_so_many_and_no_more(changes, watched):
    """A long queue is carried in several commits, and all of it is."""
    count = MOST_TOGETHER + 3

    async def run():
        first = asyncio.ensure_future(changes.answer(change("first"), "me", PATIENCE))
        await watched.until_begun()
        rest = [asyncio.ensure_future(changes.answer(change(f"r{n}"), "me", PATIENCE)) for n in range(count)]
        await asyncio.sleep(0)
        watched.go.set()
        return [outcome.error for outcome in await asyncio.gather(first, *rest)]

    assert asyncio.run(run()) == [None] * (count + 1)
    assert [len(batch) for batch in watched.together] == [1, MOST_TOGETHER, 3]


def test_who_waited_too_long_is_refused_undone(server, changes, watched):
    """Its time was over before its turn came: 429, and nothing was done; the one after it is served."""

    async def run():
        first = asyncio.ensure_future(changes.answer(change("first"), "me", PATIENCE))
        await watched.until_begun()
        late = asyncio.ensure_future(changes.answer(change("late"), "me", 0.0))
        last = asyncio.ensure_future(changes.answer(change("last"), "me", PATIENCE))
        await asyncio.sleep(0)
        watched.go.set()
        return await asyncio.gather(first, late, last)

    outcomes = asyncio.run(run())
    assert [isinstance(outcome.error, Limited) for outcome in outcomes] == [False, True, False]
    assert watched.together == [["first"], ["last"]]
    assert server.ask("GET", "cubbyhole/late").status == 404


def test_a_caller_that_goes_away_keeps_nobody_from_an_answer(changes, watched):
    """A cancelled request is carried all the same (it had begun to wait), and the others are answered."""

    async def run():
        first = asyncio.ensure_future(changes.answer(change("first"), "me", PATIENCE))
        await watched.until_begun()
        gone = asyncio.ensure_future(changes.answer(change("gone"), "me", PATIENCE))
        last = asyncio.ensure_future(changes.answer(change("last"), "me", PATIENCE))
        await asyncio.sleep(0)
        gone.cancel()
        watched.go.set()
        return [outcome.error for outcome in await asyncio.gather(first, last)]

    assert asyncio.run(run()) == [None, None]
    assert watched.together == [["first"], ["gone", "last"]]


def test_a_failure_nobody_foresaw_ends_no_line(server, changes, monkeypatch, caplog):
    """Whoever came with it gets the error at once, and the next one is served."""
    pipeline = server.server.pipeline

    def broken(requests):
        raise RuntimeError("FAKE canary")

    async def run():
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "handle_all", broken)
            with pytest.raises(RuntimeError):
                await changes.answer(change("first"), "me", PATIENCE)
        return (await changes.answer(change("second"), "me", PATIENCE)).error

    assert asyncio.run(run()) is None
    assert "changes failed: RuntimeError" in caplog.text
    assert "canary" not in caplog.text


def test_closing_answers_those_that_wait(server, watched):
    """What was asked before the end is answered; closing twice, or without ever having been asked, is no error."""
    pipeline = server.server.pipeline
    changes = ChangeLine(pipeline, Places(10, 10))

    async def run():
        asked = [asyncio.ensure_future(changes.answer(change(f"r{n}"), "me", PATIENCE)) for n in range(3)]
        await watched.until_begun()
        watched.go.set()
        await asyncio.to_thread(changes.close)
        return [outcome.error for outcome in await asyncio.gather(*asked)]

    assert asyncio.run(run()) == [None] * 3
    changes.close()
    ChangeLine(pipeline, Places(1, 1)).close()


def test_a_loop_that_has_ended_stops_no_line(server, watched):
    """The answers of a loop that is gone are dropped; the changes are made."""
    changes = ChangeLine(server.server.pipeline, Places(10, 10))
    loop = asyncio.new_event_loop()
    task = loop.create_task(changes.answer(change("first"), "me", PATIENCE))
    loop.run_until_complete(watched.until_begun())
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    watched.go.set()
    changes.close()
    assert server.ask("GET", "cubbyhole/first").status == 200


def test_a_line_has_so_many_places_and_so_many_for_one():
    """Each caller has a share, all together have a limit, and a place that was left is free again."""
    places = Places(3, 2)
    with places.place("a"), places.place("a"):
        with pytest.raises(Limited), places.place("a"):
            pass
        with places.place("b"), pytest.raises(Limited), places.place("c"):
            pass
        with places.place("c"):
            pass


def test_a_full_line_refuses_at_once(server, watched):
    """In both kinds of line: 429 with the advice to come back, without waiting."""
    pipeline = server.server.pipeline
    lines = [
        ChangeLine(pipeline, Places(0, 1)),
        Line(pipeline, pipeline.handle, Places(0, 1), threads=1),
    ]
    for line in lines:
        outcome = asyncio.run(line.answer(change("x"), "me", PATIENCE))
        assert isinstance(outcome.error, Limited)
        assert outcome.error.retry_after == 1
        line.close()


def test_late_in_a_line_of_threads_is_refused_too(server):
    """As among the changes."""
    pipeline = server.server.pipeline
    line = Line(pipeline, pipeline.handle, Places(1, 1), threads=1)
    outcome = asyncio.run(line.answer(change("x"), "me", 0.0))
    line.close()
    assert isinstance(outcome.error, Limited)
    assert server.ask("GET", "cubbyhole/x").status == 404
