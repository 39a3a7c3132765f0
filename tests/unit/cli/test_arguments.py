"""Data on the command line."""

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.cli import arguments, terminal
from ml_secrets.cli.failures import LocalError


@pytest.fixture
def stdin(monkeypatch):
    """Give the next command this on stdin."""

    def give(raw):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))

    return give


def test_values_stay_text():
    """Numbers, truth values and equals signs are text, as in Vault's CLI."""
    assert arguments.data(["a=1", "b=true", "c=x=y", "d="]) == {"a": "1", "b": "true", "c": "x=y", "d": ""}


def test_a_key_given_twice_becomes_a_list():
    """Later values join the earlier ones."""
    assert arguments.data(["p=a", "p=b", "p=c"]) == {"p": ["a", "b", "c"]}


def test_a_file_is_taken_byte_for_byte(tmp_path):
    """@FILE keeps the last line end."""
    file = tmp_path / "key.pem"
    file.write_bytes(b"fake\r\nkey\n")
    assert arguments.data([f"key=@{file}"]) == {"key": "fake\r\nkey\n"}


def test_a_file_that_is_no_text_is_refused_without_its_content(tmp_path):
    """Neither the message nor what it was made from holds the bytes."""
    file = tmp_path / "raw"
    file.write_bytes(b"fake\xff")
    with pytest.raises(LocalError) as caught:
        arguments.data([f"key=@{file}"])
    assert "fake" not in str(caught.value).replace(str(file), "")
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("raw", "value"),
    [(b"one\n", "one"), (b"one\r\n", "one"), (b"one", "one"), (b"a\nb\n", "a\nb\n"), (b" x ", " x ")],
)
def test_stdin_loses_the_line_end_of_a_single_line_only(stdin, raw, value):
    """`echo` adds a line end that nobody meant; a key file's is part of it."""
    stdin(raw)
    assert arguments.data(["k=-"]) == {"k": value}


def test_escaped_signs_are_plain_text():
    r"""\@, \- and \? begin values that look like the signs; other backslashes stay."""
    assert arguments.data([r"a=\@x", r"b=\-", r"c=\?", r"d=\n", "e=-x", "f=??"]) == {
        "a": "@x",
        "b": "-",
        "c": "?",
        "d": r"\n",
        "e": "-x",
        "f": "??",
    }


def test_json_keeps_its_types(stdin, tmp_path):
    """From JSON, numbers, null, lists and objects stay what they are; big whole numbers keep every digit."""
    stdin(b'{"n": 9007199254740993123, "t": true, "z": null}')
    file = tmp_path / "more.json"
    file.write_text('{"l": [1, 0.5], "o": {"k": "v"}}')
    assert arguments.data(["-", f"@{file}"]) == {
        "n": 9007199254740993123,
        "t": True,
        "z": None,
        "l": [1, 0.5],
        "o": {"k": "v"},
    }


@pytest.mark.parametrize(
    "source",
    [
        '{"a": 1, "a": 2}',
        '{"a": 0.12345678901234567890}',
        '{"a": NaN}',
        '{"a": 1e999}',
        f'{{"a": 1e-{"1" * 400}}}',
        f'{{"a": 1{"0" * 5000}}}',
        "[1]",
        "{",
        "[" * 100_000,
        '{"a": {"b": 1, "b": 1}}',
    ],
)
def test_json_that_would_not_arrive_as_written_is_refused(source):
    """Doubled keys, lost digits, no numbers, no objects, broken and bottomless text."""
    with pytest.raises(LocalError):
        arguments.json_object(source, "stdin")


def test_a_byte_order_mark_is_no_part_of_a_json_file():
    """Some editors write one at the beginning."""
    assert arguments.json_object('\ufeff{"a": "fake"}', "x.json") == {"a": "fake"}


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(),
            st.lists,
            max_leaves=5,
        ),
    )
)
def test_what_json_can_say_arrives_as_it_was(document):
    """Any JSON object is taken as it stands."""
    assert arguments.json_object(json.dumps(document), "stdin") == document


def test_an_argument_without_a_key_is_not_repeated():
    """It may be a secret that lost its key."""
    with pytest.raises(LocalError) as caught:
        arguments.data(["user=ada", "fake-secret"])
    assert caught.value.message == "data argument 2 is not of the form key=value"


def test_nothing_waits_without_a_terminal(stdin):
    """A question that nobody can answer is an error that says how to give the value."""
    stdin(b"")
    with pytest.raises(LocalError) as caught:
        terminal.ask_secret("password")
    assert "stdin" in caught.value.hint
