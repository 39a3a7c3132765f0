"""Work that signals do not cut short."""

import signal
import threading

import pytest

from ml_secrets.server.whole import whole

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2)


@pytest.fixture
def handled():
    """What came to the handlers of a program, in order; that of SIGINT raises, as Python's own does."""
    before, came = [(number, signal.getsignal(number)) for number in HANDLED], []

    def handle(number, _):
        came.append(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt

    for number in HANDLED:
        signal.signal(number, handle)
    yield came
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.parametrize("numbers", [HANDLED, HANDLED[::-1]])
def test_signals_wait_until_the_work_is_done(handled, numbers):
    """All of them are handled then, although one of their handlers raises; and afterwards at once again."""
    done = []

    def work():
        with whole():
            for number in numbers:
                signal.raise_signal(number)
                done.append(list(handled))

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [[]] * len(HANDLED)
    assert sorted(handled) == sorted(HANDLED)
    handled.clear()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGUSR1)
    assert handled == [signal.SIGINT, signal.SIGUSR1]


def test_a_signal_that_comes_while_handlers_are_put_back_is_handled_at_once(handled, monkeypatch):
    """Also by one that is not back yet."""
    put_back = signal.signal

    def interrupted(number, handler):
        signal.raise_signal(number)
        put_back(number, handler)

    def work():
        with whole():
            monkeypatch.setattr(signal, "signal", interrupted)

    with pytest.raises(KeyboardInterrupt):
        work()
    monkeypatch.undo()
    assert sorted(handled) == sorted(HANDLED)


def test_the_works_own_error_goes_on(handled):
    """With the handlers back in their places."""

    def work():
        with whole():
            raise ZeroDivisionError

    before = [signal.getsignal(number) for number in HANDLED]
    with pytest.raises(ZeroDivisionError):
        work()
    assert [signal.getsignal(number) for number in HANDLED] == before


def test_what_nobody_handles_is_left_alone(handled):
    """A signal that is ignored stays so, and one that ends the process would."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    with whole():
        found = signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGUSR2)
        signal.raise_signal(signal.SIGUSR1)
    assert found == (signal.SIG_IGN, signal.SIG_DFL)
    assert handled == []


def test_threads_need_it_not(handled):
    """No handler runs there, and none can be set."""
    handlers = []

    def work():
        with whole():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
