"""The upkeep thread: jobs run, again while there is more, and a failing one stops nobody."""

import threading
import time

from ml_secrets.errors import Sealed
from ml_secrets.server.ticker import Job, Ticker


def test_a_job_with_more_to_do_runs_again_at_once():
    """Its interval counts only once it has nothing left."""
    done, rounds = threading.Event(), []

    def run():
        rounds.append(1)
        if len(rounds) == 3:
            done.set()
        return len(rounds) < 3

    ticker = Ticker([Job("sweep", 3600.0, run)])
    ticker.start()
    assert done.wait(10)
    ticker.stop()
    assert len(rounds) == 3


def test_a_job_that_fails_leaves_the_others_running_and_tells_no_value(caplog):
    """Its error's class is logged, its text is not: it may hold a value."""
    done = threading.Event()

    def fail():
        raise ValueError("fake-secret-in-an-error")

    def run():
        done.set()
        return False

    ticker = Ticker([Job("broken", 3600.0, fail), Job("sound", 3600.0, run)])
    ticker.start()
    assert done.wait(10)
    ticker.stop()
    assert "broken failed: ValueError" in caplog.text
    assert "fake-secret" not in caplog.text


def test_a_store_that_closes_under_a_job_is_no_failure(caplog):
    """The job finds out when it next needs a key; nothing is logged, and it is due again."""

    def work():
        raise Sealed("Vault is sealed")

    job = Job("long work", 3600.0, work)
    assert Ticker([job]).run_due() == job.due > time.monotonic()
    assert not caplog.text


def test_stop_before_start_is_harmless():
    """A server that never came up can still be closed."""
    Ticker([]).stop()
