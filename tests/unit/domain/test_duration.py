"""Durations of the wire: contract 1.0, row "durations"."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.domain.duration import MOST, go_text, parse_duration
from ml_secrets.errors import Invalid


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0),
        (90, 90),
        ("90", 90),
        ("", 0),
        ("0", 0),
        ("0s", 0),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("1.25h", 4500),
        ("1h" * 32, 115_200),
        (".5h", 1800),
        ("1.h", 3600),
        ("1d", 86_400),
        ("365d", 31_536_000),
        ("1500ms", 1),
        ("2000000us", 2),
        ("2000000\u00b5s", 2),
        ("2000000\u03bcs", 2),
        ("3000000000ns", 3),
        ("1h1h", 7200),
        (MOST, MOST),
    ],
)
def test_every_accepted_form_becomes_whole_seconds(value, seconds):
    """Integers, digits, Go's units and whole days are read."""
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "1w",
        -1,
        "-1",
        "-5s",
        "+5s",
        3600.5,
        90.0,
        "3600.5",
        True,
        False,
        None,
        float("nan"),
        [],
        {},
        b"90",
        "\uff19\uff10",
        "\u0661h",
        "1_000",
        " 90",
        "90 ",
        "90\n",
        "1d12h",
        "h",
        ".h",
        "s",
        "1 h",
        "1H",
        "500ms",
        "1ns",
        "9" * 13,
        "9" * 400,
        "1h" * 40,
        MOST + 1,
        10**30,
        f"{MOST + 1}s",
        "999999999h",
    ],
)
def test_what_would_have_to_be_guessed_is_refused(value):
    """Weeks, fractions without a unit, negative, foreign digits, blanks, too long and too short: Invalid."""
    with pytest.raises(Invalid) as caught:
        parse_duration(value)
    assert str(value) not in str(caught.value) or len(str(value)) < 3


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ("1w", "not a duration", "a whole number of seconds"),
        (MOST + 1, "the duration is too long", f"the longest is {MOST} seconds"),
    ],
)
def test_a_refusal_says_what_would_do(value, message, hint):
    """Or how long the longest is."""
    with pytest.raises(Invalid) as caught:
        parse_duration(value)
    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


@given(
    st.one_of(
        st.text(max_size=80), st.integers(), st.floats(), st.booleans(), st.none(), st.binary(max_size=9)
    )
)
def test_any_value_gives_seconds_in_range_or_invalid(value):
    """Nothing but Invalid is raised, and what is accepted lies in range."""
    try:
        seconds = parse_duration(value)
    except Invalid:
        return
    assert type(seconds) is int
    assert 0 <= seconds <= MOST


@given(st.integers(0, MOST))
def test_go_text_reads_back(seconds):
    """parse_duration undoes go_text."""
    assert parse_duration(go_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59, "59s"),
        (60, "1m0s"),
        (3600, "1h0m0s"),
        (12_319, "3h25m19s"),
        (90_061, "25h1m1s"),
        (-90, "-1m30s"),
    ],
)
def test_go_text_prints_as_go_does(seconds, text):
    """Hours are the largest unit, and smaller ones are never left out."""
    assert go_text(seconds) == text
