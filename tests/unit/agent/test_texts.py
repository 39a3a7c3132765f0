"""Texts with references in them."""

import copy
import pickle

import pytest

from ml_secrets import Invalid, Sensitive
from ml_secrets.agent.gather import Value
from ml_secrets.agent.reference import Reference
from ml_secrets.agent.texts import Text

DB = Reference("team-a/db", ("password",))
KEY = Reference("openai/key")
VALUES = {
    DB: Value(Sensitive("fake-one"), Sensitive('"fake-one"'), 1),
    KEY: Value(Sensitive('{"k":1}'), Sensitive('{"k":1}'), 2),
}


@pytest.mark.parametrize(
    ("text", "parts", "filled"),
    [
        ("secret://team-a/db#password", (DB,), "fake-one"),
        ("secret://openai/key", (KEY,), '{"k":1}'),
        ("{{ secret://team-a/db#password }}", (DB,), "fake-one"),
        ("a:{{secret://team-a/db#password}}@b", ("a:", DB, "@b"), "a:fake-one@b"),
        ("{{ secret://team-a/db#password }}{{\tsecret://openai/key }}", (DB, KEY), 'fake-one{"k":1}'),
        ("{{ jinja }} and {secret://x}", ("{{ jinja }} and {secret://x}",), "{{ jinja }} and {secret://x}"),
        ("see secret://team-a/db", ("see secret://team-a/db",), "see secret://team-a/db"),
        ("", (), ""),
    ],
)
def test_a_text_is_taken_apart_and_filled(text, parts, filled):
    """What is a reference, alone or in braces, is replaced; everything else stays."""
    found = Text.parse(text)
    assert found.parts == parts
    assert found.filled(VALUES).reveal() == filled
    assert found.references == tuple(part for part in parts if isinstance(part, Reference))


@pytest.mark.parametrize(
    "text",
    [
        "secret://team-a",
        " secret://team-a/db",
        "\nsecret://team-a/db",
        "fake-plain {{ secret://team-a/db",
        "fake-plain {{ secret://team-a/d b }}",
        "fake-plain {{ secret://team-a }}",
        "fake-plain {{ secret://a/b#c }} {{secret://}}",
        "fake-plain {{\nsecret://a/b }}",
    ],
)
def test_what_is_almost_a_reference_is_refused(text):
    """It would be delivered as it stands otherwise. The text around it is not shown."""
    with pytest.raises(Invalid) as refused:
        Text.parse(text)
    assert "fake-plain" not in str(refused.value)


def test_a_text_does_not_show(capsys):
    """A plain part may be a value that nobody moved yet."""
    text = Text.parse("fake-plain")
    print(text, repr(text), f"{text}")
    assert "fake" not in capsys.readouterr().out
    with pytest.raises(TypeError):
        pickle.dumps(text)
    assert copy.copy(text) is text


def test_a_filled_text_is_sensitive():
    """And the value of one that is a reference is what was fetched, version and all."""
    assert "fake" not in repr(Text.parse("x{{ secret://team-a/db#password }}").filled(VALUES))
    assert Text.parse("secret://openai/key").filled(VALUES) is VALUES[KEY]
