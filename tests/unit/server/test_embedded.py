"""The SDK's embedded mode: the user's own store, without a server."""

import json
import os

import pytest

from ml_secrets.errors import StoreFault
from ml_secrets.server.embedded import connect


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_SECRETS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ML_SECRETS_CONFIG_DIR", str(tmp_path / "config"))
    return tmp_path


def ask(embedded, method, path, body=b""):
    status, _, answer = embedded.request(method, path, [("X-Vault-Token", embedded.token)], body)
    return status, json.loads(answer) if answer else None


def test_what_one_process_wrote_the_next_one_reads(places):
    """The store is made on the first use, sealed when it is closed, and opened by its key file."""
    first = connect()
    assert ask(first, "POST", "/v1/secret/data/a", b'{"data":{"value":"fake-value"}}')[0] == 200
    first.close()
    second = connect()
    status, body = ask(second, "GET", "/v1/secret/data/a?version=1")
    second.close()
    assert status == 200
    assert body["data"]["data"] == {"value": "fake-value"}
    stored = b"".join(path.read_bytes() for path in (places / "data" / "store").rglob("*") if path.is_file())
    assert b"fake-value" not in stored


def test_whoever_gets_a_new_store_is_told_of_its_key_file(places, caplog):
    """Nobody sees a recovery key, so the key file is all there is. Said once."""
    connect().close()
    assert str(places / "config" / "unseal.key") in caplog.text
    caplog.clear()
    connect().close()
    assert not caplog.text


def test_a_user_without_a_name_has_a_number(monkeypatch):
    """As in a container that runs under any user id."""

    def nobody():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nobody)
    embedded = connect()
    status, body = ask(embedded, "GET", "/v1/auth/token/lookup-self")
    embedded.close()
    assert status == 200
    assert body["data"]["display_name"] == f"embedded-{os.getuid()}"


def test_two_processes_do_not_share_a_store():
    """The second gets an error that says what to do."""
    first = connect()
    try:
        with pytest.raises(StoreFault, match="another process") as caught:
            connect()
        assert caught.value.hint
    finally:
        first.close()
    connect().close()


def test_every_access_is_audited(places):
    """Under the user's name, as a server would."""
    embedded = connect()
    ask(embedded, "GET", "/v1/secret/data/none")
    embedded.close()
    lines = [json.loads(line) for line in (places / "data" / "audit.log").read_text().splitlines()]
    reads = [line for line in lines if line.get("request", {}).get("path") == "secret/data/none"]
    assert reads
    assert reads[0]["auth"]["display_name"].startswith("embedded-")


def test_the_owners_token_is_nowhere_stored(places):
    """The token is nowhere stored, and the store's first token lies where the command line finds it, for this user only."""
    embedded = connect()
    owners = embedded.token
    embedded.close()
    token = places / "config" / "token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert owners not in token.read_text()
