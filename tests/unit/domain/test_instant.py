"""Moments as text."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.domain.instant import ordered, rfc3339


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
