"""The engines: whichever serves, the same is found."""

import platform
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_secrets.detect import finders
from ml_secrets.errors import Invalid, Unsupported

ENGINES = finders.installed()
FEW = st.binary(max_size=200).map(lambda raw: bytes(byte % 3 for byte in raw))
HEADS = st.sets(
    st.binary(min_size=4, max_size=finders.HEAD) | FEW.filter(lambda raw: 4 <= len(raw) <= finders.HEAD),
    min_size=1,
)


def places(heads, data):
    return {at for at in range(len(data)) for head in heads if data.startswith(head, at)}


@pytest.mark.parametrize("engine", ENGINES)
@settings(deadline=None)
@given(heads=HEADS, data=FEW, pick=st.randoms(use_true_random=False))
def test_no_place_is_missed(engine, heads, data, pick):
    """Zero bytes and heads within heads included, every place where a head begins is named; Windows may name others."""
    text = data + pick.choice(sorted(heads)) + data
    found = set(finders.engine(engine)(sorted(heads)).starts(text))
    assert found >= places(heads, text)
    assert engine == "python" or found == places(heads, text)


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_in_nothing(engine):
    """No data, and data shorter than any head."""
    finder = finders.engine(engine)([b"0123456789abcdef"])
    assert not [*finder.starts(b"")]
    assert not [*finder.starts(b"012")]


def test_all_three_are_tried_here():
    """The extra `agent` is part of the development set, so no engine goes untested where there is one."""
    there = platform.machine() == "x86_64" and sys.platform == "linux"
    assert [*(["hyperscan"] if there else []), "ahocorasick", "python"] == ENGINES


def test_the_fastest_that_is_installed_serves(monkeypatch):
    """Without hyperscan it is ahocorasick_rs, without both it is ours."""
    assert finders.engine() is finders.Hyperscan
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    assert finders.engine() is finders.AhoCorasick
    monkeypatch.setitem(sys.modules, "ahocorasick_rs", None)
    assert finders.engine() is finders.Windows


def test_one_that_is_installed_and_does_not_work_is_passed_over(monkeypatch):
    """A library that fails as it is asked, as hyperscan does on a processor that it is not for."""
    import hyperscan

    def fail(*_, **__):
        raise hyperscan.error("no such processor")

    monkeypatch.setattr(hyperscan, "Scratch", fail)
    assert finders.engine() is finders.AhoCorasick


def test_an_engine_that_is_not_installed_is_refused(monkeypatch):
    """The refusal says what to install; one that nobody knows is refused by the names there are."""
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    with pytest.raises(Unsupported) as refused:
        finders.engine("hyperscan")
    assert "ml-secrets[agent]" in refused.value.hint
    with pytest.raises(Invalid) as unknown:
        finders.engine("grep")
    assert "ahocorasick" in unknown.value.hint
