"""The mask: nothing of a value comes out, however the stream is cut."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_secrets.detect import finders
from ml_secrets.detect.encodings import BLOCK, forms_of
from ml_secrets.detect.known import KnownValues
from ml_secrets.detect.mask import Mask

ENGINES = finders.installed()
FAKE = "hunter2-fake-value"
VALUES = {"db/password": "hunter2-& 'Zürich'", "api/key": "sk-fake-0123456789abcdef"}
FORMS = sorted(form for value in VALUES.values() for form in forms_of(value.encode()))
THREE_LETTERS = st.binary(max_size=120).map(lambda raw: bytes(97 + byte % 3 for byte in raw))


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


@pytest.mark.parametrize("engine", ENGINES)
def test_every_form_is_masked_when_cut_in_two(engine):
    """Each form, cut at each of its places, between two writes."""
    known = KnownValues(VALUES, engine=engine)
    for form in FORMS:
        for cut in range(len(form) + 1):
            mask = Mask(known)
            assert mask.feed(b"<" + form[:cut]) + mask.feed(form[cut:] + b">") == b"<[masked]>"


@settings(deadline=None)
@given(
    engine=st.sampled_from(ENGINES),
    values=st.lists(THREE_LETTERS.filter(lambda raw: 4 <= len(raw) < 10), max_size=6),
    data=THREE_LETTERS,
    sizes=st.lists(st.integers(0, 9), min_size=1),
)
def test_it_is_as_the_naive_mask(engine, values, data, sizes):
    """Over three letters, where everything overlaps, any engine and any cut give what looking for each form in the whole gives."""
    known = KnownValues(values, engine=engine)
    mask = Mask(known, b"#")
    forms = known.forms()
    out, at = b"", 0
    for size in sizes:
        out += mask.feed(data[at : at + size])
        at += size
    out += mask.feed(data[at:] + b".")
    assert out == naive(data + b".", forms)


@settings(deadline=None)
@given(data=st.binary(max_size=300), size=st.integers(1, 40))
def test_other_bytes_come_out_as_they_went_in(data, size):
    """Without a value in them, any bytes, any cuts."""
    mask = Mask(KnownValues([FAKE]))
    assert cuts(mask, data, size) + mask.flush() == data


def test_only_what_may_become_a_value_is_held_back():
    """Ordinary bytes come out with the call that brought them; the beginning of a value waits until it is none."""
    mask = Mask(KnownValues([FAKE]))
    assert mask.feed(b"epoch 1\n") == b"epoch 1\n"
    assert mask.feed(b"user hunt") == b"user "
    assert mask.feed(b"er") == b""
    assert mask.feed(b"s\n") == b"hunters\n"


def test_what_is_held_is_bounded():
    """A stream that is the beginning of a long value over and over: never more is held than the longest form has."""
    value = random.Random(3).randbytes(5 * BLOCK)
    mask = Mask(KnownValues([value]))
    for piece in [value[:900]] * 50:
        mask.feed(piece)
        assert len(mask._held) <= 12 * BLOCK


def test_flush_lets_go_of_a_short_beginning():
    """A prompt that ends like the beginning of a value is seen once the stream is quiet."""
    mask = Mask(KnownValues([FAKE]))
    assert mask.feed(b"login: hunt") == b"login: "
    assert mask.flush() == b"hunt"
    assert mask.flush() == b""
    assert mask.found == 0


def test_the_rest_of_what_was_let_go_is_masked():
    """A value that goes on after the quiet moment: only what was out already is out."""
    mask = Mask(KnownValues({"db": FAKE}))
    out = mask.feed(b"<hunt") + mask.flush() + mask.feed(b"er2-fake-val") + mask.feed(b"ue>")
    assert out == b"<hunt[masked]>"
    assert mask.found_by_name == {"db": 1}


def test_a_quiet_moment_within_any_form_lets_go_of_less_than_half():
    """Each form, with a flush at each of its places and one at the end: before it at most 15 bytes, and less than half, come out; after it nothing."""
    known = KnownValues(VALUES)
    for form in FORMS:
        for cut in range(len(form) + 1):
            mask = Mask(known)
            first = mask.feed(b"<" + form[:cut]) + mask.flush()
            assert first == b"<" + form[:cut] or first == b"<[masked]"
            assert first != b"<" + form[:cut] or cut < max(6, min(16, len(form) / 2))
            out = first + mask.feed(form[cut:] + b">") + mask.flush()
            assert out in (first + b">", first + b"[masked]>")
            assert (out == first + b">") == (first == b"<[masked]")


def test_a_value_that_is_printed_slowly_comes_out_for_less_than_half():
    """One byte at a time, with a flush after each."""
    mask = Mask(KnownValues([FAKE]))
    out = b"".join(mask.feed(bytes([byte])) + mask.flush() for byte in FAKE.encode() + b".")
    assert out == b"hunter2-[masked]."


def test_what_looked_like_half_a_value_and_is_none_comes_out_from_there_on():
    """After the flush other bytes follow."""
    mask = Mask(KnownValues([FAKE]))
    out = mask.feed(b"hunter2-fake") + mask.flush() + mask.feed(b"-fact and more")
    assert out == b"[masked]-fact and more"


def test_values_side_by_side_are_one_place():
    """So the output does not depend on cuts, and does not tell how many there are; each name is counted once."""
    known = KnownValues(VALUES)
    both = "".join(VALUES.values()).encode() * 2
    for size in (1, 7, len(both)):
        mask = Mask(known)
        assert cuts(mask, both, size) + mask.flush() == b"[masked]"
        assert mask.found_by_name == dict.fromkeys(VALUES, 1)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_places_are_counted_by_name(size):
    """Three times one value and once the other, however the stream is cut."""
    mask = Mask(KnownValues(VALUES))
    one, other = (value.encode() for value in VALUES.values())
    cuts(mask, b" ".join([one, one.hex().encode(), other, one, b""]), size)
    assert mask.found == 4
    assert mask.found_by_name == {"db/password": 3, "api/key": 1}


def test_a_value_that_is_added_while_the_stream_runs_is_masked():
    """From the next byte on, also where its beginning was let go before it was known; and the old one stays masked."""
    known = KnownValues({"db": FAKE})
    mask = Mask(known, b"***")
    assert mask.feed(b"new-fake-value " + FAKE.encode() + b"\n") == b"new-fake-value ***\n"
    known.add("new-fake-value", "db")
    assert mask.feed(b"new-fake-value " + FAKE.encode() + b"\n") == b"*** ***\n"
    assert mask.found_by_name == {"db": 3}


def test_what_is_out_already_is_not_masked_again():
    """A value that was let go as a beginning, and became known then: it is out, and counts for nothing."""
    known = KnownValues([FAKE])
    mask = Mask(known)
    assert mask.feed(b"hunter") + mask.flush() == b"hunter"
    known.add("hunter")
    assert mask.feed(b"s") == b"s"
    assert mask.found == 0


def test_a_mask_does_not_print_what_it_holds():
    """Neither the bytes held nor the values."""
    mask = Mask(KnownValues([FAKE]))
    mask.feed(FAKE[:-1].encode())
    assert "hunter" not in f"{mask} {mask!r}"
