"""Imports point down: each room may import the rooms below it, and nothing else of ours."""

import ast
from pathlib import Path

import pytest

from ml_secrets import catalog

SOURCE = Path(__file__).parent.parent / "src" / "ml_secrets"

GROUND = {"errors", "sensitive", "places"}
"""Open to all."""

FLOORS = {
    # server wing
    "domain": set(),
    "crypto": {"domain"},
    "storage": {"domain"},
    "barrier": {"domain", "crypto", "storage"},
    "registry": {"domain", "storage", "crypto"},
    "contract": {"domain", "registry", "storage"},
    "engines": {"domain", "contract", "registry", "crypto"},
    "auth": {"domain", "contract", "registry", "crypto"},
    "audit": {"domain", "contract", "crypto"},
    "pipeline": {"domain", "contract", "registry", "audit", "barrier", "crypto", "storage"},
    "dialects": {"domain", "contract", "pipeline"},
    "upkeep": {"domain", "contract", "registry", "pipeline"},
    "server": {
        "domain",
        "crypto",
        "storage",
        "barrier",
        "registry",
        "contract",
        "audit",
        "pipeline",
        "dialects",
        "upkeep",
        "catalog",
    },
    "catalog": {"contract"},
    # client wing
    "detect": set(),
    "redaction": {"detect"},
    "client": {"domain", "redaction"},
    "agent": {"client", "detect", "domain"},
    "integrations": {"agent", "client", "detect", "domain", "redaction"},
    "cli": {"agent", "client", "detect", "domain", "integrations"},
    # for tests only
    "testing": None,
}
TYPES_ONLY = {("contract", "registry"), ("contract", "storage"), ("catalog", "contract")}
"""Pairs that may be imported for type checking and not at run time."""


def files():
    return sorted(SOURCE.rglob("*.py"))


def room_of(path):
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports_of(path):
    """(room, inner room, only for types) of every import of ours."""
    tree = ast.parse(path.read_text())
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [
                f"{node.module}.{alias.name}" if node.module == "ml_secrets" else node.module
                for alias in node.names
            ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "ml_secrets" and len(parts) > 1:
                yield parts[1], parts[2] if len(parts) > 2 else "", id(node) in guarded


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path):
    """A room imports only the rooms of the floors below its own."""
    room = room_of(path)
    if room == "__init__" or room in GROUND:
        wrong = [(r, t) for r, _, t in imports_of(path) if r not in GROUND and not t and room != "__init__"]
        assert not wrong, f"{path.name} is open to all, so it imports nothing of ours at run time: {wrong}"
        return
    assert room in FLOORS, (
        f"{room} is no room of the house; give it a floor in this test and in docs/decisions"
    )
    allowed = FLOORS[room]
    if allowed is None:
        return
    for other, inner, types_only in imports_of(path):
        if other in GROUND or other == "__init__":
            continue
        if other == room:
            continue
        assert other in allowed, f"{path.relative_to(SOURCE)} ({room}) imports {other}"
        if (room, other) in TYPES_ONLY:
            assert types_only, f"{path.relative_to(SOURCE)} may import {other}.{inner} for types only"


def members():
    """Room -> its engines, login methods or dialects; what else lies in the room is shared by them."""
    found = {"dialects": {"vault"}, "engines": set(), "auth": set()}
    for path in (*catalog.ENGINES.values(), *catalog.AUTH_METHODS.values()):
        _, room, member = path.partition(":")[0].split(".")
        found[room].add(member)
    return found


@pytest.mark.parametrize(
    "path", [p for p in files() if room_of(p) in members()], ids=lambda path: str(path.relative_to(SOURCE))
)
def test_siblings_do_not_import_each_other(path):
    """Engine from engine, login method from login method, dialect from dialect: never; what they share imports none of them."""
    room, *inside = path.relative_to(SOURCE).parts
    own = inside[0].removesuffix(".py")
    for other, inner, _ in imports_of(path):
        if other == room and inner in members()[room]:
            assert inner == own, f"{path.relative_to(SOURCE)} imports its sibling {inner}"


LIBRARIES = {
    "cryptography": {"crypto"},
    "apsw": {"storage"},
    "httptools": {"server"},
    "hyperscan": {"detect"},
    "ahocorasick_rs": {"detect"},
    "kingfisher_sdk": {"detect"},
    "httpx": {"client"},
    "httpcore": {"client"},
    "click": {"cli"},
    "rich": {"cli"},
}


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_each_library_has_one_room(path):
    """A library that could be exchanged one day is imported in one room only."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else []
        )
        for name in names:
            rooms = LIBRARIES.get(name.split(".")[0])
            assert rooms is None or room_of(path) in rooms | {"testing"}, (
                f"{path.relative_to(SOURCE)} imports {name}"
            )


def test_no_client_file_reaches_the_server_wing_by_name():
    """Only the two seams name the server wing as text: the `server` command and the SDK's embedded mode."""
    found = {
        str(path.relative_to(SOURCE))
        for path in files()
        if room_of(path) in ("client", "cli")
        and any(
            isinstance(n, ast.Constant)
            and isinstance(n.value, str)
            and n.value.startswith("ml_secrets.server")
            for n in ast.walk(ast.parse(path.read_text()))
        )
    }
    assert found <= {
        "client/embedded.py",
        "client/transport.py",
        "cli/server.py",
        "cli/operator.py",
        "cli/operator_restore.py",
    }
