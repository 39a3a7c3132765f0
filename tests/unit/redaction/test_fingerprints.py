"""Known values are found in all their forms by one who does not keep them."""

import gc
import os
import pickle
import random
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ml_secrets.detect.encodings import forms_of
from ml_secrets.detect.finders import SHORTEST
from ml_secrets.detect.rule import forms_by_rule
from ml_secrets.redaction.fingerprints import Fingerprints, merged

VALUE = b'sk-example-4f9d/7+Zq "not" a key'


def known(*values):
    fingerprints = Fingerprints()
    for number, value in enumerate(values):
        fingerprints.add(value, f"v{number}")
    return fingerprints


@pytest.mark.parametrize(
    "value", [VALUE, b"hunter2", b"p\xc3\xa4ss\nw\xc3\xb6rd", bytes(range(200, 256)), os.urandom(5000)]
)
@pytest.mark.parametrize("before", range(9))
def test_every_form_is_found_wherever_it_lies(value, before):
    """A form is seen whole at each offset, within other text and at the very end."""
    fingerprints = known(value)
    for form in forms_of(value):
        if len(form) >= SHORTEST:
            for after in (b"", b" and more"):
                spans = merged(fingerprints.search(b"x" * before + form + after)[0])
                assert any(s.start <= before and s.end >= before + len(form) for s in spans), form


@example(b'{"":["!  !"]}', b"", b"")
@given(st.binary(min_size=6, max_size=60), st.binary(max_size=200), st.binary(max_size=200))
def test_any_value_is_found_in_any_text(value, before, after):
    """Whatever the bytes: a value that is long and varied enough is found among others, and what is found is one of its forms, or of those of a text in it."""
    if len(set(value)) < 3 or len(value.strip()) < 6:
        return
    text = before + value + after
    spans = known(value).search(text)[0]
    assert any(s.start <= len(before) and s.end >= len(before) + len(value.rstrip()) for s in merged(spans))
    assert all(text[s.start : s.end] in forms_by_rule(value) for s in spans)


def test_other_text_is_left_alone():
    """With a thousand values, megabytes of noise and of prose hold none."""
    chance = random.Random(7)
    fingerprints = known(*(chance.randbytes(12) for _ in range(300)))
    assert fingerprints.search(chance.randbytes(300_000))[0] == []
    assert fingerprints.search(b"the quick brown fox jumps over the lazy dog. " * 3000)[0] == []


def test_text_that_repeats_a_beginning_costs_no_more_than_other_text(monkeypatch):
    """Thousands of beginnings of a value whose end is another: no digest is computed for them, but where chance put letters into one class."""
    value = b"A" * 500 + b"other-end-of-it"
    computed = []
    digest = Fingerprints._digest
    monkeypatch.setattr(Fingerprints, "_digest", lambda self, form: computed.append(1) or digest(self, form))
    counts = []
    for _ in range(5):
        fingerprints = known(value + b"!", value + b"?")
        computed.clear()
        assert fingerprints.search(b"A" * 20_000)[0] == []
        counts.append(len(computed))
    assert min(counts) < 100


@pytest.mark.parametrize("numpy", [False, True])
def test_long_texts_are_searched_whole(numpy, monkeypatch):
    """At the edges of the blocks that are looked at, with numpy in the process and without; the same values in the same places."""
    if numpy:
        pytest.importorskip("numpy")
    else:
        monkeypatch.setitem(sys.modules, "numpy", None)
    values = [VALUE, b"hunt-2r", b"ab1cd"]
    fingerprints = known(*values)
    for block in (1 << 16, 2 << 16, 3 << 16):
        for value in values:
            for at in range(block - len(value) - 2, block + 3):
                text = bytearray(b"." * (4 << 16))
                text[at : at + len(value)] = value
                assert [s[:2] for s in merged(fingerprints.search(bytes(text))[0])] == [(at, at + len(value))]
    late = b"another-value-that-came-later"
    fingerprints.add(late, "late")
    assert fingerprints.search(b"." * 100_001 + late)[0]


def held_by(thing, done):
    """All bytes and texts that can be reached from an object."""
    for inner in gc.get_referents(thing):
        if isinstance(inner, bytes | str):
            yield inner if isinstance(inner, bytes) else inner.encode()
        elif id(inner) not in done and not isinstance(inner, type):
            done.add(id(inner))
            yield from held_by(inner, done)


def test_no_part_of_a_value_is_kept():
    """Nothing that can be reached from what is known has six bytes of any form of the value."""
    fingerprints = known(VALUE)
    parts = {form[at : at + 6] for form in forms_of(VALUE) for at in range(len(form) - 5)}
    held = list(held_by(fingerprints, set()))
    assert len(held) > 100
    assert not [text for text in held for part in parts if part in text]


def test_they_neither_print_nor_pickle():
    """What is known of values stays in this process."""
    fingerprints = known(VALUE)
    assert "sk-" not in repr(fingerprints)
    with pytest.raises(TypeError):
        pickle.dumps(fingerprints)


def test_short_values_follow_the_rule_of_detect():
    """Shorter than 4 bytes is not looked for; shorter than 6 as it is only."""
    fingerprints = known(b"abc", b"ab1cd")
    assert fingerprints.search(b"abc abc")[0] == []
    assert [s[:2] for s in fingerprints.search(b"is ab1cd")[0]] == [(3, 8)]
    assert fingerprints.search(b"ab1cd".hex().encode())[0] == []


def test_settings_are_no_secrets():
    """A port, true, null: they are in every log, and their fields stand beside the password."""
    fingerprints = known(b"5432", b"true", b"null", b"False")
    assert fingerprints.search(b"port 5432, ssl true, null, false, False")[0] == []
    assert known(b"543210").search(b"543210")[0]


def test_parts_of_an_object_are_known_too():
    """A value that is JSON is printed in parts."""
    fingerprints = known(b'{"user": "somebody-9", "nested": ["password-7"]}')
    assert [s.start for s in fingerprints.search(b"password-7, somebody-9")[0]] == [0, 12]


def test_it_is_told_where_a_value_may_be_under_way():
    """A stream keeps what may go on as a value. Whether a beginning is one for certain nobody can say who does not keep the value."""
    fingerprints = known(VALUE)
    assert fingerprints.search(b"see " + VALUE[:20])[1] <= 4
    assert not fingerprints.telling(VALUE[:20])
    assert Fingerprints().search(b"text")[1] == 4
