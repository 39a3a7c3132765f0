"""Moments as text."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.domain.instant import ordered, parse_moment, rfc3339
from ml_secrets.errors import Invalid


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000.5, "2023-11-14T22:13:20.5Z"),
        (1_700_000_000, "2023-11-14T22:13:20Z"),
        (0.000000001, "1970-01-01T00:00:00.000000001Z"),
        (0.99999999999, "1970-01-01T00:00:01Z"),
        (59.9999999999, "1970-01-01T00:01:00Z"),
        (-0.5, "1969-12-31T23:59:59.5Z"),
    ],
)
def test_moments_are_written_as_go_writes_them(seconds, text):
    """UTC, no trailing zeros, and a fraction that rounds up moves the second."""
    assert rfc3339(seconds) == text


@given(st.floats(0, 250_000_000_000))
def test_a_moment_reads_back(seconds):
    """Every moment up to the year 9892 reads back within a microsecond."""
    text = rfc3339(seconds)
    whole, _, fraction = text.removesuffix("Z").partition(".")
    read = datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp() + float(f"0.{fraction or 0}")
    assert abs(read - seconds) < 1e-4 if seconds > 1e10 else abs(read - seconds) < 1e-6


def test_names_of_rows_lie_in_the_order_of_time():
    """Or against it; whatever the moment is, there are 15 digits."""
    moments = [-5.0, 0.0, 1.5, 1.502, 1_700_000_000.0, 1e12 - 0.001, 1e15]
    names = [ordered(moment) for moment in moments]
    assert names == sorted(names)
    assert {len(name) for name in names} == {15}
    backwards = [ordered(moment, newest_first=True) for moment in moments]
    assert backwards == sorted(backwards, reverse=True)
    assert ordered(1.502) == "000000000001502"
    assert ordered(0.0) == ordered(-5.0) == "000000000000000"


NOW = 1_700_000_000.5


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("", 0.0),
        ("2027-01-31", 1_801_353_600.0),
        ("2027-01-31T12:00:00Z", 1_801_396_800.0),
        ("2027-01-31t12:00:00z", 1_801_396_800.0),
        ("2027-01-31 12:00:00+02:00", 1_801_389_600.0),
        ("2027-01-31T12:00:00.25-01:30", 1_801_402_200.25),
        ("90d", NOW - 0.5 + 90 * 86_400),
        ("1h30m", NOW - 0.5 + 5400),
    ],
)
def test_a_moment_is_read_as_people_write_it(text, moment):
    """RFC 3339 with any offset, a date alone, or a distance from now."""
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "1801353600",
        "\u0661",
        "0s",
        "0d",
        "-1h",
        "soon",
        "2027-1-31",
        "2027-02-29",
        "2027-13-01",
        "2027-01-31T12:00Z",
        "2027-01-31T12:00:00",
        "2027-01-31T25:00:00Z",
        "2027-01-31T12:00:60Z",
        "2027-01-31T12:00:00+99:00",
        "2027-01-31\n",
        "\u0662027-01-31",
        "0000-01-01",
        "1970-01-01",
        "1969-12-31T23:59:59Z",
    ],
)
def test_what_is_no_moment_is_refused_and_not_repeated(text):
    """Nothing is guessed: bare numbers, missing zones, days that there are not, the time before 1970."""
    with pytest.raises(Invalid) as refused:
        parse_moment(text, NOW)
    assert text not in refused.value.message
    assert refused.value.message in ("not a moment", "the moment must lie after 1970")
    if refused.value.message == "not a moment":
        assert refused.value.hint.startswith('such as "2027-01-31T12:00:00Z"')


@given(st.integers(1, 250_000_000_000))
def test_a_moment_that_was_written_is_read_back(seconds):
    """What we show is taken, and means the same."""
    assert parse_moment(rfc3339(seconds), NOW) == seconds
