"""Filled copies of .env, JSON and YAML files: what was no reference stays byte for byte, and readers get the exact values."""

import io
import json

import dotenv
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets import Invalid, Sensitive
from ml_secrets.agent import formats
from ml_secrets.agent.contents import Fields, FieldsOf
from ml_secrets.agent.documents import Document, variables
from ml_secrets.agent.gather import Value
from ml_secrets.agent.reference import Reference
from ml_secrets.agent.texts import Text

READABLE = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)
AWKWARD = "it's \"x\" \\n \\' $HOME `id` # no\n\tline: {two}\n  \u2028\x85\x7f \U0001f511 é"


class Known(dict):
    """Values for any reference: what its first field is called."""

    def __init__(self, value):
        super().__init__()
        text = value if isinstance(value, str) else json.dumps(value)
        self.value = Value(Sensitive(text), Sensitive(json.dumps(value, ensure_ascii=False)), 1)

    def __missing__(self, reference):
        return self.value


def filled(source, kind, value):
    return Document.parse(source, kind, "a-file").filled(Known(value)).reveal()


# ── .env ────────────────────────────────────────────────────────────────────────────────────────────────────────────

ENV = """# kept secret://not/this

PLAIN=1 # kept
export KEY=secret://m/p#f
  URL = "postgres://u:{{ secret://m/p#f }}@h"   # gone
MULTI='two
lines'
EMPTY=
LAST=secret://m/q#f"""


def test_a_dotenv_file_is_filled():
    """Lines without a reference are kept with their comments and spaces; the others are written anew, exported as before."""
    assert filled(ENV, "dotenv", "fake") == ENV.replace("KEY=secret://m/p#f", "KEY='fake'").replace(
        'URL = "postgres://u:{{ secret://m/p#f }}@h"   # gone', "URL='postgres://u:fake@h'"
    ).replace("LAST=secret://m/q#f", "LAST='fake'")


@given(READABLE)
def test_what_a_dotenv_file_was_filled_with_is_read_from_it(value):
    """By python-dotenv, exactly, whatever quotes, line ends and backslashes are in it."""
    text = filled("A=1\nB=secret://m/p#f\nC=2\n", "dotenv", value)
    file = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")  # line ends as in a file
    assert dotenv.dotenv_values(stream=file, interpolate=False) == {"A": "1", "B": value, "C": "2"}


def test_variables_are_filled_in_by_others(monkeypatch):
    """`${NAME}` is taken from the file and the surroundings, as python-dotenv does it, so a reference may depend on them."""
    monkeypatch.setenv("STAGE", "prod")
    found = variables("HOST=db.${STAGE}\nKEY=secret://app-${STAGE}/db#k\nURL=${HOST}/x\n", ".env")
    assert found["URL"].filled({}).reveal() == "db.prod/x"
    assert found["KEY"].references == (Reference("app-prod/db", ("k",)),)


@pytest.mark.parametrize(
    ("source", "line"), [("A=1\nfake-value-without-key\n", 2), ("\n\nexport A\n", 3), ("A='fake-open\n", 1)]
)
def test_a_line_that_is_none_is_refused(source, line):
    """By its number; it may be a value that lost its key."""
    with pytest.raises(Invalid, match=f"line {line}: this is not KEY=value") as refused:
        Document.parse(source, "dotenv", ".env")
    assert "fake" not in str(refused.value)


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_json_file_is_filled():
    """Keys, numbers and spaces stay as they are written; a value becomes what the field is."""
    source = '{ "secret://key/x#y" :1.50, "a":["secret://m/p#f", "b\\"\\u007b{ secret://m/p#f }}", "c"],\n\t"n": null}'
    assert filled(source, "json", 5432) == source.replace('"secret://m/p#f"', "5432").replace(
        '\\u007b{ secret://m/p#f }}"', '5432"'
    )
    assert json.loads(filled(source, "json", {"k": [1]}))["a"][0] == {"k": [1]}


@given(JSON)
def test_what_a_json_file_was_filled_with_is_read_from_it(value):
    """Exactly, with its type."""
    assert json.loads(filled('["secret://m/p#f"]', "json", value)) == [value]


@pytest.mark.parametrize(
    "source", ['{"a": fake-value}', "", '["fake-value]', "[" * 100_000, "[" + "9" * 5000 + "]"]
)
def test_what_is_no_json_is_refused(source):
    """By its position, never by what stands there."""
    with pytest.raises(Invalid, match="is not valid JSON") as refused:
        Document.parse(source, "json", "a.json")
    assert "fake" not in str(refused.value)
    assert "999" not in str(refused.value)


# ── YAML ────────────────────────────────────────────────────────────────────────────────────────────────────────────

YAML = """%YAML 1.1
---
# kept
a: secret://m/p#f   # kept
secret://key/x#y: 1
? secret://key/z#y
: *x
q: 'secret://m/p#f'
d: "\\x7b{ secret://m/p#f }} \\t"
x: &x !!str secret://m/p#f
flow: {a: "secret://m/p#f", b: [secret://m/p#f, 2]}
block: |
  a {{ secret://m/p#f }}
  b
# kept
fold: >-
  {{ secret://m/p#f }}
  b
last: 1
---
second: secret://m/p#f
...
"""


