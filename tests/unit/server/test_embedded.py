"""The SDK's embedded mode: the user's own store, without a server."""

import json
import os
import signal
import threading

import pytest

from ml_secrets.errors import StoreFault
from ml_secrets.server import clock
from ml_secrets.server.embedded import connect
from ml_secrets.storage.sqlite import _File


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_SECRETS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ML_SECRETS_CONFIG_DIR", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def turned(monkeypatch):
    """Turn the clock that stores are opened with from now on, and those that are open."""
    ahead = [0.0]

    class Turned(clock.Clock):
        def __call__(self):
            return super().__call__() + ahead[0]

    monkeypatch.setattr("ml_secrets.server.assemble.Clock", Turned)
    return lambda seconds: ahead.__setitem__(0, ahead[0] + seconds)


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


def log_in(embedded):
    """Leave a token that lives for a minute; what the owner has is stored nowhere."""
    ask(embedded, "POST", "/v1/sys/auth/userpass", b'{"type":"userpass"}')
    ask(embedded, "POST", "/v1/auth/userpass/users/ada", b'{"password":"fake-password","token_ttl":"60s"}')
    assert ask(embedded, "POST", "/v1/auth/userpass/login/ada", b'{"password":"fake-password"}')[0] == 200


def waiting(embedded):
    """Do dead tokens wait to be swept?"""
    house = embedded._server.house
    return house.units.read(house.tokens.waiting)


def test_what_died_in_between_is_swept_on_opening(turned):
    """A program that opens the store for one secret now and then leaves no heap of dead tokens there."""
    first = connect()
    log_in(first)
    first.close()
    turned(3600)
    second = connect()
    assert not waiting(second)
    second.close()


def test_a_long_running_program_keeps_up_between_its_requests(turned):
    """Without a thread of its own: what came due is done after the next request, by one caller at a time."""
    embedded, threads = connect(), threading.active_count()
    log_in(embedded)
    turned(3600)
    assert waiting(embedded)
    embedded._upkeep_at = 0.0
    for job in embedded._upkeep._jobs:
        job.due = 0.0
    with embedded._turn:
        assert ask(embedded, "GET", "/v1/sys/health")[0] == 200
    assert waiting(embedded)
    assert ask(embedded, "GET", "/v1/sys/health")[0] == 200
    assert not waiting(embedded)
    assert threading.active_count() == threads
    embedded.close()


def test_ctrl_c_in_the_midst_of_a_write_does_no_harm(monkeypatch):
    """Whatever it interrupts ends first: right after the commit is durable, say. What follows is in its place, and all is accounted for."""
    embedded, write = connect(), _File._write

    def interrupted(*arguments):
        write(*arguments)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(_File, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ask(embedded, "POST", "/v1/secret/data/a", b'{"data":{"n":1}}')
    assert ask(embedded, "POST", "/v1/secret/data/a", b'{"data":{"n":2}}')[1]["data"]["version"] == 2
    assert ask(embedded, "GET", "/v1/secret/data/a?version=1")[1]["data"]["data"] == {"n": 1}
    assert embedded._server.opening.verify()["intact"]
    embedded.close()


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
