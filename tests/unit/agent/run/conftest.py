"""Runs against a real server, with a secret of their own."""

import pytest
from tests.unit.agent.run.sitting import Job

from ml_secrets import Client

PASSWORD = "fake-pa55word-of-tests"
KEY = "fake-k3y/of+tests=="


@pytest.fixture(scope="session")
def told(dev_server):
    """The server has the secrets."""
    with Client(dev_server.url, dev_server.token) as client:
        client.kv.put("team-a/db", {"user": "ada", "password": PASSWORD})
        client.kv.put("team-a/api", {"key": KEY})
    return dev_server


@pytest.fixture
def job(told, tmp_path, room):
    """Runs commands, in a home of their own."""
    return Job(told.url, told.token, tmp_path, room)


@pytest.fixture(autouse=True)
def nothing_stays(room):
    """Whatever a test does: no folder of its runs is left."""
    yield
    left = list(room.glob("ml-secrets/run-*"))
    assert not left, f"left behind: {left}"


@pytest.fixture
def sit_down(job):
    """A terminal, closed at the end."""
    opened = []

    def sit(*words, **settings):
        opened.append(job.sit_down(*words, **settings))
        return opened[-1]

    yield sit
    for terminal in opened:
        terminal.close()
