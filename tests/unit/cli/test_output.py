"""Tables, bare values and control characters."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.cli import output


def test_columns_line_up():
    """Each column is as wide as its widest cell; nothing trails."""
    assert (
        output.table(("Key", "Value"), [("a", "1"), ("longer", "2")])
        == "Key       Value\n---       -----\na         1\nlonger    2"
    )


def test_a_value_of_several_lines_stays_in_its_column():
    """A certificate can be read in a table."""
    assert output.pairs({"pem": "one\ntwo"}).splitlines()[2:] == ["pem    one", "       two"]


@given(st.text())
def test_a_stored_value_cannot_steer_the_terminal(value):
    """No escape, carriage return or direction mark reaches the screen from a table."""
    shown = output.pairs({"k": value})
    assert not any(ord(character) < 32 and character not in "\n\t" for character in shown)
    assert not set(shown) & set("\x7f\x9b\u202e\u2066")


@given(st.text())
def test_a_bare_value_is_exact(value):
    """--field gives text back as it is."""
    assert output.bare(value) == value


@pytest.mark.parametrize(
    ("value", "shown"), [(None, ""), (True, "true"), (7, "7"), (["a"], '["a"]'), ({"k": None}, '{"k": null}')]
)
def test_a_bare_value_that_is_no_text_is_json(value, shown):
    """Programs can read it back."""
    assert output.bare(value) == shown


@given(st.dictionaries(st.text(), st.text()))
def test_json_is_exact(document):
    """JSON output reads back the same."""
    assert json.loads(output.as_json(document)) == document


def test_yaml_is_exact():
    """Texts that look like other types come back as text."""
    import yaml

    document = {"a": "no", "b": "1", "c": "null", "d": "x: y\n", "e": "2024-01-01", "f": ["é"]}
    assert yaml.safe_load(output.as_yaml(document)) == document