def test_a_yaml_file_is_filled():
    """Comments, tags, anchors, keys and the other documents stay; every kind of scalar is filled."""
    text = filled(YAML.replace(": *x", ": 1"), "yaml", "fake")
    one, two = yaml.safe_load_all(text)
    assert one == {
        "a": "fake",
        "secret://key/x#y": 1,
        "secret://key/z#y": 1,
        "q": "fake",
        "d": "fake \t",
        "x": "fake",
        "flow": {"a": "fake", "b": ["fake", 2]},
        "block": "a fake\nb\n",
        "fold": "fake b",
        "last": 1,
    }
    assert two == {"second": "fake"}
    kept = [
        line for line in YAML.splitlines() if "secret://m" not in line and line.strip() not in ("b", ": *x")
    ]
    assert [line for line in kept if line not in text.splitlines()] == ["block: |", "fold: >-"]


@given(JSON)
def test_what_a_yaml_file_was_filled_with_is_read_from_it(value):
    """Exactly, with its type: also numbers and characters that YAML 1.1 takes for something else."""
    assert yaml.safe_load(filled("a:\n  b: secret://m/p#f\n", "yaml", value)) == {"a": {"b": value}}
    assert yaml.safe_load(filled("a: [secret://m/p#f]\n", "yaml", value)) == {"a": [value]}


@pytest.mark.parametrize("size", [999, 1000, 1024, 5000])
def test_long_keys_are_keys_in_yaml(size):
    """YAML takes a key of more than 1,024 characters for one only if that is said."""
    value = {"k" * size: {"é" * (size // 6): 1, "x": "y" * size}}
    assert yaml.safe_load(filled("a: {b: secret://m/p#f}\n", "yaml", value)) == {"a": {"b": value}}
    assert yaml.safe_load(of_secret("yaml", value)) == value


def test_a_yaml_file_that_is_nested_too_deeply_is_refused_at_once():
    """It would keep the parser busy for minutes; a hundred levels are taken."""
    assert filled("[" * 100 + "secret://m/p" + "]" * 100, "yaml", "x") == "[" * 100 + '"x"' + "]" * 100
    with pytest.raises(Invalid, match="nested too deeply"):
        Document.parse("[" * 100_000, "yaml", "a.yaml")


@pytest.mark.parametrize("source", ["a: [fake-value", "a: 'fake-value", "a: b: fake-value", "\t- fake"])
def test_what_is_no_yaml_is_refused(source):
    """By its line, never by what stands there."""
    with pytest.raises(Invalid, match="is not valid YAML") as refused:
        Document.parse(source, "yaml", "a.yaml")
    assert "fake" not in str(refused.value)


@pytest.mark.parametrize(
    ("source", "kind", "line"),
    [
        ("A=1\nB=secret://m\n", "dotenv", 2),
        ('[\n"secret://m"]', "json", 2),
        ("a: 1\nb: secret://m", "yaml", 2),
    ],
)
def test_a_broken_reference_is_told_by_its_line(source, kind, line):
    """With what is wrong with it."""
    with pytest.raises(Invalid, match=f"a-file, line {line}.*names a mount and no secret"):
        Document.parse(source, kind, "a-file")


# ── fields ──────────────────────────────────────────────────────────────────────────────────────────────────────────

TABLE = {"plain": AWKWARD, "port": 5432, "rate": 1e20, "list": ["a", None], "none": None, "yes": True}


def of_secret(kind, table, *fields):
    reference = Reference("m/p", fields)
    text = json.dumps(table if len(fields) != 1 else table[fields[0]], ensure_ascii=False)
    value = Value(Sensitive("-"), Sensitive(text), 1)
    return FieldsOf(reference, kind).filled({reference: value}).reveal()


def test_the_fields_of_a_secret_are_written_in_each_format():
    """JSON and YAML keep types; .env has texts, JSON for what is none."""
    assert json.loads(of_secret("json", TABLE)) == TABLE
    assert yaml.safe_load(of_secret("yaml", TABLE)) == TABLE
    read = dotenv.dotenv_values(stream=io.StringIO(of_secret("dotenv", TABLE)), interpolate=False)
    assert read == {
        "plain": AWKWARD,
        "port": "5432",
        "rate": "1e+20",
        "list": '["a", null]',
        "none": "null",
        "yes": "true",
    }
    assert json.loads(of_secret("json", TABLE, "port")) == {"port": 5432}
    assert yaml.safe_load(of_secret("yaml", {})) == {}


def test_a_field_that_is_no_variable_is_refused_in_a_dotenv_file():
    """By its name; the value is not shown."""
    with pytest.raises(Invalid, match="'a-b' makes no variable name") as refused:
        of_secret("dotenv", {"a-b": "fake"})
    assert "fake" not in str(refused.value)


def test_named_texts_are_written_in_each_format():
    """One that is a reference keeps its type where the format has any."""
    texts = {
        "port": Text.parse("secret://m/p#f"),
        "url": Text.parse("h:{{ secret://m/p#f }}"),
        "plain": Text.parse("x"),
    }
    written = {kind: Fields(texts, kind).filled(Known(5432)).reveal() for kind in ("json", "yaml", "dotenv")}
    assert json.loads(written["json"]) == {"port": 5432, "url": "h:5432", "plain": "x"}
    assert yaml.safe_load(written["yaml"]) == {"port": 5432, "url": "h:5432", "plain": "x"}
    assert written["dotenv"] == "port='5432'\nurl='h:5432'\nplain='x'\n"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (".env", "dotenv"),
        ("prod.env", "dotenv"),
        ("a.json", "json"),
        ("a.yml", "yaml"),
        ("a.yaml", "yaml"),
        ("a", None),
    ],
)
def test_a_name_tells_its_format(name, kind):
    """By its ending."""
    assert formats.kind_of(name) == kind
