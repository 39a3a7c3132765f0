"""Cursors: sealed places in a list."""

import pytest

from ml_secrets.errors import Invalid
from ml_secrets.testing.whole import Whole


@pytest.fixture(scope="module")
def cursors():
    """Those of an open server."""
    whole = Whole()
    yield whole.house.cursors
    whole.close()


@pytest.mark.parametrize("place", ["", "a", "team/ä", "x" * 512])
def test_a_cursor_opens_for_its_purpose_alone(cursors, place):
    """The same place comes out; for another list it is none."""
    cursor = cursors.seal("list 1", place)
    assert cursors.open("list 1", cursor) == place
    with pytest.raises(Invalid):
        cursors.open("list 2", cursor)


def test_a_cursor_tells_nothing(cursors):
    """Neither the place nor its length; and no two are alike."""
    long, short = cursors.seal("p", "team-a/db"), cursors.seal("p", "x")
    assert len(long) == len(short)
    assert cursors.seal("p", "x") != short


@pytest.mark.parametrize("text", ["x", "ä", "A" * 5000, "bXMB", "=", "A" * 64, "A" * 63, "bXMBAQ" + "A" * 80])
def test_what_is_no_cursor_is_refused(cursors, text):
    """As a bad request, whatever it is."""
    with pytest.raises(Invalid):
        cursors.open("p", text)


def test_a_changed_cursor_is_refused(cursors):
    """Any letter of it."""
    cursor = cursors.seal("p", "x")
    for at in range(0, len(cursor) - 1, 40):
        changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        with pytest.raises(Invalid):
            cursors.open("p", changed)
