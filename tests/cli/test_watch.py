"""Being told of changes on the command line."""

import json
import sys
import threading

import pytest
from session import run

from ml_secrets import Client


@pytest.fixture
def change(at_home, dev_server, monkeypatch):
    """Change the secret `watched` in a moment."""
    monkeypatch.setenv("ML_SECRETS_ADDR", dev_server.url)
    monkeypatch.setenv("ML_SECRETS_TOKEN", dev_server.token)
    with Client(dev_server.url, dev_server.token) as client:
        client.kv.put("watched", {"value": "fake-1"})
        timer = threading.Timer(0.5, client.kv.put, ("watched", {"value": "fake-2"}))
        timer.start()
        yield
        timer.join()
        client.kv.delete_all("watched")


def test_each_state_is_a_line(change):
    """The present state, then the new one; never a value."""
    ran = run(["kv", "watch", "--once", "watched"])
    assert (ran.code, ran.stdout) == (0, "secret/watched: version 1\nsecret/watched: version 2\n")


def test_programs_get_json_lines(change):
    """One object for each state."""
    ran = run(["kv", "watch", "--once", "--format", "json", "watched"])
    states = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(state["path"], state["state"], state["version"]) for state in states] == [
        ("secret/watched", "present", 1),
        ("secret/watched", "present", 2),
    ]
    assert "fake" not in ran.stdout


def test_a_command_is_run_at_each_change(change, tmp_path):
    """Not for the state that was there; with path and version, and its exit code is that of --once."""
    script = tmp_path / "told.py"
    script.write_text(
        "import os, sys\n"
        f"open({str(tmp_path / 'told')!r}, 'a').write(os.environ['ML_SECRETS_PATH'] + ' ' + os.environ['ML_SECRETS_VERSION'] + '\\n')\n"
        "sys.exit(3)\n"
    )
    ran = run(["kv", "watch", "--once", "--exec", f"{sys.executable} {script}", "watched"])
    assert ran.code == 3
    assert "the command ended with 3" in ran.stderr
    assert (tmp_path / "told").read_text() == "secret/watched 2\n"


def test_a_command_that_is_not_there_is_said(change):
    """And the code tells it."""
    ran = run(["kv", "watch", "--once", "--exec", "/no/such/program", "watched"])
    assert ran.code == 1
    assert "could not be started" in ran.stderr


@pytest.mark.parametrize(("command", "said"), [("'half", "quote"), ("", "empty")])
def test_an_odd_command_is_refused(change, command, said):
    """Before anything is watched, and without repeating it."""
    ran = run(["kv", "watch", "--exec", command, "watched"])
    assert ran.code == 1
    assert said in ran.stderr
    assert "half" not in ran.stderr


def test_what_may_not_be_read_is_not_watched(change, dev_server, monkeypatch):
    """A refusal ends it with the server's exit code."""
    with Client(dev_server.url, dev_server.token) as client:
        token = client.write("auth/token/create", {"policies": ["default"]}).auth["client_token"]
    monkeypatch.setenv("ML_SECRETS_TOKEN", token)
    ran = run(["kv", "watch", "--mount", "secret", "watched"])
    assert ran.code == 2
