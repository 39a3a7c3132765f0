"""Importing the package costs next to nothing."""

import os
import subprocess
import sys

import pytest

import ml_secrets


def loaded(code):
    """The modules that are there after `code`, in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_no_library_and_no_server():
    """Neither HTTP nor JSON libraries, nor any room of ours but the front door."""
    before = loaded("pass")
    after = loaded("import ml_secrets") - before
    assert {name for name in after if name.startswith("ml_secrets")} == {"ml_secrets"}
    assert not {name.partition(".")[0] for name in after} - {
        "ml_secrets",
        "importlib",
        "typing",
        "warnings",
        "collections",
        "functools",
        "types",
        "operator",
        "keyword",
        "reprlib",
        "re",
        "enum",
        "copyreg",
        "contextlib",
        "_collections",
        "_functools",
        "_operator",
        "_sre",
        "abc",
        "__future__",
        "itertools",
        "_typing",
    }


def test_naming_the_one_line_functions_costs_no_more():
    """`from ml_secrets import get_secret` at the top of a program waits for its first call to load the rest."""
    after = loaded("from ml_secrets import get_secret, get_secrets") - loaded("pass")
    assert {name for name in after if name.startswith("ml_secrets")} == {
        "ml_secrets",
        "ml_secrets.client",
        "ml_secrets.client.default",
    }
    assert not after & {"msgspec", "httpx", "asyncio", "dataclasses", "logging", "typing"}


AWAIT = "import asyncio\nasync def main(c):\n    await c.get_secret('a')\n"


@pytest.mark.parametrize(
    "way",
    [
        "get_secret('a')",
        "Client().get_secret('a')",
        "c = Client(); c.get_secret('a')",
        AWAIT + "asyncio.run(main(AsyncClient()))",
        AWAIT + "c = AsyncClient(cache_ttl=0)\nasyncio.run(main(c)); asyncio.run(main(c))",
    ],
)
def test_a_script_that_closes_nothing_ends_without_a_warning(serve, wire, way):
    """Clients close themselves, with their last user or with the process."""
    server = serve(lambda asked, number: wire.kv2("x"))
    command = [
        sys.executable,
        "-W",
        "error",
        "-X",
        "dev",
        "-c",
        f"import logging\nlogging.disable()\nfrom ml_secrets import AsyncClient, Client, get_secret\n{way}",
    ]
    environ = os.environ | {"ML_SECRETS_ADDR": server.url, "ML_SECRETS_TOKEN": "t"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(server.asked) == (2 if "ttl=0" in way else 1)


def test_the_client_loads_neither_httpx_before_a_call_nor_the_server_at_all():
    """Making a client is cheap; the HTTP library comes with the first request, the server wing never."""
    modules = loaded(
        "from ml_secrets import Client, AsyncClient, get_secret\nClient('http://127.0.0.1:1', 't')"
    )
    assert "httpx" not in modules
    without_asyncio = loaded("from ml_secrets import Client\nClient('http://127.0.0.1:1', 't')")
    assert not without_asyncio & {"httpx", "asyncio", "logging", "ssl"}
    assert not {
        name
        for name in modules
        if name.startswith(
            (
                "ml_secrets.server",
                "ml_secrets.engines",
                "ml_secrets.pipeline",
                "ml_secrets.crypto",
                "cryptography",
                "apsw",
                "httptools",
            )
        )
    }


@pytest.mark.parametrize("name", ml_secrets.__all__)
def test_every_public_name_is_there_and_explained(name):
    """Loaded on first use, found by dir, and with a docstring."""
    assert getattr(ml_secrets, name).__doc__
    assert name in dir(ml_secrets)


def test_other_names_are_not():
    """A misspelt name is an AttributeError, as with any module."""
    with pytest.raises(AttributeError, match="get_secrt"):
        ml_secrets.get_secrt  # noqa: B018 - the access is the test
    assert ml_secrets.__version__
