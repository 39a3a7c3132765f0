"""The pure parts of commands: sources, plans, diffs, quoting, pads, private files, places."""

import base64
import io
import json
import os
import shlex
import stat
import subprocess
import sys

import dotenv
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml_secrets.cli import import_sources
from ml_secrets.cli.exporting import as_env, as_shell
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.files import write_private
from ml_secrets.cli.kv_place import Place
from ml_secrets.cli.kv_versions import compare
from ml_secrets.cli.operator import _counts
from ml_secrets.cli.operator_shares import decode_token

SHOW = "import json, os; print(json.dumps({name: os.environ[name] for name in os.environ if name.startswith('X_')}))"
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True)
VALUES = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\x00"))


@given(st.dictionaries(NAMES, VALUES, min_size=1))
def test_what_is_exported_as_env_is_read_back_exactly(fields):
    """python-dotenv, which is what programs use, reads the same values."""
    assert dict(dotenv.dotenv_values(stream=io.StringIO(as_env(fields)), interpolate=False)) == fields


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(NAMES.map(lambda name: f"X_{name}"), VALUES, min_size=1))
@example({"X_A": "it's $(echo run) `echo run` \\' \"\n#"})
def test_what_is_exported_for_a_shell_is_read_back_exactly(fields):
    """And nothing that a value holds is run."""
    script = f"{as_shell(fields)}\nexec {shlex.quote(sys.executable)} -c {shlex.quote(SHOW)}"
    shown = subprocess.run(
        ["/bin/sh", "-a"], input=script.encode(), capture_output=True, timeout=20, check=True
    ).stdout
    assert json.loads(shown) == fields


def test_a_field_without_a_variable_name_of_its_own_is_refused():
    """Two fields never fall together silently."""
    assert as_env({"api-key": "fake"}) == "API-KEY".lower().replace("-", "_") + "='fake'"
    for fields in ({"a-b": "1", "a_b": "2"}, {"1st": "x"}, {"": "x"}):
        with pytest.raises(LocalError):
            as_env(fields)


def source(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return import_sources.from_file(str(file), None)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1\nfake-key-without-a-name\n", 2),
        ("KEY=-----BEGIN PRIVATE KEY-----\n\n\nfake/key/without+a+name\n-----END PRIVATE KEY-----\n", 4),
        ("A='fake-key-without-a-name\n", 1),
        ("A=1\n\nA=fake-key-without-a-name\n", 3),
    ],
)
def test_a_line_of_a_dotenv_file_that_is_refused_is_not_quoted(tmp_path, text, line):
    """It may be a value that lost its key, or a line out of a private key. Its number is told."""
    with pytest.raises(LocalError, match=rf"x\.env, line {line}: ") as caught:
        source(tmp_path, "x.env", text)
    assert "fake" not in caught.value.message + caught.value.hint


def test_a_dotenv_file_without_values_is_nothing_to_import(tmp_path):
    """It does not become a secret without fields."""
    assert source(tmp_path, "x.env", "# nothing here\n") == {}


def test_an_object_of_objects_is_a_folder(tmp_path):
    """An object that holds anything else is a secret."""
    found = source(
        tmp_path, "x.json", '{"a": {"b": {"k": "v"}, "c": {"k": {"deep": 1}, "l": 1}}, "d/e": {"k": "v"}}'
    )
    assert found == {"a/b": {"k": "v"}, "a/c": {"k": {"deep": 1}, "l": 1}, "d/e": {"k": "v"}}
    assert source(tmp_path, "y.json", '{"user": "ada"}') == {"": {"user": "ada"}}


def test_yaml_values_stay_what_was_written(tmp_path):
    """Dates, on, octal and underscored numbers are text; what JSON has keeps its type; nothing is constructed."""
    found = source(
        tmp_path,
        "x.yaml",
        "d: 2024-01-01\no: on\nn: 0o17\nu: 1_000\ni: 7\nf: 1.5\nt: true\nz: null\ns: '7'\n",
    )
    assert found == {
        "": {
            "d": "2024-01-01",
            "o": "on",
            "n": "0o17",
            "u": "1_000",
            "i": 7,
            "f": 1.5,
            "t": True,
            "z": None,
            "s": "7",
        }
    }
    with pytest.raises(LocalError):
        source(tmp_path, "y.yaml", "!!python/object/apply:os.system ['true']")


@pytest.mark.parametrize(
    "text",
    [
        "a: fake-1\nb: x\na: fake-2\n",
        "s: {a: {k: fake-1, k: fake-2}}\n",
        "a: 0.12345678901234567890\n",
        f"a: {'1' * 5000}\n",
        "a: !!binary ZmFrZQ==\n",
        "a: !!timestamp 2024-01-01\n",
        "a: !!set {fake}\n",
        "a: !!int fake\n",
        f"a: {'[' * 5000}\n",
        f"a: {'[' * 5000}{']' * 5000}\n",
        "- fake\n",
    ],
    ids=range(11),
)
def test_yaml_that_would_not_arrive_as_written_is_refused(tmp_path, text):
    """Doubled keys, lost digits, YAML's own types, bottomless text; without a value in the message."""
    with pytest.raises(LocalError) as caught:
        source(tmp_path, "x.yaml", text)
    assert "fake" not in caught.value.message + caught.value.hint
    assert caught.value.hint


