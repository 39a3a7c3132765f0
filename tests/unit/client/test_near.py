"""The client for those in a hurry: the same answers and errors, without httpx."""

import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from ml_secrets import Client, NotFound, Unauthenticated, Unreachable
from ml_secrets.client import approle
from ml_secrets.client.near import NearTransport, QuickClient
from ml_secrets.client.node import transport as shared


@pytest.fixture
def near(dev_server):
    """Such a client of our server."""
    with QuickClient(dev_server.url, dev_server.token, cache_ttl=0) as client:
        yield client


def test_it_gives_what_the_usual_client_gives(near, dev_server):
    """Reads, writes, lists, batches and refusals."""
    near.kv.put("near/one", {"value": "fake-1"})
    near.kv.put("near/two", {"value": "é" * 100_000})
    assert near.get_secret("near/one").reveal() == "fake-1"
    assert {name: secret.reveal() for name, secret in near.get_secrets(["near/one", "near/two"]).items()} == {
        "near/one": "fake-1",
        "near/two": "é" * 100_000,
    }
    with Client(dev_server.url, dev_server.token) as usual:
        assert near.list("secret/metadata/near").data == usual.list("secret/metadata/near").data
    with pytest.raises(NotFound):
        near.get_secret("near/none")
    near.token = "fake-no-such-token"
    with pytest.raises(Unauthenticated):
        near.read("auth/token/lookup-self")


def test_it_loads_no_httpx_until_it_stays(dev_server):
    """Which is what it is for."""
    script = (
        "import sys\nfrom ml_secrets.client.near import QuickClient\n"
        f"client = QuickClient({dev_server.url!r}, {dev_server.token!r}, cache_ttl=0)\n"
        "client.read('sys/health'); print('httpx' in sys.modules)\n"
        "client.stay(); client.read('sys/health'); print('httpx' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert ran.stdout == b"False\nTrue\n"


def test_where_nobody_listens_it_says_what_the_usual_one_says():
    """The same text and hint."""
    errors = []
    for kind in (QuickClient, Client):
        with kind("http://127.0.0.1:1", "fake", timeout=2) as client, pytest.raises(Unreachable) as failed:
            client.read("sys/health")
        errors.append(str(failed.value))
    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["nothing", "nonsense", "half", "no-length"],
)
def test_half_an_answer_is_none(answer):
    """A server that hangs up, or speaks something else, is unreachable; no value or token is told."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            for _ in range(5):
                line, _ = listening.accept()
                with line:
                    line.recv(65536)
                    line.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with (
            QuickClient(address, "fake-token-of-near", timeout=5) as client,
            pytest.raises(Unreachable) as failed,
        ):
            client.read("sys/health")
    assert "fake-token-of-near" not in str(failed.value)


def test_a_server_that_is_silent_is_given_up(monkeypatch):
    """After the client's timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with QuickClient(address, "fake", timeout=0.3) as client, pytest.raises(Unreachable):
            client.read("sys/health")


def test_the_store_in_this_process_is_none_the_farther(tmp_path, monkeypatch):
    """It is asked as any client asks it."""
    monkeypatch.setenv("ML_SECRETS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ML_SECRETS_CONFIG_DIR", str(tmp_path / "config"))
    with Client("embedded:") as usual, QuickClient("embedded:") as near:
        usual.kv.put("near", {"value": "fake"})
        assert near.get_secret("near").reveal() == "fake"
        near.stay()
        assert near.get_secret("near").reveal() == "fake"


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "https://127.0.0.1:1"])
@pytest.mark.parametrize("own", [{"login": approle("role", "secret")}, {"token": "fake", "cache_ttl": 0}])
def test_it_asks_with_nobody_else(address, own, monkeypatch):
    """Its login is revoked at the end, so no other process of the job is to be given it, not when it stays, either; who keeps nothing takes nothing."""
    monkeypatch.setenv("ML_SECRETS_SHARE", "on")
    monkeypatch.setattr(shared, "place_for", lambda _: pytest.fail("it would meet others"))
    with QuickClient(address, timeout=1, **own) as client:
        assert not client.together
        for _ in range(2):
            with pytest.raises(Unreachable):
                client.get_secret("x")
            client.stay()


@pytest.mark.parametrize("quick", [True, False])
def test_with_a_token_of_its_surroundings_it_asks_with_others(dev_server, quick, monkeypatch):
    """As any client does, near or far."""
    monkeypatch.setenv("ML_SECRETS_SHARE", "near-of-tests")
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as room,
        monkeypatch.context() as patched,
        QuickClient(dev_server.url, dev_server.token) as client,
    ):
        patched.setenv("XDG_RUNTIME_DIR", room)
        assert client.together
        if not quick:
            client.stay()
        client.kv.put("near-together", {"value": "fake"})
        assert client.get_secret("near-together").reveal() == "fake"
        assert [path for path in Path(room, "ml-secrets", "node").iterdir() if path.is_socket()]


def test_a_unix_socket_is_near_and_https_is_not(dev_server, tmp_path):
    """TLS goes the usual way."""
    kinds = {}
    for address in (
        f"unix://{tmp_path}/socket",
        "http://localhost:1",
        "https://localhost:1",
        "http://192.0.2.1:1",
    ):
        with QuickClient(address, "fake") as client:
            kinds[address.partition(":")[0] + address[-5:]] = isinstance(client._connect(), NearTransport)
    assert list(kinds.values()) == [True, True, False, False]
