"""Configuration files as trees."""

import pytest

from ml_secrets.domain.tree import parse
from ml_secrets.errors import Invalid

BLOCKS = """
ui = true
listener "tcp" { address = "127.0.0.1:1" }
listener "unix" { address = "/run/x" }
vault { retry { num_retries = 3 } }
"""
TREE = {
    "ui": True,
    "listener": [{"tcp": {"address": "127.0.0.1:1"}}, {"unix": {"address": "/run/x"}}],
    "vault": [{"retry": [{"num_retries": 3}]}],
}


def test_hcl_json_and_toml_are_trees():
    """Blocks are lists, their labels nested; a text that looks like JSON is JSON, whatever its file is called."""
    assert parse(BLOCKS, ".hcl") == TREE
    assert (
        parse('{"ui": true}', ".hcl")
        == parse('{"ui": true}', ".json")
        == parse("ui = true", ".toml")
        == {"ui": True}
    )


@pytest.mark.parametrize(
    ("text", "suffix", "complaint"),
    [
        ("a = ", ".toml", "not valid TOML"),
        ("a = " + "[" * 5000, ".toml", "nested too deeply"),
        ("{", ".json", "not valid JSON"),
        ('{"a":' * 5000, ".json", "nested too deeply"),
        ("a = [", ".hcl", "not valid HCL: line 1"),
        ("a = 1\na = 2", ".hcl", "'a' comes twice"),
    ],
)
def test_what_is_no_tree_is_refused(text, suffix, complaint):
    """The refusal says what is wrong and where."""
    with pytest.raises(Invalid, match=complaint):
        parse(text, suffix)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a = <<END\none\n  two\nEND\n", "one\n  two\n"),
        ("a = <<-END\n    one\n      two\n\n    END\n", "one\n  two\n\n"),
        ("a = <<END\nEND", ""),
        ('a = <<END\n{{ with secret "x" }}"}}\n ENDED\nEND\n', '{{ with secret "x" }}"}}\n ENDED\n'),
    ],
)
def test_a_here_document_is_a_text(text, found):
    """As templates are written in HCL: up to the line that is its mark alone, with or without its indent."""
    assert parse(text, ".hcl") == {"a": found}
    assert parse(f"{text}\nb = <<X\n1\nX", ".hcl") == {"a": found, "b": "1\n"}
