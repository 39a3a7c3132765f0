"""Secrets in hand, and what follows them, against real servers."""

import time

import pytest
from tests.soon import eventually

from ml_secrets import Client
from ml_secrets.agent.reference import Reference
from ml_secrets.agent.source import Follower, Source

ONE = Reference.parse("secret://secret/source/one#value")


@pytest.fixture(params=["dev_server", "openbao"])
def server(request):
    """With events, and without."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def root(server):
    with Client(server.url, server.token, cache_ttl=0) as client:
        client.kv.put("source/one", {"value": "0"})
        yield client


@pytest.fixture
def following(server, root):
    """`following(changed)`: who follows the secret with a token of its own, what it has, and what it said."""
    started = []

    def start(changed=lambda _: None, **more):
        token = root.write("auth/token/create", {"ttl": "5m"}).auth["client_token"]
        source, said = Source(Client(server.url, token, cache_ttl=0)), []
        source.fetch([ONE])
        follower = Follower(source, "", poll=0.3, changed=changed, told=said.append, **more)
        follower.start()
        started.append(follower)
        assert eventually(lambda: follower.by)
        return follower, source, said

    yield start
    for one in started:
        one.stop()


def has(source, text):
    return lambda: source.values[ONE].reveal() == text


def test_a_token_that_is_refused_ends_nobody_s_following(root, following):
    """It is said once; with another token the next change is heard of."""
    follower, source, said = following()
    root.write("auth/token/revoke", {"token": source.client.token.reveal()})
    root.kv.put("source/one", {"value": "1"})
    assert eventually(lambda: said)
    source.client.token = root.token
    assert eventually(has(source, "1"))
    root.kv.put("source/one", {"value": "2"})
    assert eventually(has(source, "2"))
    assert follower.is_alive()


def test_what_nobody_thought_of_ends_nobody_s_following(root, following):
    """It is told by its kind and place, without what it holds; the next change is acted on."""
    heard = []

    def changed(_):
        heard.append(source.values[ONE].reveal())
        if heard == ["1"]:
            raise KeyError("fake-value")

    follower, source, said = following(changed)
    root.kv.put("source/one", {"value": "1"})
    assert eventually(lambda: any("fault" in text for text in said))
    assert any(text.startswith("KeyError at test_source.py:") for text in said)
    assert "fake-value" not in "".join(said)
    root.kv.put("source/one", {"value": "2"})
    assert eventually(lambda: "2" in heard)
    assert follower.is_alive()


def test_it_begins_when_it_is_to(root, following):
    """Not before; and with what changed meanwhile."""
    began = time.monotonic()
    _, source, _ = following(after=1.0)
    assert time.monotonic() - began >= 1
    root.kv.put("source/one", {"value": "1"})
    assert eventually(has(source, "1"))
