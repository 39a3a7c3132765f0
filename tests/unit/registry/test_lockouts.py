"""registry/lockouts.py: counts of failed logins."""

import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.registry import lockouts
from ml_secrets.registry.lockouts import LockoutRule, Lockouts

RULE = LockoutRule(threshold=3, duration=100, reset=50)
HERE = "auth_userpass_0"


def attempt(counts, right, now=0.0, *, name="ada", rule=RULE):
    """True when the try was let through."""
    with counts.attempt(HERE, name, now, rule) as found:
        if not found.locked:
            found.right = right
    return not found.locked


def test_the_threshold_locks_for_the_duration():
    """And the lock ends by itself, with the count at zero."""
    counts = Lockouts()
    assert [attempt(counts, right=False, now=float(n)) for n in range(4)] == [True, True, True, False]
    assert counts.all(3.0) == [(HERE, "ada")]
    assert counts.locked(HERE, "ada", 101.9)
    assert not counts.locked(HERE, "ada", 102.0)
    assert [attempt(counts, right=False, now=102.0) for _ in range(4)] == [True, True, True, False]


def test_failures_are_forgotten_after_a_while_and_by_success():
    """A forgotten password is no attack."""
    counts = Lockouts()
    for now in (0.0, 1.0, 52.0, 53.0):
        assert attempt(counts, right=False, now=now)
    assert attempt(counts, right=True, now=54.0)
    assert [attempt(counts, right=False, now=55.0) for _ in range(4)] == [True, True, True, False]


def test_names_and_mounts_are_counted_apart():
    """Each on its own."""
    counts = Lockouts()
    for _ in range(3):
        attempt(counts, right=False)
    assert attempt(counts, right=False, name="bob")
    with counts.attempt("auth_userpass_1", "ada", 0.0, RULE) as found:
        assert not found.locked


def test_a_threshold_of_zero_never_locks():
    """Switched off."""
    counts = Lockouts()
    assert all(attempt(counts, right=False, rule=LockoutRule(threshold=0)) for _ in range(50))


def test_an_operator_unlocks():
    """At once, and with the count at zero."""
    counts = Lockouts()
    for _ in range(3):
        attempt(counts, right=False)
    counts.unlock(HERE, "ada")
    assert [attempt(counts, right=False) for _ in range(4)] == [True, True, True, False]


def test_a_try_that_came_to_no_end_counts_neither_way():
    """A fault of ours is nobody's failure."""
    counts = Lockouts()
    for _ in range(10):
        assert attempt(counts, right=None)


def test_a_burst_gets_no_more_tries_than_the_rule():
    """Tries wait for those before them: of forty wrong guesses at once, three are looked at."""
    counts, together, looked = Lockouts(), threading.Barrier(40), []

    def go(number):
        together.wait()
        with counts.attempt(HERE, "ada", 0.0, RULE) as found:
            if not found.locked:
                looked.append(number)
                found.right = False

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(go, range(40)))
    assert len(looked) == 3


def test_a_burst_of_right_tries_all_go_through():
    """They wait, but none is refused."""
    counts, together = Lockouts(), threading.Barrier(20)

    def go(_):
        together.wait()
        return attempt(counts, right=True)

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(go, range(20)))


def test_the_tables_are_bounded(monkeypatch):
    """Guessing names fills no memory."""
    monkeypatch.setattr(lockouts, "_MOST_NAMES", 10)
    counts = Lockouts()
    for number in range(100):
        for _ in range(3):
            attempt(counts, right=False, name=f"n{number}")
        attempt(counts, right=False, name=f"m{number}")
    assert len(counts.all(0.0)) == 10
    assert len(counts._failures) <= 10
    assert not counts._running


@given(st.lists(st.tuples(st.sampled_from([True, False]), st.floats(0, 60)), max_size=60))
def test_a_lock_comes_exactly_after_three_failures_in_a_row(steps):
    """Property, against a model of one counter."""
    counts, now, failures, last, until = Lockouts(), 0.0, 0, 0.0, -1.0
    for right, wait in steps:
        now += wait
        assert attempt(counts, right=right, now=now) == (until <= now)
        if until > now:
            continue
        if now - last > RULE.reset:
            failures = 0
        failures, last = (0, last) if right else (failures + 1, now)
        if failures == RULE.threshold:
            failures, until = 0, now + RULE.duration
