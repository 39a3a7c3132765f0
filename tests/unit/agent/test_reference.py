"""References: what is one, what is none, and what the refusal shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets import Invalid
from ml_secrets.agent.reference import Reference, is_reference
from ml_secrets.domain.path import canonical_path


@pytest.mark.parametrize(
    ("text", "path", "fields", "version"),
    [
        ("secret://team-a/db", "team-a/db", (), None),
        ("secret://team-a/db/train#password", "team-a/db/train", ("password",), None),
        ("secret://m/p#user,password", "m/p", ("user", "password"), None),
        ("secret://m/p?version=3", "m/p", (), 3),
        ("secret://m/p?version=12#a", "m/p", ("a",), 12),
        ("secret://m/my%20db#a%2Cb", "m/my db", ("a,b",), None),
        ("secret://m/a@b:c=d#tls.crt", "m/a@b:c=d", ("tls.crt",), None),
        ("secret://m/größe#schlüssel", "m/größe", ("schlüssel",), None),
        ("secret://m/100%25#x%23y", "m/100%", ("x#y",), None),
        ("secret://m/why%3f#a?b", "m/why?", ("a?b",), None),
    ],
)
def test_a_reference_is_taken_apart(text, path, fields, version):
    """Path, fields and version are what stands there, decoded once."""
    found = Reference.parse(text)
    assert (found.path, found.fields, found.version) == (path, fields, version)
    assert Reference.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "secret://",
        "secret://m",
        "secret:///p",
        "secret://m/",
        "secret://m//p",
        "secret://m/../p",
        "secret://m/%2e%2E/p",
        "secret://m/a%2Fb",
        "secret://m/a b",
        "secret://m/a\n",
        "secret://m/p#",
        "secret://m/p#a,",
        "secret://m/p#,a",
        "secret://m/p#a,a",
        "secret://m/p#a,%61",
        "secret://m/p#a b",
        "secret://m/p#%0a",
        "secret://m/p#%zz",
        "secret://m/p#%",
        "secret://m/%ff",
        "secret://m/p?",
        "secret://m/p?version=",
        "secret://m/p?version=0",
        "secret://m/p?version=-1",
        "secret://m/p?version=01",
        "secret://m/p?version=1_0",
        "secret://m/p?version=１",  # a fullwidth digit
        "secret://m/p?version=1&version=2",
        "secret://m/p?Version=1",
        "secret://m/p?mount=x",
        "secret://m/p?version=9999999999",
        "secret://m/a\u0308",  # not in normal form C
        "secret://m/p\u200b",
        "secret://m/p\udcff",
        "secret://m/" + "p" * 5000,
    ],
)
def test_what_is_almost_a_reference_is_refused(text):
    """Nothing is guessed or repaired, and the refusal says how to write one."""
    assert is_reference(text)
    with pytest.raises(Invalid) as refused:
        Reference.parse(text)
    assert refused.value.hint.startswith("write it like secret://")
    assert len(refused.value.message) < 300


@pytest.mark.parametrize("text", ["hunter2-fake", "", " secret://m/p", "SECRET://m/p", "vault://m/p"])
def test_what_is_no_reference_may_be_a_value_and_is_not_shown(text):
    """A text that does not mean to be a reference is refused without a word of it."""
    assert not is_reference(text)
    with pytest.raises(Invalid) as refused:
        Reference.parse(text)
    assert not text.strip() or text.strip() not in str(refused.value)


@given(
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=2).map("/".join),
    st.lists(st.text(min_size=1).filter(str.isprintable), unique=True),
    st.none() | st.integers(1, 999_999_999),
)
def test_what_is_written_is_read_back(path, fields, version):
    """Every path that the house takes, with any fields and version, is written so that parsing gives it again."""
    try:
        canonical, folder = canonical_path(path)
    except Invalid:
        return
    if folder or "/" not in canonical or any(not f.isprintable() for f in [canonical]):
        return
    written = Reference(path, tuple(fields), version)
    try:
        text = str(written)
    except UnicodeEncodeError:  # a lone surrogate is no text
        return
    assert Reference.parse(text) == written
