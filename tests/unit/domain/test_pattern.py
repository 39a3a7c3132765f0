"""What patterns match, cover and reach; checked against all paths of a small world."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.domain.pattern import compile_pattern, widened

WORDS = ["a", "ab", "+", ""]
WORLD = ["/".join(parts) for size in (1, 2, 3, 4) for parts in itertools.product(WORDS, repeat=size)]
texts = st.builds(
    lambda parts, ending: ("/".join(parts) + ending).replace("+*", "+/*"),
    st.lists(st.sampled_from(["a", "ab", "+", "+b"]), min_size=1, max_size=3),
    st.sampled_from(["", "*", "/*", "/"]),
)


@given(texts, texts)
def test_what_a_covered_pattern_matches_the_covering_one_matches(one, other):
    """`covers` is never wrong when it says yes."""
    wide, narrow = compile_pattern(one), compile_pattern(other)
    if wide.covers(narrow):
        for path in WORLD:
            assert wide.matches(path) or not narrow.matches(path), (one, other, path)


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("*", "a/b", True),
        ("a/*", "a/b*", True),
        ("a/*", "a/+/b", True),
        ("a/*", "+/b", False),
        ("a/+/c*", "a/+/cd*", True),
        ("a/+/c*", "a/+/+", False),
        ("a/+", "a/+", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b*", False),
        ("+/+", "+/b", True),
        ("+/b", "+/+", False),
        ("+/*", "+/b", True),
        ("+/b/*", "+/b*", False),
        ("+/b", "+/b/c", False),
        ("+/b/*", "a/b/*", False),
        ("a", "+", False),
        ("a/b+*", "a/b+c*", True),
        ("a b/*", "a b/+", True),
    ],
)
def test_covering(wide, narrow, covers):
    """Each kind beside each other kind; globs without `+` are not looked for under one with `+`."""
    assert compile_pattern(wide).covers(compile_pattern(narrow)) is covers


@given(texts, st.sampled_from(["a/", "ab/", "a/ab/", "+/"]))
def test_reaching_means_that_something_matches(text, folder):
    """In a world of short paths, a pattern reaches a folder exactly where a path at or below it could match."""
    pattern = compile_pattern(text)
    matching = any(
        pattern.matches(path)
        for path in [*WORLD, folder[:-1]]
        if path == folder[:-1] or path.startswith(folder)
    )
    if matching:
        assert pattern.reaches(folder)


@pytest.mark.parametrize(
    ("text", "folder"),
    [("+/ab", "x/abc/"), ("+/a/c*", "x/ab/"), ("+/a", "x/b/"), ("+", "x/y/"), ("a", "ab/")],
)
def test_not_reaching(text, folder):
    """A segment is a whole one, but for the last of a pattern that ends in `*`."""
    assert not compile_pattern(text).reaches(folder)


@given(
    st.lists(st.sampled_from(["a", "{{x}}", "b{{x}}", "{{a/b}}c", "+"]), min_size=1, max_size=3),
    st.sampled_from(["", "/*", "*"]),
)
def test_a_widened_pattern_matches_whatever_the_templates_stand_for(parts, ending):
    """Any value without a slash, an empty one, too."""
    text = ("/".join(parts) + ending).replace("+*", "+/*")
    for value in ("", "a", "b.c", "x y"):
        filled = text.replace("{{x}}", value).replace("{{a/b}}", value)
        asked = filled.removesuffix("*").replace("+", "seg")
        assert widened(text).matches(asked)
        if ending:
            assert widened(text).matches(asked + "deeper/still")
