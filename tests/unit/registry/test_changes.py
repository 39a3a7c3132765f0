"""What engines tell of their changes, and who wants to hear which."""

import ast
from pathlib import Path

import pytest

from ml_secrets.errors import Invalid
from ml_secrets.registry.changes import KINDS, wanted

ENGINES = Path(__file__).parents[3] / "src" / "ml_secrets" / "engines"


@pytest.fixture
def heard(server):
    """Every change of the server, as it is told."""
    found = []
    server.house.changes.listen(found.append)
    return found


@pytest.mark.parametrize(
    ("kinds", "path", "fits"),
    [
        ((), "", True),
        (("*",), "", True),
        (("write",), "", True),
        (("delete", "write"), "", True),
        (("delete",), "", False),
        ((), "secret", True),
        ((), "secret/app", True),
        ((), "secret/app/db", True),
        ((), "/secret/app/", True),
        ((), "secret/app/d", False),
        ((), "secret/app/db/deeper", False),
        ((), "other", False),
        (("write",), "other", False),
    ],
)
def test_a_filter_goes_by_kind_and_by_whole_segments(kinds, path, fits):
    """A path is that secret or folder, with all below it; not whatever begins with the same letters."""
    assert wanted(kinds, path).fits("write", "secret/", "app/db") is fits


def test_a_kind_that_nobody_tells_is_refused():
    """Else a slip of the pen would wait for ever."""
    with pytest.raises(Invalid, match="unknown kind"):
        wanted(("wrote",), "")


def test_engines_tell_known_kinds():
    """Whatever a call of `tell` names as the kind is one that can be asked for."""
    told = set()
    for path in ENGINES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "tell":
                told |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    assert told
    assert told - {None} <= set(KINDS)


def test_a_change_says_what_a_read_would_give_now(server, heard):
    """Version and ETag are those of the secret as it is after the change; none where nothing can be read."""
    path = "secret/data/app"
    server.ask("POST", path, {"data": {"fake": "one"}})
    server.ask("POST", path, {"data": {"fake": "two"}})
    etag = server.ask("GET", path).headers["etag"].strip('"')
    assert (heard[-1].kind, heard[-1].version, heard[-1].etag) == ("write", 2, etag)
    server.ask("POST", "secret/metadata/app", {"custom_metadata": {"owner": "nobody"}})
    etag = server.ask("GET", path).headers["etag"].strip('"')
    assert (heard[-1].kind, heard[-1].version, heard[-1].etag) == ("metadata", 2, etag)
    server.ask("DELETE", path)
    assert (heard[-1].kind, heard[-1].version, heard[-1].etag) == ("delete", 2, "")
    server.ask("POST", "secret/undelete/app", {"versions": [2]})
    assert (heard[-1].kind, heard[-1].etag) == ("undelete", etag)
    server.ask("POST", "secret/move/app", {"to": "new"})
    assert [(one.path, one.kind, one.version) for one in heard[-2:]] == [
        ("app", "remove", 0),
        ("new", "write", 2),
    ]
    server.ask("DELETE", "secret/metadata/new")
    assert (heard[-1].kind, heard[-1].version, heard[-1].etag, heard[-1].mount) == (
        "remove",
        0,
        "",
        "secret/",
    )


def test_what_rolls_back_is_not_told(server, heard):
    """A write that is refused changes nothing, and nobody hears of it."""
    refused = server.ask("POST", "secret/data/app", {"data": {}, "options": {"cas": 7}})
    assert refused.status == 400
    assert heard == []
