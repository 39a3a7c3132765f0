"""The page on other clients names those that the tests run, in the versions that are pinned. The steps are counted as they run."""

import json
import re

import pytest
from tests.conformance.clients.page import ROOT, rows
from tests.conformance.clients.test_clients import CLIENTS, HERE, OPERATORS, PYTHON


def pinned():
    """Versions by name, of the two lists; that of Airflow itself is meant."""
    lock = json.loads((HERE / "javascript" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    found = {name.removeprefix("node_modules/"): {entry.get("version")} for name, entry in lock.items()}
    listed = (ROOT / "requirements" / "clients.txt").read_text(encoding="utf-8")
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", listed, re.MULTILINE):
        found.setdefault(name.removeprefix("apache-") if name == "apache-airflow" else name, set()).add(
            version
        )
    return found


def test_the_page_names_the_clients():
    """Each client has a row, and each row is a client's."""
    assert rows().keys() == CLIENTS.keys() | {f"{name}, for operators" for name in OPERATORS}


@pytest.mark.parametrize(
    "name",
    [name for name, client in CLIENTS.items() if client.command[0].startswith(("node", str(PYTHON)))],
)
def test_the_page_names_the_pinned_versions(name):
    """The version in its row is one that `make conformance-clients` installs."""
    assert rows()[name].version in pinned()[name]


def test_npm_checks_what_it_installs():
    """Every package in the lock has a hash and no address of its own."""
    lock = json.loads((HERE / "javascript" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert len(lock) > 100
    for name, entry in lock.items():
        assert not name or entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name
