"""Strict bounds that have to hold once."""

import pytest

from ml_secrets.testing.timing import holds_once


def test_the_first_good_try_is_the_last():
    """Nothing is measured again once the bound has held."""
    left = [3.0, 0.2, 0.1]
    assert holds_once(5, lambda: left.pop(0), lambda seconds: seconds < 1) == 0.2
    assert left == [0.1]


def test_a_try_that_is_good_at_once_is_the_only_one():
    """The usual case costs one measurement."""
    seen = []
    assert holds_once(5, lambda: seen.append(0) or len(seen), lambda number: number == 1) == 1
    assert len(seen) == 1


@pytest.mark.parametrize("tries", [1, 5])
def test_what_never_holds_fails_after_the_last_try(tries):
    """It is tried so often and no more, and the error tells every measurement."""
    seen = []

    def measure():
        seen.append(len(seen) + 1.5)
        return seen[-1]

    with pytest.raises(AssertionError) as caught:
        holds_once(tries, measure, lambda seconds: seconds < 1.5)
    assert len(seen) == tries
    assert str(caught.value) == f"none of {tries} tries held: {seen}"


def test_no_tries_hold_nothing():
    """A bound that nobody looked at has not held."""
    with pytest.raises(AssertionError, match="none of 0 tries held"):
        holds_once(0, lambda: 0.0, lambda seconds: True)


def test_an_error_while_measuring_is_not_tried_away():
    """Only the bound gets more tries; a wrong answer fails at once."""
    seen = []

    def measure():
        seen.append(1)
        assert len(seen) > 1, "a wrong answer"

    with pytest.raises(AssertionError, match="a wrong answer"):
        holds_once(5, measure, lambda nothing: True)
    assert len(seen) == 1
