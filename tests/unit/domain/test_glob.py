"""Filters on names."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ml_secrets.domain.glob import Glob
from ml_secrets.errors import Invalid

TEXT = st.text(alphabet="ab/*", max_size=8)


@given(TEXT, st.text(alphabet="ab/", max_size=12))
@example("a*a", "a")
@example("*", "")
@example("**", "x")
@example("*b*b", "ab")
@example("a*b*a", "aba")
def test_a_filter_matches_what_its_regular_expression_matches(text, name):
    """`*` is any run of characters, all else is itself."""
    pattern = ".*".join(re.escape(piece) for piece in text.split("*"))
    assert Glob(text).matches(name) == (re.fullmatch(pattern, name, re.DOTALL) is not None)


@given(TEXT, st.text(alphabet="ab/", min_size=1, max_size=12))
def test_no_folder_of_a_match_is_out_of_reach(text, name):
    """Leaving out folders that are out of reach leaves out no name that fits."""
    if Glob(text).matches(name):
        for at in (at for at, letter in enumerate(name) if letter == "/"):
            assert Glob(text).reaches(name[: at + 1])


def test_a_folder_apart_is_out_of_reach():
    """Neither above nor below what every match begins with."""
    assert not Glob("team/a*").reaches("team/b/")
    assert not Glob("team").reaches("other/")


class Watched(str):
    """A name that notes where it is searched from."""

    __slots__ = ("begun",)

    def find(self, piece, start, end):
        self.begun.append(start)
        return super().find(piece, start, end)


def test_no_filter_is_slow():
    """What a backtracking matcher would work on for hours is one search for each piece, each from where the last one ended."""
    name = Watched("a" * 510)
    name.begun = []
    assert not Glob("a*" * 250 + "b").matches(name)
    assert name.begun == []
    assert not Glob("*" + "a*" * 250 + "b*").matches(name)
    assert name.begun == list(range(251))


def test_a_filter_has_an_end():
    """A longer one than any name is refused."""
    assert Glob("a" * 512).matches("a" * 512)
    with pytest.raises(Invalid, match="the filter is too long: at most 512 characters"):
        Glob("a" * 513)
