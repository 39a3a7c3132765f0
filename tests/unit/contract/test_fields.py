"""How declared fields are read from JSON: leniently where clients need it, strictly where leniency hides mistakes."""

from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.contract.fields import (
    READERS,
    Help,
    Json,
    Names,
    Raw,
    Seconds,
    Strings,
    TextMap,
    UnixTime,
    field_of,
)
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive


def raw(value):
    return msgspec.Raw(msgspec.json.encode(value))


def read(kind, value):
    return READERS[kind][1]("f", raw(value))


@pytest.mark.parametrize(
    ("kind", "sent", "argument"),
    [
        (str, "x", "x"),
        (str, "", ""),
        (str, 5, "5"),
        (str, True, "true"),
        (str, 1.5, "1.5"),
        (int, 5, 5),
        (int, "5", 5),
        (int, "-5", -5),
        (bool, True, True),
        (bool, "true", True),
        (bool, "T", True),
        (bool, 1, True),
        (bool, "0", False),
        (bool, "", False),
        (Seconds, 90, 90),
        (Seconds, "1h30m", 5400),
        (Seconds, "", 0),
        (UnixTime, "1700000000", 1_700_000_000),
        (Strings, ["a", "b"], ("a", "b")),
        (Strings, "a, b,c", ("a", "b", "c")),
        (Strings, "", ()),
        (Strings, [], ()),
        (Strings, 7, ("7",)),
        (Strings, [1, "2"], ("1", "2")),
        (Strings, ["a,b"], ("a,b",)),
        (Names, "B, a,a,", ("a", "b")),
        (Names, ["B", "b"], ("b",)),
        (TextMap, {"a": "1"}, {"a": "1"}),
        (TextMap, {"version": 2, "on": True, "gone": None}, {"version": "2", "on": "true"}),
        (TextMap, ["a=1", "b=x=y"], {"a": "1", "b": "x=y"}),
        (TextMap, "a=1,b=2", {"a": "1", "b": "2"}),
        (TextMap, '{"a": "1"}', {"a": "1"}),
        (TextMap, "", {}),
        (TextMap, {}, {}),
        (Json, {"a": [1]}, {"a": [1]}),
        (Json, None, None),
    ],
)
def test_a_field_is_read(kind, sent, argument):
    """Every form that clients send."""
    found = read(kind, sent)
    assert found == argument
    assert type(found) is type(argument)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (str, ["x"]),
        (str, {}),
        (int, "\uff15"),
        (int, "1_000"),
        (int, " 5"),
        (int, "+5"),
        (int, "5.0"),
        (int, 5.5),
        (int, True),
        (int, "0x5"),
        (int, 2**63),
        (int, "9" * 30),
        (int, ""),
        (int, []),
        (bool, "yes"),
        (bool, 2),
        (bool, 1.0),
        (bool, []),
        (Seconds, True),
        (Seconds, 1.5),
        (Seconds, -1),
        (Seconds, "1w"),
        (Seconds, []),
        (Strings, True),
        (Strings, 1.5),
        (Strings, {}),
        (Strings, [True]),
        (Strings, [None]),
        (Strings, [["a"]]),
        (TextMap, ["a"]),
        (TextMap, [1]),
        (TextMap, 1),
        (TextMap, "a"),
        (TextMap, '["a"]'),
        (TextMap, {"a": []}),
        (TextMap, {"a": {}}),
        (Sensitive, ["x"]),
    ],
)
def test_what_is_no_such_field_is_refused(kind, sent):
    """The error names the field and the form, never the value."""
    with pytest.raises(Invalid) as caught:
        read(kind, sent)
    assert "'f'" in caught.value.message
    shown = sent if isinstance(sent, str) else ""
    assert len(shown) < 3 or shown not in str(caught.value)


@pytest.mark.parametrize("kind", [kind for kind in READERS if kind not in (Raw, Json)])
def test_null_is_nothing_sent(kind):
    """None, so that the default takes its place."""
    assert read(kind, None) is None


def test_secrets_are_wrapped_at_once():
    """The reader gives a Sensitive; numbers keep the text that was sent."""
    assert read(Sensitive, "s3cret-for-tests").reveal() == "s3cret-for-tests"
    assert (
        READERS[Sensitive][1]("f", msgspec.Raw(b" 90071992547409931234 ")).reveal() == "90071992547409931234"
    )


def test_raw_json_is_not_touched():
    """Digits, order and blanks stay as they were sent."""
    sent = msgspec.Raw(b'{"n": 90071992547409931234 , "a":1e400}')
    assert READERS[Raw][1]("f", sent) is sent


def test_names_are_not_trimmed_or_folded_beyond_ascii():
    """Check 9: a name that only Unicode makes "root" reaches `policy_name` as it is."""
    for name in (" root ", "root\t", "\uff52oot", "\u00a0root", "\u212a"):
        assert read(Names, [name]) == (name,)
    assert read(Names, "\u00a0root") == ("\u00a0root",)


def test_broken_json_is_refused_without_being_shown():
    """Deep nesting as well: no RecursionError gets out."""
    for broken in (b"[" * 100_000, b"{", b"hunter2", b"9" * 5000):
        for kind in (str, int, Strings, TextMap, Json):
            try:
                READERS[kind][1]("f", msgspec.Raw(broken))
            except Invalid as error:
                text = str(error)
            else:
                text = ""
            assert "hunter2" not in text


@given(
    st.sampled_from(list(READERS)),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=12),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ),
)
def test_any_json_is_read_or_invalid(kind, value):
    """Nothing but Invalid comes out of a reader."""
    try:
        encoded = raw(value)
    except msgspec.MsgspecError:
        return
    except OverflowError:
        encoded = msgspec.Raw(str(value).encode())
    try:
        READERS[kind][1]("f", encoded)
    except Invalid:
        return


SECRET = Annotated[Sensitive, Help("A key.", name="key")]


@pytest.mark.parametrize(
    "annotation", [SECRET, SECRET | None, Annotated[Sensitive | None, Help("A key.", name="key")]]
)
def test_help_and_none_may_be_nested_either_way(annotation):
    """`Annotated[T, Help] | None` and `Annotated[T | None, Help]` declare the same."""
    field = field_of("key_", annotation, default=None, required=False, in_path=False)
    assert (field.name, field.argument, field.help, field.sensitive) == ("key", "key_", "A key.", True)


@pytest.mark.parametrize("annotation", [bytes, list[str], dict, int | str, object, float])
def test_a_type_that_the_wire_cannot_bring_fails_at_import(annotation):
    """TypeError where the operation is declared, not where it is called."""
    with pytest.raises(TypeError):
        field_of("x", annotation, default=None, required=True, in_path=False)