def test_yaml_merges_are_merged(tmp_path):
    """`<<` is no field; a key of the map's own goes before a merged one."""
    found = source(tmp_path, "x.yaml", "base: &base {user: ada, port: 1}\ndb: {<<: *base, port: 2}\n")
    assert found["db"] == {"user": "ada", "port": 2}


@pytest.mark.parametrize(
    ("name", "text"), [("x.env", "KEY=fake\n"), ("x.json", '{"KEY": "fake"}'), ("x.yaml", "KEY: fake\n")]
)
def test_a_byte_order_mark_is_no_part_of_a_key(tmp_path, name, text):
    """Some editors write one at the beginning of a file; in a key nobody would see it."""
    assert source(tmp_path, name, f"\ufeff{text}") == {"": {"KEY": "fake"}}


@pytest.mark.parametrize("text", ["KEY\n", "A=1\n???\n", "A='unclosed\n"])
def test_a_line_that_is_no_assignment_is_not_passed_over(tmp_path, text):
    """A variable is never lost silently."""
    with pytest.raises(LocalError) as caught:
        source(tmp_path, "x.env", text)
    assert "line" in caught.value.message


def test_a_diff_hides_values_unless_told():
    """Names and kinds of change show; values do not."""
    before, after = {"a": "fake-1", "b": "fake-2", "c": "same"}, {"a": "fake-3", "c": "same", "d": "fake-4"}
    hidden = compare(before, after, reveal=False)
    assert [(name, change["change"]) for name, change in hidden.items()] == [
        ("a", "changed"),
        ("b", "removed"),
        ("d", "added"),
    ]
    assert "fake" not in str(hidden)
    assert compare(before, after, reveal=True)["a"] == {"change": "changed", "from": "fake-1", "to": "fake-3"}


def test_one_and_true_are_not_the_same():
    """Python calls them equal; a program that reads the secret does not. The order of keys says nothing."""
    assert compare({"a": 1}, {"a": True}, reveal=True)["a"]["change"] == "changed"
    assert compare({"a": [1.0]}, {"a": [1]}, reveal=True)["a"]["change"] == "changed"
    assert not compare({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, reveal=True)


@given(st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789._", min_size=1, max_size=40), st.data())
def test_a_root_token_comes_out_of_its_pad(token, data):
    """Base64 with or without padding."""
    pad = data.draw(st.text("abcdef0123456789", min_size=len(token), max_size=len(token)))
    mixed = bytes(left ^ right for left, right in zip(token.encode(), pad.encode(), strict=True))
    for encoded in (base64.b64encode(mixed).decode(), base64.b64encode(mixed).decode().rstrip("=")):
        assert decode_token(encoded, pad) == token


@pytest.mark.parametrize(
    ("encoded", "pad"), [("!!", "x"), ("AAAA", "x"), ("", "x"), ("AAAA", "é"), ("////", "aaa")]
)
def test_a_pad_that_does_not_fit_is_refused_without_a_word_of_either(encoded, pad):
    """One message for every way in which they do not belong together."""
    with pytest.raises(LocalError) as caught:
        decode_token(encoded, pad)
    assert caught.value.message == "the encoded token and the one-time password do not belong together"


def test_a_private_file_is_private_new_and_whole(tmp_path):
    """0600 under any umask, never over something, never through a link, nothing left beside it."""
    held = os.umask(0)
    try:
        write_private(tmp_path / "secret", b"fake")
    finally:
        os.umask(held)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for taken in ("secret", "link"):
        with pytest.raises(LocalError):
            write_private(tmp_path / taken, b"other")
    assert (tmp_path / "secret").read_bytes() == b"fake"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "secret"]


@pytest.mark.parametrize("folder", ["none", "file"])
def test_a_file_that_cannot_be_written_says_why_and_what_next(tmp_path, folder):
    """Name, reason, next step; nothing is left behind."""
    (tmp_path / "file").write_text("fake")
    with pytest.raises(LocalError) as caught:
        write_private(tmp_path / folder / "x", b"fake-secret")
    assert caught.value.message.startswith(f"cannot write {tmp_path / folder / 'x'}: No")
    assert caught.value.hint == "check the name and its folder"


def test_paths_of_a_place():
    """KV 2 has parts, KV 1 has none."""
    assert Place("team", "a/b", 2).data == "team/data/a/b"
    assert Place("team", "", 2).keys == "team/metadata"
    assert Place("team", "a", 1).data == Place("team", "a", 1).keys == "team/a"
    assert Place("team", "", 2).below("x").shown == "team/x"


def test_init_asks_for_five_shares_and_three_unless_told_otherwise():
    """Each number has its default, whatever the other one is; what a seal does not have is left for the server to refuse."""
    usual = {"secret_shares": 5, "secret_threshold": 3}
    assert _counts({"key_shares": None}, automatic=False) == usual
    assert _counts({"key_shares": 7}, automatic=False) == usual | {"secret_shares": 7}
    assert _counts({"recovery_threshold": 2}, automatic=True) == {
        "recovery_shares": 5,
        "recovery_threshold": 2,
    }
    assert _counts({"key_shares": 5}, automatic=True) == {"secret_shares": 5}
