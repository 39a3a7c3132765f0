"""Without a server the store is in the process: one seam, one open store for all clients."""

import asyncio
import gc
import os
import subprocess
import sys

import pytest

import ml_secrets
from ml_secrets import AsyncClient, Client, errors, places
from ml_secrets.client import default


@pytest.fixture
def default_client():
    """The process's own client, forgotten before and after."""
    default.forget()
    yield
    default.forget()


def test_get_secret_needs_no_server(default_client):
    """Write, read, list, delete; the next open finds what the last one left."""
    with Client() as client:
        assert client.settings.embedded
        client.kv.put("team/a", {"value": "x"})
        assert ml_secrets.get_secret("team/a").reveal() == "x"  # another client of the same open store
        assert client.kv.list() == ["team/"]
    default.forget()
    assert {name: secret.reveal() for name, secret in ml_secrets.get_secrets(["team/a"]).items()} == {
        "team/a": "x"
    }
    with Client() as client, pytest.raises(errors.NotFound):
        client.get_secret("team/b")


def test_a_refusal_is_not_taken_for_a_missing_token(default_client):
    """The store's owner is a known caller: what it may not see is `Denied`, as over the network."""
    with Client() as client, pytest.raises(errors.Denied):
        client.read("sys/internal/ui/mounts/nowhere/at/all")


def test_tasks_share_the_store_with_threads(default_client):
    """The async client works on the same open store, off the event loop."""
    with Client() as client:
        client.kv.put("a", {"value": "x"})

        async def main():
            async with AsyncClient() as other:
                return [
                    secret.reveal() for secret in await asyncio.gather(*(other.kv.get("a") for _ in range(5)))
                ]

        assert asyncio.run(main()) == ["x"] * 5


def test_a_store_that_another_process_has_is_an_error_with_advice(default_client, tmp_path):
    """One owner at a time."""
    with Client() as client:
        client.kv.put("a", {"value": "x"})
        code = "from ml_secrets import get_secret\ntry:\n    get_secret('a')\nexcept Exception as error:\n    print(type(error).__name__)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env=dict(os.environ),
            check=True,
            timeout=60,
        )
    assert done.stdout.strip() == "StoreFault"


UNCLOSED = """
import os, sys
from ml_secrets import Client, get_secret, places
client = Client()
client.kv.put("a", {"value": "x"})
if os.fork() == 0:
    sys.exit(0)
os.wait()
client.kv.put("b", {"value": "y"})
get_secret("a")
print((places.config_dir() / "anchor").read_bytes().hex())
"""


def test_a_process_that_closes_nothing_seals_the_store_at_its_end(tmp_path):
    """Not so a child that it forked: what the parent wrote after that child's end is there, and so is its anchor."""
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", UNCLOSED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)  # one line says where the new store is
    assert (places.config_dir() / "anchor").read_bytes().hex() != done.stdout.strip()
    with Client() as client:
        assert client.kv.list() == ["a", "b"]


def test_a_client_that_is_forgotten_lets_the_store_go(default_client):
    """The last one closes it, so that another process can have it."""
    client = Client()
    client.kv.put("a", {"value": "x"})
    del client
    gc.collect()
    command = [sys.executable, "-c", "from ml_secrets import get_secret\nprint(get_secret('a').reveal())"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "x\n"


def test_a_bare_install_says_what_to_do():
    """Without the `server` extra the error names both ways out; nothing is half imported."""
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("cryptography", "apsw"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from ml_secrets import get_secret, Unreachable
try:
    get_secret("a")
except Unreachable as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=True,
        timeout=60,
    )
    assert "ML_SECRETS_ADDR" in done.stdout
    assert "ml-secrets[server]" in done.stdout
