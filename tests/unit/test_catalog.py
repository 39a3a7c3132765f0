"""The catalogue of what is in this build."""

import subprocess
import sys

import pytest

from ml_secrets import catalog


@pytest.mark.parametrize(
    ("kind", "wire"), [("system", "system"), ("kv-v1", "kv"), ("kv-v2", "kv"), ("cubbyhole", "cubbyhole")]
)
def test_engines_load(kind, wire):
    """Each name leads to an engine of the right type with operations."""
    engine = catalog.load(kind)
    assert engine.kind == wire
    assert engine.operations


def test_an_unknown_kind_is_a_key_error():
    """Callers turn it into their own refusal."""
    with pytest.raises(KeyError):
        catalog.load("ldap")


def test_the_names_alone_import_no_engine():
    """The catalogue is cheap until something is loaded."""
    code = "import sys, ml_secrets.catalog; print([m for m in sys.modules if m.startswith(('ml_secrets.engines', 'ml_secrets.auth'))])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_nothing_is_both_an_engine_and_an_auth_method():
    """One name, one thing."""
    assert not catalog.ENGINES.keys() & catalog.AUTH_METHODS.keys()
