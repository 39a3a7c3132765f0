"""F. What the server can be made to call: on a configured server, which may call nothing that is not public."""

import time

import httpx
import pytest

from ml_secrets.testing.programs import configured_server, free_port
from ml_secrets.testing.receiver import Receiver

REFUSED = [
    "https://127.0.0.1:{port}/",
    "https://127.8.8.8/",
    "https://0.0.0.0:{port}/",
    "https://2130706433:{port}/",
    "https://0x7f000001:{port}/",
    "https://0177.0.0.1:{port}/",
    "https://127.1:{port}/",
    "https://[::1]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/",
    "https://[::127.0.0.1]:{port}/",
    "https://[64:ff9b::7f00:1]:{port}/",
    "https://[2002:7f00:1::]:{port}/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[fe80::1]/",
    "https://10.0.0.1/",
    "http://127.0.0.1:{port}/",
    "http://[::1]:{port}/",
    "http://example.com/",
    "http://localhost.example.com/",
]
RESOLVED = ["http://localhost:{port}/", "https://localhost:{port}/"]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The root of a configured server in memory."""
    address = f"127.0.0.1:{free_port()}"
    config = tmp_path_factory.mktemp("configured") / "server.toml"
    config.write_text(
        f'[storage]\ntype = "inmem"\n[seal]\ntype = "shamir"\n[[listener]]\ntype = "tcp"\naddress = "{address}"\ntls_disable = true\n'
    )
    with (
        configured_server(config, f"http://{address}") as server,
        httpx.Client(base_url=f"{server.url}/v1/", timeout=20) as made,
    ):
        keys = made.put("sys/init", json={"secret_shares": 1, "secret_threshold": 1}).json()
        made.put("sys/unseal", json={"key": keys["keys"][0]})
        made.headers["x-vault-token"] = keys["root_token"]
        yield made


def test_67_addresses_that_are_not_public_are_refused(client):
    """Check 67: loopback, link-local, private, mapped, NAT64, 6to4 and odd spellings are 400, and the URL is not repeated."""
    for url in REFUSED:
        shown = url.format(port=client.base_url.port)
        refused = client.post("sys/webhooks/hostile", json={"url": shown})
        assert refused.status_code == 400, shown
        assert shown not in refused.text


@pytest.mark.parametrize("url", RESOLVED)
def test_67_names_are_refused_by_what_they_stand_for(client, url):
    """Check 67: a name that resolves to this machine is never called; the outcome says why."""
    with Receiver() as receiver:
        made = client.post("sys/webhooks/hostile", json={"url": url.format(port=receiver.port)})
        assert made.status_code in (200, 204)
        id_ = client.post("sys/webhooks/hostile/test").json()["data"]["id"]
        assert "not public" in outcome(client, id_)
        assert receiver.got == []


def outcome(client, id_):
    """What came of a test, once it is known."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        test = client.get("sys/webhooks/hostile/status").json()["data"]["test"]
        if test and test["id"] == id_:
            assert test["delivered"] is False
            return test["error"]
        time.sleep(0.1)
    raise TimeoutError
