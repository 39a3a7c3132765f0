"""docs/reference is what docs/generate.py makes of the code; the pages written by hand name everything there is."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

import ml_secrets

ROOT = Path(__file__).parents[2]
SOURCE = Path(ml_secrets.__file__).parent
REFERENCE = ROOT / "docs" / "reference"
_spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


@pytest.mark.parametrize("name", sorted(generate.pages()))
def test_the_reference_is_what_the_code_says(name):
    """A generated page equals what would be generated now; if not, run `make docs`."""
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == generate.pages()[name], "run `make docs`"


def test_every_setting_of_a_server_is_in_the_reference():
    """Each name that server/config.py reads stands in configuration.md."""
    page = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
    missing = sorted(name for name in setting_names() if f"`{name}`" not in page)
    assert not missing


def test_the_names_of_settings_are_found():
    """The search above finds what it is for."""
    found = setting_names()
    assert {"storage", "tls_cert_file", "disable_mlock", "open_to_shares", "passphrase", "raft"} <= found
    assert len(found) > 50


def setting_names():
    """Names of settings in server/config.py: sets of names, names that are compared with, and names that are looked up."""
    tree = ast.parse((SOURCE / "server" / "config.py").read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "").startswith(
            ("_HARMLESS", "_LISTENER", "_PLAIN")
        ):
            keys = node.value.keys if isinstance(node.value, ast.Dict) else [node.value]
            found |= {text for key in keys for text in texts(key)}
        elif isinstance(node, ast.Compare) and getattr(node.left, "id", "") in ("name", "kind"):
            found |= {text for part in node.comparators for text in texts(part)}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_needed":
            found |= texts(node.args[-1])
    return {name for name in found if re.fullmatch(r"[a-z_]+", name)}


def texts(node):
    return {
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def test_every_environment_variable_is_in_the_reference():
    """Each ML_SECRETS_ variable that the code reads stands in environment.md, and that page names no other."""
    page = (REFERENCE / "environment.md").read_text(encoding="utf-8")
    assert set(re.findall(r"ML_SECRETS_[A-Z_]+[A-Z]", page)) == variables()


def variables():
    """Names in the source, and the suffixes with which client/settings.py looks for a setting in three families."""
    found = set()
    for file in SOURCE.rglob("*.py"):
        found |= set(re.findall(r"\bML_SECRETS_[A-Z_]+[A-Z]\b", file.read_text(encoding="utf-8")))
    tree = ast.parse((SOURCE / "client" / "settings.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (
            getattr(node.func, "id", "") == "_variable"
            or getattr(node.func, "attr", "") in ("text", "seconds")
        ):
            last = node.args[-1]
            found |= {f"ML_SECRETS_{text}" for text in texts(last) if text.isupper()}
    return found


def test_every_error_class_is_in_the_reference():
    """The tree at the top of errors.py, which the page shows, leaves no class out."""
    page = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    assert all(f"`{kind.__name__}`" in page for kind in generate.error_classes())
