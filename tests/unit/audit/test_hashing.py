"""What a log shows of values."""

import hmac
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_secrets.audit.hashing import Hasher
from ml_secrets.sensitive import Sensitive

KEY = b"k" * 32
NONE = frozenset()


def hashed(text, key=KEY):
    data = text if isinstance(text, bytes) else text.encode()
    return "hmac-sha256:" + hmac.digest(key, data, "sha256").hex()


@pytest.fixture
def hasher():
    return Hasher(KEY)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(min_size=1, max_size=100))
def test_is_hmac_sha256(text, key):
    """A hash is HMAC-SHA256 under the device's key, whatever the key's length."""
    assert Hasher(key).text(text) == hashed(text, key)


def test_hash_differs_between_devices_and_is_stable_within_one(hasher):
    """112: two devices hash one value differently; one device hashes it always the same."""
    assert hasher.text("x") == Hasher(KEY).text("x") != Hasher(b"other" * 8).text("x")


def test_texts_are_hashed_one_by_one_and_the_rest_stays(hasher):
    """Texts in maps and lists are hashed one by one; numbers, truth, null and map keys stay, as OpenBao does."""
    sent = {"a": "hello", "n": 5, "l": ["one", 3, True, None, {"k": "v"}], "o": {"p": "", "f": 1.5}}
    assert hasher.members(sent, NONE, NONE) == {
        "a": hashed("hello"),
        "n": 5,
        "l": [hashed("one"), 3, True, None, {"k": hashed("v")}],
        "o": {"p": hashed(""), "f": 1.5},
    }


def test_raw_json_is_looked_into(hasher):
    """Values that were kept as raw JSON are hashed like decoded ones."""
    raw = msgspec.Raw(b'{"a":"hello","n":123456789012345678901234567890}')
    assert hasher.members({"data": raw}, NONE, NONE) == {
        "data": {"a": hashed("hello"), "n": 123456789012345678901234567890}
    }


def test_a_mounts_keys_show_texts_at_any_depth(hasher):
    """A key that the mount names shows its texts at any depth, and those of a list, but not of maps below, as OpenBao does."""
    sent = {"data": {"a": "hello", "l": ["one", {"k": "v", "z": "zz"}], "o": {"p": "q", "a": "deep"}}}
    assert hasher.members(sent, NONE, ["a", "l", "k", "o"]) == {
        "data": {
            "a": "hello",
            "l": ["one", {"k": "v", "z": hashed("zz")}],
            "o": {"p": hashed("q"), "a": "deep"},
        }
    }


def test_a_member_declared_plain_is_shown_whole(hasher):
    """A member that its operation declares plain is shown with all that is in it; the others are not."""
    sent = {
        "options": {"v": "2", "l": ["x", ("y",)], "raw": msgspec.Raw(b'{"w":"3"}')},
        "password": "p",
        "raw": msgspec.Raw(b'"r"'),
    }
    assert hasher.members(sent, {"options", "raw"}, NONE) == {
        "options": {"v": "2", "l": ["x", ["y"]], "raw": {"w": "3"}},
        "password": hashed("p"),
        "raw": "r",
    }


@pytest.mark.parametrize("plain", [NONE, {"v"}])
def test_secret_types_are_never_shown(hasher, plain):
    """What is secret by its type, and JSON that nobody can read, is not shown even where the member is declared plain."""
    for value in (
        Sensitive("canary-1"),
        [Sensitive("canary-1")],
        {"x": Sensitive(b"canary-1")},
        msgspec.Raw(b"canary-1"),
    ):
        assert "canary-1" not in json.dumps(hasher.members({"v": value}, plain, NONE))


def test_bytes_and_secrets_are_hashed_even_under_a_mounts_key(hasher):
    """Bytes, secrets and broken JSON under a key that the mount shows are hashed all the same."""
    values = [Sensitive("s"), b"b", bytearray(b"b"), msgspec.Raw(b"{")]
    assert hasher.members({"v": values}, NONE, ["v"]) == {
        "v": [hashed("s"), hashed(b"b"), hashed(b"b"), hashed(b"{")]
    }


class Kind(str):
    __slots__ = ()


class Point(msgspec.Struct):
    name: str
    at: tuple[int, ...]


def test_other_types_are_hashed_as_the_wire_shows_them(hasher):
    """Subtypes of text, tuples, sets, mappings and structures are taken as the JSON they become."""
    assert hasher.members({"v": Kind("x"), "t": ("x",), "s": {"x"}, "p": Point("x", (1,))}, NONE, NONE) == {
        "v": hashed("x"),
        "t": [hashed("x")],
        "s": [hashed("x")],
        "p": {"name": hashed("x"), "at": [1]},
    }

    class Table(dict):
        pass

    assert hasher.members({"d": Table(a="x")}, NONE, NONE) == {"d": {"a": hashed("x")}}


def test_what_is_nested_too_deep_is_left_out(hasher):
    """A value nested deeper than we can follow is left out, not shown and not an error."""
    value = "canary-2"
    for _ in range(5000):
        value = [value]
    assert hasher.members({"v": value}, NONE, NONE) == {"v": "too deep to be recorded"}
    raw = msgspec.Raw(b"[" * 5000 + b'"canary-2"' + b"]" * 5000)
    for plain in (NONE, {"v"}):
        assert "canary-2" not in json.dumps(hasher.members({"v": raw}, plain, NONE))


def test_half_a_character_is_hashed(hasher):
    """Text that is no valid Unicode is hashed, not refused."""
    assert hasher.text("\ud800").startswith("hmac-sha256:")


def test_tokens_are_hashed_once_each(hasher):
    """The hashes of a token are remembered, for as many tokens as are in use; a token without accessor has none."""
    assert hasher.token("key", "tok", "acc") == (hashed("tok"), hashed("acc"))
    assert hasher.token("key", "not looked at", "nor this") == (hashed("tok"), hashed("acc"))
    assert hasher.token("batch", "tok", "") == (hashed("tok"), "")
    for number in range(5000):
        hasher.token(f"k{number}", "t", "a")
    assert hasher.token("key", "changed", "") == (hashed("changed"), "")


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5).map(lambda t: f"cnry{t}cnry")
)
trees = st.recursive(
    leaves, lambda t: st.lists(t, max_size=4) | st.dictionaries(st.text("abc", max_size=3), t, max_size=4)
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text("abcxyz", max_size=3), trees, max_size=5), st.booleans())
def test_no_value_is_ever_shown(data, raw):
    """No text of the data is in what is recorded, however it is nested, decoded or raw."""
    sent = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in data.items()} if raw else data
    shown = Hasher(KEY).members(sent, NONE, NONE)
    assert "cnry" not in json.dumps(shown)
    assert shown.keys() == data.keys()
