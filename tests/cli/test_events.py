"""Changes and webhooks on the command line."""

import json
import threading

import pytest
from session import run

from ml_secrets import Client
from ml_secrets.testing.receiver import Receiver


@pytest.fixture
def client(at_home, dev_server, monkeypatch):
    monkeypatch.setenv("ML_SECRETS_ADDR", dev_server.url)
    monkeypatch.setenv("ML_SECRETS_TOKEN", dev_server.token)
    with Client(dev_server.url, dev_server.token) as made:
        yield made


@pytest.fixture
def changes(client):
    """Change the secret `told/a` twice in a moment."""

    def change():
        client.kv.put("told/a", {"value": "fake-1"})
        client.kv.delete_all("told/a")

    timer = threading.Timer(1.0, change)
    timer.start()
    yield
    timer.join()


def test_each_change_is_a_line(changes):
    """With time, kind and version; never a value."""
    ran = run(["events", "tail", "--path", "secret/told", "--count", "2"])
    first, second = (line.split(" ", 1)[1] for line in ran.stdout.splitlines())
    assert (ran.code, first, second) == (0, "write secret/told/a version 1", "remove secret/told/a")


def test_programs_get_json_lines(changes):
    """One object for each change, of the kinds that were asked for."""
    ran = run(
        ["events", "tail", "--path", "secret/told", "--kind", "remove", "--count", "1", "--format", "json"]
    )
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(one["kind"], one["mount"], one["path"]) for one in told] == [("remove", "secret", "told/a")]
    assert "fake" not in ran.stdout


def test_a_kind_that_there_is_not_is_refused(client):
    """By the server, with those that there are."""
    ran = run(["events", "tail", "--kind", "wrote", "--count", "1"])
    assert ran.code == 2
    assert "unknown kind of change" in ran.stderr


def test_the_life_of_a_webhook(client, tmp_path):
    """Add, test, list, status, replace, remove; the key is shown once, and the URL's path in no list."""
    with Receiver() as receiver:
        url = tmp_path / "url.txt"
        url.write_text(f"{receiver.url}/key-fake-in-a-url\n")
        added = run(
            [
                "events",
                "webhook",
                "add",
                "one",
                f"@{url}",
                "--path",
                "secret/told",
                "--kind",
                "write",
                "--field",
                "key",
            ]
        )
        assert added.code == 0
        assert added.stdout.startswith("whsec_")
        assert "not shown again" in added.stderr
        tested = run(["events", "webhook", "test", "one"])
        assert (tested.code, tested.stdout) == (0, "Delivered\n")
        receiver.status = 500
        refused = run(["events", "webhook", "test", "one"])
        assert (refused.code, refused.stdout) == (2, "Not delivered: the answer was 500\n")
        client.kv.put("told/b", {"value": "fake-1"})
        receiver.wait(3)
    listed = run(["events", "webhook", "list", "--format", "json"])
    shown = json.loads(listed.stdout)["one"]
    assert shown["to"] == f"http://127.0.0.1:{receiver.port}"
    assert shown["kinds"] == ["write"]
    assert "fake" not in listed.stdout
    table = run(["events", "webhook", "list"]).stdout
    assert table.splitlines()[0].split() == ["Name", "To", "Kinds", "Path", "State", "Waiting"]
    assert json.loads(run(["events", "webhook", "status", "one", "--format", "json"]).stdout)["waiting"] == 1
    again = run(["events", "webhook", "add", "one", f"@{url}"])
    assert "its key is as before" in again.stdout
    assert run(["events", "webhook", "remove", "one"]).code == 0
    assert run(["events", "webhook", "list"]).stdout == "There are no webhooks\n"
    assert run(["events", "webhook", "status", "one"]).code == 2
