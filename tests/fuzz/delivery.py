"""What tells us of a job's secrets, as functions of bytes: references, declarations, and files that are filled."""

import io
import json
import os
import tempfile
from pathlib import Path

import dotenv
import yaml

from ml_secrets.agent.declared import declared
from ml_secrets.agent.documents import Document
from ml_secrets.agent.gather import Value
from ml_secrets.agent.reference import Reference
from ml_secrets.agent.texts import Text
from ml_secrets.errors import Denied, Invalid
from ml_secrets.sensitive import Sensitive

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
PUT_IN = 'it\'s "quoted" \\ ${HOME} #\n\u2028é\r'
VALUE = Value(Sensitive(PUT_IN), Sensitive(json.dumps(PUT_IN)), 1)


class Any(dict):
    """Every reference has the same value."""

    def __missing__(self, reference):
        return VALUE


def references(data):
    """A text is refused, or is a reference that is written again as one that means the same."""
    text = data.decode("utf-8", errors="surrogateescape")
    for candidate in (text, f"secret://{text}"):
        try:
            found = Reference.parse(candidate)
        except Invalid as refused:
            shown = not candidate.startswith("secret://") and bool(candidate) and candidate in str(refused)
            if shown and len(candidate) > 8:
                raise AssertionError("a text that is no reference was shown") from None
            continue
        assert Reference.parse(str(found)) == found
        assert "/" in found.path
        assert not {"", ".", ".."} & set(found.path.split("/"))


def declarations(data):
    """A declaration is refused, or everything in it refers to something; no more than that is done with it."""
    folder = FOLDER / f"declared-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    (folder / "ml-secrets.toml").write_bytes(data)
    try:
        job = declared(folder, folder / "ml-secrets.toml")
    except (Invalid, Denied):
        return
    assert all(one.content.references for one in job.of("file"))
    assert all(one.mode & ~0o660 == 0 and "/" not in one.name for one in job.of("file"))


def _filled(data, kind):
    """(the source, what it is filled with), or None where it is refused."""
    try:
        source = data.decode()
        return source, Document.parse(source, kind, "a-file").filled(Any()).reveal()
    except (UnicodeDecodeError, Invalid):
        return None


def _expected(node):
    """What a reader has to find: values filled, everything else as it was."""
    if isinstance(node, str):
        return Text.parse(node).filled(Any()).reveal()
    if isinstance(node, list):
        return [_expected(one) for one in node]
    if isinstance(node, dict):
        return {key: _expected(one) for key, one in node.items()}
    return node


def fills_env(data):
    """A .env file is refused, or python-dotenv reads from the filled copy what it reads from the file, and the values."""
    both = _filled(data, "dotenv")
    if both is not None:
        before, after = (dotenv.dotenv_values(stream=io.StringIO(text), interpolate=True) for text in both)
        bare = dotenv.dotenv_values(stream=io.StringIO(both[1]), interpolate=False)
        for key, value in before.items():
            held = Text.parse(value)
            assert (bare if held.references else after)[key] == held.filled(Any()).reveal()


def fills_json(data):
    """A JSON file is refused, or the filled copy is the same document with the values in place."""
    both = _filled(data, "json")
    if both is not None:
        before, after = (json.loads(text, parse_constant=str) for text in both)
        assert after == _expected(before)


def fills_yaml(data):
    """A YAML file is refused, or the filled copy is the same documents with the values in place."""
    both = _filled(data, "yaml")
    if both is None or both[0].count("*") > 12:  # more aliases may stand for more values than can be compared
        return
    try:
        before = list(yaml.load_all(both[0], Loader=yaml.BaseLoader))
    except (yaml.YAMLError, RecursionError):
        return
    assert list(yaml.load_all(both[1], Loader=yaml.BaseLoader)) == _expected(before)
