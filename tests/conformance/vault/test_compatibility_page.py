"""docs/reference/compatibility.md tells the differences that the tests hold as intended."""

import importlib.util
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ml_secrets.testing import programs

ROOT = Path(__file__).parents[3]


def test_the_page_lists_every_intended_difference():
    """Its tables equal what would be written now; if not, run `make docs`."""
    spec = importlib.util.spec_from_file_location("compatibility", ROOT / "docs" / "compatibility.py")
    compatibility = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compatibility)
    text = compatibility.PAGE.read_text(encoding="utf-8")
    assert text == compatibility.page(), "run `make docs`"
    assert text.count("\n| ") > 40


def test_what_is_said_not_to_be_there_is_not(tmp_path):
    """Each path of that table is a 404, for root, too."""
    text = (ROOT / "docs" / "reference" / "compatibility.md").read_text(encoding="utf-8")
    table = text.partition("## What is not there")[2].partition("Plug-ins")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    paths = [path for row in rows for path in re.findall(r"`([^`]+)`", row)]
    assert len(paths) > 15
    with programs.dev_server(tmp_path) as server:
        for path in paths:
            asked = urllib.request.Request(f"{server.url}/v1/{path}", headers={"X-Vault-Token": server.token})
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(asked, timeout=10)
            caught.value.close()
            assert caught.value.code == 404, path
