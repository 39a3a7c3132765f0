"""The mask: nothing of a value comes out, however the stream is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.detect import finders
from ml_secrets.detect.encodings import forms_of
from ml_secrets.detect.known import KnownValues
from ml_secrets.detect.mask import Mask

ENGINES = finders.installed()
VALUES = {"db/password": "hunter2-& 'Zürich'", "api/key": b"sk-fake-0123456789abcdef"}
FORMS = sorted(
    form for value in (VALUES["db/password"].encode(), VALUES["api/key"]) for form in forms_of(value)
)
few_letters = lambda raw: bytes(97 + byte % 3 for byte in raw)


def cuts(mask, data, size):
    return b"".join(mask.feed(data[at : at + size]) for at in range(0, len(data), size))


def naive(data, forms, replacement=b"#"):
    """What must come out: bytes of any form are covered, covered bytes side by side are one replacement."""
    covered = [False] * len(data)
    for form in forms:
        for at in range(len(data)):
            if data.startswith(form, at):
                covered[at : at + len(form)] = [True] * len(form)
    out = b""
    for place, hidden in enumerate(covered):
        if not hidden:
            out += data[place : place + 1]
        elif place == 0 or not covered[place - 1]:
            out += replacement
    return out


@pytest.mark.parametrize("engine", ENGINES)
def test_every_form_is_masked_at_every_cut(engine):
    """All forms of two values in one stream, cut into pieces of 1 to 59 bytes: only what stood between them comes out."""
    known = KnownValues(VALUES, engine=engine)
    for size in range(1, 60):
        mask = Mask(known)
        out = cuts(mask, b" ; ".join(FORMS), size) + mask.flush()
        assert out == b" ; ".join([b"[masked]"] * len(FORMS))
        assert mask.found == len(FORMS)


@given(
    engine=st.sampled_from(ENGINES),
    values=st.lists(st.binary(min_size=4, max_size=9).map(few_letters), max_size=6),
    data=st.binary(max_size=120).map(few_letters),
    size=st.integers(1, 7),
)
def test_it_is_as_the_naive_mask(engine, values, data, size):
    """Over three letters, where everything overlaps, any engine and any cut give what looking for each form in the whole gives."""
    known = KnownValues(values, engine=engine)
    mask = Mask(known, b"#")
    forms = {form for part in known._parts for form in part.forms}
    out = cuts(mask, data + b".", size)
    assert out == naive(data + b".", forms)
