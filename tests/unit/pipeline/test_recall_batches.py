"""Reads that are answered again together, and long after the first time: what they show, and what is told of them."""

import json

import pytest

from ml_secrets.pipeline import recall

SECRET = "secret/data/app"
ITSELF = "auth/token/lookup-self"


@pytest.fixture
def log(server, tmp_path):
    """A file that records."""
    path = tmp_path / "log"
    server.ask("POST", SECRET, {"data": {"key": "FAKE-value"}})
    server.ask("POST", "sys/audit/file", {"type": "file", "options": {"file_path": str(path)}})
    return path


@pytest.fixture
def again(monkeypatch):
    """How many reads were answered again so far, by call."""
    counts, plain = [], recall.again

    def counted(house, reads):
        reads = list(reads)
        plain(house, reads)
        counts.append(sum(read.data is not None for read in reads))

    monkeypatch.setattr(recall, "again", counted)
    return counts


def lines(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_batch_that_is_answered_again_is_its_callers(server, log, again, token_of):
    """It shows the token that asks, and is recorded with the place that it asks from."""
    server.ask("POST", "sys/policies/acl/p", {"policy": f'path "{SECRET}" {{ capabilities = ["read"] }}'})
    token = token_of(policies=["p"], ttl="1h")
    for address in ("127.0.0.1", "127.0.0.1", "192.0.2.7"):
        answer = server.ask("POST", "sys/batch", {"paths": [ITSELF, SECRET]}, token=token, address=address)
        itself, secret = answer.data["results"]
        assert itself["data"]["id"] == token
        assert secret["data"]["data"] == {"key": "FAKE-value"}
    assert again[-1] == 2
    told = [(one["request"]["path"], one["request"]["remote_address"]) for one in lines(log)[-4:]]
    assert told == [(path, "192.0.2.7") for path in (ITSELF, ITSELF, SECRET, SECRET)]
    assert {one["request"]["remote_port"] for one in lines(log)[-4:]} == {1}


def test_a_read_that_is_answered_again_hours_later_opens_a_page_of_the_log(server, log, again):
    """With the time that it is then."""
    for _ in range(2):
        server.ask("GET", SECRET)
    server.now += 7200
    server.ask("GET", SECRET)
    assert again[-1] == 1
    opened = [one["time"][:19] for one in lines(log) if one["type"] == "segment"]
    assert opened == ["2023-11-14T22:13:20", "2023-11-15T00:13:20"]
