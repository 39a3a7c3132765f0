"""The value rule: what is kept exactly, what is refused, how one kind of content looks to the other kind of client."""

import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.domain.value import (
    DEEPEST,
    LARGEST,
    check_json,
    fields_as_json,
    is_object,
    merge_patch,
    repeats_member,
    shown_as_json,
)
from ml_secrets.errors import Invalid, TooLarge

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":"1","a":"2"}',
        b'{"a":"1","b":"","a":"1"}',
        b'{"a":"1","\\u0061":"2"}',
        b'{"\xed\xa0\x80":"1"}',
        b'{"a":"1"}"',
        b'\xef\xbb\xbf{"a":"1"}',
        b'{"x":[{"b":1,"b":1}]}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udc00\\ud800"}',
        b'{"\\ud800":1}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":-1e999}',
        b'{"a":01}',
        b'{"a":1',
        b'{"a":' + b"1" * 5000 + b"}",
        b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1),
        b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1),
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    ],
    ids=range(25),
)
def test_ambiguous_json_is_refused_without_showing_it(raw):
    """What two readers could take for different things is `Invalid`, and the text never quotes the value."""
    with pytest.raises(Invalid) as caught:
        check_json("data", raw)
    assert "data" in caught.value.message
    assert "ud800" not in str(caught.value)
    if "understands alike" in caught.value.message:
        assert caught.value.hint == "check numbers, UTF-8 and \\u escapes"
    assert caught.value.__cause__ is None


def test_deepest_and_largest_are_accepted():
    """The limits themselves are inside."""
    check_json("data", b"[" * DEEPEST + b"]" * DEEPEST)
    check_json("data", b'{"a":' * DEEPEST + b"{}".replace(b"{}", b"1") + b"}" * DEEPEST)
    check_json("data", b'"' + b"x" * (LARGEST - 2) + b'"')
    with pytest.raises(TooLarge, match=f"data is larger than {LARGEST} bytes"):
        check_json("data", b'"' + b"x" * (LARGEST - 1) + b'"')


def test_many_brackets_in_a_text_or_side_by_side_are_not_depth():
    """Depth is counted, not guessed: what is as deep as may be has as much beside it as it likes."""
    beside = b"[" + b"[]," * 300
    check_json("data", beside + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1) + b"]")
    check_json("data", beside + b'{"a":' * (DEEPEST - 1) + b"1" + b"}" * (DEEPEST - 1) + b"]")
    assert check_json("data", json.dumps({"a": "[" * 500, "b": [[]] * 300}).encode())["a"] == "[" * 500


@given(JSON)
def test_every_ordinary_value_passes(value):
    """Whatever a JSON writer writes is accepted, and read as it was meant."""
    assert check_json("data", json.dumps(value).encode()) == value
    assert check_json("data", json.dumps(value, ensure_ascii=False).encode()) == value


def test_fields_are_kept_as_they_were_sent():
    """As one object; without any there is nothing to keep, and what cannot be kept is refused by the name of the whole."""
    raw = {"a": msgspec.Raw(b"1.0"), "b": msgspec.Raw(b'{ "c":1 }')}
    assert fields_as_json(raw) == b'{"a":1.0,"b":{ "c":1 }}'
    with pytest.raises(Invalid, match="missing data fields") as caught:
        fields_as_json({})
    assert caught.value.hint.startswith("send the fields of the secret")
    with pytest.raises(Invalid, match="the secret has an object with a repeated member name"):
        fields_as_json({"a": msgspec.Raw(b'{"b":1,"b":1}')})


def reference_merge(target, patch):
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = reference_merge(target.get(name), value)
    return target


@given(JSON, JSON)
def test_merge_patch_is_the_rfcs(target, patch):
    """Equal to the algorithm of RFC 7396 on decoded values."""
    merged = merge_patch(json.dumps(target).encode(), json.dumps(patch).encode())
    assert json.loads(merged) == reference_merge(target, patch)


def test_merge_patch_goes_into_objects():
    """What an inner object has stays where the patch names others of its members."""
    target, patch = b'{"a":{"b":1,"c":{"d":2}},"e":3}', b'{"a":{"c":{"f":4,"d":null},"g":{"h":null,"i":5}}}'
    assert merge_patch(target, patch) == b'{"a":{"b":1,"c":{"f":4},"g":{"i":5}},"e":3}'


def test_merge_patch_keeps_the_bytes_it_does_not_name():
    """Digits, escapes and inner white space of other members stay."""
    target = b'{"big": 9007199254740993, "price":1.50, "e":"\\u00e9", "in": { "x" : 1e5 }, "gone": 1}'
    assert (
        merge_patch(target, b'{"gone":null,"new":1.0}')
        == b'{"big":9007199254740993,"price":1.50,"e":"\\u00e9","in":{ "x" : 1e5 },"new":1.0}'
    )


def test_repeats_member():
    """Only the top of the body counts; escapes and many members do not hide a repetition."""
    many = {f"k{n}": n for n in range(40)}
    assert not repeats_member(b"null", {})
    assert not repeats_member(b'{"a":1,"b":{"a":2}}', {"a": 1, "b": 2})
    assert not repeats_member(b'{"a":"\\"a\\"","b":{"c":1,"c":2}}', {"a": 1, "b": 2})
    assert not repeats_member(json.dumps(many).encode(), many)
    assert repeats_member(b'{"a":1,"a":2}', {"a": 2})
    assert repeats_member(b'{"a":1,"\\u0061":2}', {"a": 2})
    assert repeats_member(json.dumps(many)[:-1].encode() + b',"k3":0}', many)


def test_is_object():
    """White space ahead does not matter."""
    assert is_object(b' \n{"a":1}')
    assert not is_object(b"[1]")
    assert not is_object(b"null")


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b'{"user": "ada",  "n": 1.0}', b'{"user": "ada",  "n": 1.0}'),
        (b"plain", b'{"value":"plain"}'),
        (b'{"a":1,"a":2}', b'{"value":"{\\"a\\":1,\\"a\\":2}"}'),
        (b'{"a":"' + b"x" * LARGEST + b'"}', None),
        (b"[1]", b'{"value":"[1]"}'),
        (b"", b'{"value":""}'),
        (bytes(range(256)), b'{"value_b64":"' + base64.b64encode(bytes(range(256))) + b'"}'),
    ],
    ids=range(7),
)
def test_bytes_as_a_json_client_sees_them(content, shown):
    """An object as itself, other text as `value`, other bytes as `value_b64`."""
    seen = shown_as_json(content)
    assert seen == shown or (shown is None and json.loads(seen) == {"value": content.decode()})
