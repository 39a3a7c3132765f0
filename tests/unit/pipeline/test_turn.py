"""The writers' turn."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ml_secrets.pipeline.turn import Turn


@pytest.fixture
def other():
    """Another thread: `other(work)` returns what work returned there."""
    with ThreadPoolExecutor(1) as threads:
        yield lambda work: threads.submit(work).result(5)


def try_it(turn):
    taken = turn.take_if_free()
    if taken:
        turn.let_go()
    return taken


def test_its_holder_may_take_it_again(other):
    """It is free for others when it was let go as often as it was taken."""
    turn = Turn()
    with turn:
        with turn:
            assert not other(lambda: try_it(turn))
            assert not try_it(turn)
        assert not other(lambda: try_it(turn))
    assert other(lambda: try_it(turn))


def test_one_that_was_handed_on_is_nobodys(other):
    """Not even the thread's that had it, until one takes it over; then it is that one's, to take again and to let go."""
    turn = Turn()
    turn.take()
    turn.hand_on()
    assert not try_it(turn)
    assert not other(lambda: try_it(turn))
    other(turn.take_over)
    assert not try_it(turn)
    other(lambda: (turn.take(), turn.let_go()))
    assert not try_it(turn)
    other(turn.let_go)
    assert try_it(turn)


def test_who_got_it_without_waiting_may_take_it_again(other):
    """It is its holder like any other."""
    turn = Turn()

    def hold():
        assert turn.take_if_free()
        turn.take()
        turn.let_go()
        assert not try_it(turn)
        turn.let_go()

    other(hold)
    assert try_it(turn)


def test_who_handed_it_on_waits_like_all_others(other):
    """Until the one that took it over lets it go."""
    turn, had = Turn(), threading.Event()

    def hand_on_and_take_again():
        turn.take()
        turn.hand_on()
        turn.take()
        had.set()
        turn.let_go()

    waiting = threading.Thread(target=hand_on_and_take_again)
    waiting.start()
    assert not had.wait(0.05)
    other(lambda: (turn.take_over(), turn.let_go()))
    assert had.wait(5)
    waiting.join()


def test_who_waits_gets_it_next():
    """`take` waits until it is let go."""
    turn, had = Turn(), threading.Event()
    turn.take()
    waiting = threading.Thread(target=lambda: (turn.take(), had.set(), turn.let_go()))
    waiting.start()
    assert not had.wait(0.05)
    turn.let_go()
    assert had.wait(5)
    waiting.join()


def test_an_error_lets_it_go(other):
    """Whatever happens inside."""
    turn = Turn()
    with pytest.raises(ZeroDivisionError), turn:
        raise ZeroDivisionError
    assert other(lambda: try_it(turn))
