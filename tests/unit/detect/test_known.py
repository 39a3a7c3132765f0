"""Values that were handed out: what is kept of them, and what is found."""

import copy
import json
import os
import pickle
import threading
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_secrets.detect import finders
from ml_secrets.detect.known import KnownValues
from ml_secrets.detect.mask import Mask, masked
from ml_secrets.sensitive import Sensitive

ENGINES = finders.installed()
FAKE = "hunter2-fake/value"


def names(known, data):
    return {name for span in known.search(data)[0] for name in span.names}


@settings(deadline=None)
@given(
    values=st.lists(
        st.binary(min_size=4, max_size=9).map(lambda raw: bytes(byte % 3 for byte in raw)), max_size=8
    ),
    data=st.binary(max_size=200).map(lambda raw: bytes(byte % 3 for byte in raw)),
)
def test_all_engines_find_the_same(values, data):
    """Over three byte values, zero among them: every engine, with values added one by one or at once, finds what looking for each form finds."""
    found = []
    for engine in ENGINES:
        at_once, one_by_one = KnownValues(values, engine=engine), KnownValues(engine=engine)
        for value in values:
            one_by_one.add(value)
        for known in (at_once, one_by_one):
            spans, under_way = known.search(data)
            found.append(({(start, end) for start, end, _ in spans}, under_way))
    forms = at_once.forms()
    places = {(at, at + len(form)) for form in forms for at in range(len(data)) if data.startswith(form, at)}
    cut_off = [
        at for at in range(len(data)) if any(f != data[at:] and f.startswith(data[at:]) for f in forms)
    ]
    assert found == [(places, min(cut_off, default=len(data)))] * len(found)


@pytest.mark.parametrize(
    ("value", "note", "seen", "encoded"),
    [
        ("", "not masked", False, False),
        ("abc", "not masked", False, False),
        ("  a  ", "not masked", False, False),
        ("        ", "not masked", False, False),
        ("True", "a setting", False, False),
        ("none\n", "a setting", False, False),
        ("5432", "a short number", False, False),
        ("-0.01", "a short number", False, False),
        ("1234a", "not in its encodings", True, False),
        ("abcd", "not in its encodings", True, False),
        ("aaaabbbb", "not in its encodings", True, False),
        ("543210", "", True, True),
        ("abcdef", "", True, True),
    ],
)
def test_the_rule_for_short_values(value, note, seen, encoded):
    """What is short or of little variety is masked as it is or not at all, and the caller is told."""
    known = KnownValues({"pin": value})
    assert note in known.notes.get("pin", "")
    assert bool(note) == ("pin" in known.notes)
    assert bool(names(known, f"x{value}x".encode())) == seen
    assert bool(names(known, f"x{value.encode().hex()}x".encode())) == encoded


def test_what_an_object_holds_is_known_too():
    """The key in a service account, printed with its real line ends; numbers of six digits; not true, and not a port."""
    account = {
        "key": "-----BEGIN X-----\nabc-fake-key\n",
        "deep": [{"pin": 123456, "on": True, "off": None}],
        "port": 5432,
        "as text": ["5433", "true", "null", "False"],
    }
    known = KnownValues({"account": json.dumps(account)})
    settings = "True true None null False 5432 5433"
    out = masked(f"-----BEGIN X-----\nabc-fake-key\n 123456 {settings}", known)
    assert out == f"[masked] [masked] {settings}"


def test_a_part_without_utf_8_hides_no_other():
    """A lone surrogate in one text of an object: the texts beside it are known all the same."""
    known = KnownValues(['{"odd": "\\ud800-fake", "password": "beside-it-fake"}'])
    assert masked("see beside-it-fake", known) == "see [masked]"


def test_json_within_a_text_of_json_is_known_by_its_parts():
    """A whole secret, one field of which is a service account, and in that one more."""
    account = json.dumps({"private_key": FAKE, "more": json.dumps(["deeper-fake-value"])})
    known = KnownValues({"whole": json.dumps({"key": account})})
    assert masked(f"{FAKE} deeper-fake-value", known) == "[masked] [masked]"


def test_what_only_looks_like_json_is_a_value():
    """A password that begins with a brace, and lists that are nested without end."""
    for value in ("{no-json-fake", "[" * 100_000, '["\\ud800-fake"]'):
        assert "no-json" not in masked(f"<{value}>", KnownValues([value]))
        assert masked(f"<{value}>", KnownValues([value])) == "<[masked]>"


def test_the_note_goes_when_the_secret_got_longer():
    """After a rotation to a proper value nothing is left to tell."""
    known = KnownValues({"pin": "1234"})
    assert "pin" in known.notes
    known.add("a longer fake", "pin")
    assert known.notes == {}


def test_values_may_be_text_bytes_or_sensitive():
    """All three are the same value; without names they are numbered."""
    known = KnownValues([FAKE, FAKE.encode(), Sensitive(FAKE)])
    assert names(known, FAKE.encode()) == {"value 1", "value 2", "value 3"}
    assert len(known) == 3


@pytest.mark.parametrize("engine", ENGINES)
def test_a_rotated_value_and_its_old_one_are_both_known(engine):
    """A hundred rotations of one secret: each value is found, in few parts."""
    known = KnownValues({"db": "fake-value-000"}, engine=engine)
    for number in range(1, 100):
        known.add(f"fake-value-{number:03}", "db")
        assert names(known, f"<fake-value-{number:03}>".encode()) == {"db"}
    assert all(names(known, f"<fake-value-{number:03}>".encode()) == {"db"} for number in range(100))
    assert len(known._parts) <= 10


@pytest.mark.parametrize("engine", ENGINES)
def test_threads_search_while_others_add(engine):
    """From the return of `add` on a value is found, by every thread; nothing that was known is lost meanwhile."""
    known, wrong = KnownValues(engine=engine), []

    def work(who):
        for number in range(40):
            known.add(f"fake-{who}-{number:04}", f"{who}/{number}")
            for earlier in {0, number // 2, number}:
                if not names(known, f"fake-{who}-{earlier:04}".encode()):
                    wrong.append((who, earlier))

    threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_it_works_in_a_forked_child_while_another_thread_merges():
    """A lock that was held at the fork stops neither adding nor searching in the child."""
    known = KnownValues([FAKE])
    known.prepare()
    with known._merging:
        child = os.fork()
        if child == 0:
            known.add("another-fake-value", "new")
            os._exit(0 if names(known, b"another-fake-value") and names(known, FAKE.encode()) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_it_does_not_print_or_pickle():
    """No value in repr, str, format, dir with its attributes, or what its parts print; and no pickle, of it or its parts."""
    known = KnownValues({"db": FAKE})
    known.prepare()
    (part,) = known._parts
    inner = [known, part, part._table, part._table._finder, Mask(known)]
    for each in inner:
        shown = f"{each} {each!r} {[getattr(each, name) for name in dir(each)]}"
        assert FAKE not in shown
        with pytest.raises(TypeError):
            pickle.dumps(each)
    assert repr(known) == "KnownValues(1 values)"
    assert copy.deepcopy(known) is known


def no_utf8():
    """A value that the system could not decode."""
    return Sensitive("\udc00-" + FAKE)


def test_what_is_no_value_is_refused_without_telling_it():
    """Text that has no UTF-8, given as Sensitive: neither the error nor the locals of any frame hold it."""
    with pytest.raises(ValueError) as refused:
        KnownValues({"db": no_utf8()})
    told = "".join(traceback.TracebackException.from_exception(refused.value, capture_locals=True).format())
    assert "character 0" in told
    assert FAKE not in told


def test_text_around_a_value_that_is_no_text_stays_text():
    """A value that ends within a character: what is left is text again, and the value is gone."""
    assert masked("x\x00\x01\x02\x03\x04üy", KnownValues([b"\x00\x01\x02\x03\x04\xc3"])) == "x[masked]\ufffdy"
    assert (
        masked("a lone \ud800 surrogate " + FAKE, KnownValues([FAKE])) == "a lone \ud800 surrogate [masked]"
    )
