"""Following a secret: on a real server, on one that cannot tell, and through everything that can happen on the way."""

import asyncio
import itertools
import time

import pytest
from tests.unit.client.later import later

from ml_secrets import AsyncClient, Client, Unauthenticated
from ml_secrets.client import watching
from ml_secrets.client.lookup import key_of
from ml_secrets.testing.programs import dev_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with dev_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server):
    with Client(server.url, server.token) as made:
        yield made


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(watching, "EVERY", 0.02)
    monkeypatch.setattr(watching, "LONGEST_PAUSE", 0.02)


def test_every_state_comes(client, server):
    """The present state first, then each new one at once; the cache has it, too; an end is None, and a return is seen."""
    client.kv.put("followed", {"value": "one"})
    with Client(server.url, server.token) as other:
        states = client.watch("followed")
        assert next(states).reveal() == "one"
        begin = time.monotonic()
        with later(other.kv.put, "followed", {"value": "two"}):
            assert next(states).reveal() == "two"
        assert time.monotonic() - begin < 2
        assert client.get_secret("followed").reveal() == "two"
        with later(other.kv.delete, "followed"):
            assert next(states) is None


def test_what_is_not_there_yet_is_waited_for(client, hurried):
    """A secret that does not exist is none at first, and is seen when it is made."""
    states = client.watch("not-yet")
    assert next(states) is None
    with later(client.kv.put, "not-yet", {"value": "one"}):
        assert next(states).reveal() == "one"


def test_tasks_follow_too(server, client):
    """The same with asyncio, and leaving the loop ends it."""
    client.kv.put("task", {"value": "1"})

    async def follow():
        seen = []
        async with AsyncClient(server.url, server.token) as mine:
            async for secret in mine.watch("task"):
                seen.append(secret.reveal())
                if len(seen) == 3:
                    return seen
                await mine.kv.put("task", {"value": str(len(seen) + 1)})
        return None

    assert asyncio.run(asyncio.wait_for(follow(), 10)) == ["1", "2", "3"]


def test_a_revoked_token_ends_it(server, client):
    """A refusal is raised, within moments of the end of the right."""
    client.kv.put("private", {"value": "one"})
    client.write(
        "sys/policies/acl/private", {"policy": 'path "secret/data/private" { capabilities = ["read"] }'}
    )
    made = client.write("auth/token/create", {"policies": ["private"]}).auth
    with Client(server.url, made["client_token"]) as weak:
        states = weak.watch("private")
        assert next(states).reveal() == "one"
        begin = time.monotonic()
        with (
            later(client.write, "auth/token/revoke-accessor", {"accessor": made["accessor"]}),
            pytest.raises(Unauthenticated),
        ):
            next(states)
        assert time.monotonic() - begin < 5


def test_a_server_without_etags_is_asked_now_and_then(serve, client_of, wire, hurried):
    """Where nobody can tell of news, equal answers are none."""
    values = ["one", "one", "one", "two"]
    scripted = serve(lambda _, number: wire.kv2(values[min(number, 4) - 1], version=1))
    states = client_of(scripted).watch("app")
    assert [next(states).reveal(), next(states).reveal()] == ["one", "two"]
    assert len(scripted.asked) == 4
    assert not any("wait" in asked.query for asked in scripted.asked)


def test_a_server_that_is_away_is_outlasted(serve, client_of, wire, hurried):
    """A broken connection, a busy server and a sealed one are asked again, with what was seen last."""
    answers = [
        wire.kv2("one", etag='"a"'),
        None,
        wire.http(503, {"errors": ["Vault is sealed"]}),
        wire.http(429, {"errors": ["busy"]}, ["Retry-After: 0"]),
        wire.http(304, b"", ['ETag: "a"']),
        wire.kv2("two", version=2, etag='"b"'),
    ]
    scripted = serve(lambda _, number: answers[number - 1])
    states = client_of(scripted).watch("app")
    assert [next(states).reveal(), next(states).reveal()] == ["one", "two"]
    later_ones = scripted.asked[1:]
    assert {asked.headers["if-none-match"] for asked in later_ones} == {'"a"'}
    assert {asked.query["wait"] for asked in later_ones} == {"24s"}


def test_a_server_that_answers_too_early_is_not_hurried(serve, client_of, wire, monkeypatch):
    """One that knows ETags but not how to wait is not asked in a tight circle."""
    monkeypatch.setattr(watching, "EVERY", 0.2)
    answers = itertools.chain([wire.kv2("one", etag='"a"')], *[[wire.http(304, b"", ['ETag: "a"'])]] * 3)
    scripted = serve(lambda *_: next(answers, wire.kv2("two", version=2, etag='"b"')))
    states = client_of(scripted).watch("app")
    begin = time.monotonic()
    assert [next(states).reveal(), next(states).reveal()] == ["one", "two"]
    assert time.monotonic() - begin > 0.3


def test_the_state_shows_no_value(client):
    """What is kept of a state between two answers is its mark."""
    client.kv.put("quiet", {"value": "fake-but-secret"})
    watched = watching.Watched(watching_key(client, "quiet"))
    client.run(watching.following(client.session, watched))
    assert "fake-but-secret" not in repr(watched)


def watching_key(client, name):
    return key_of(client.session, name, None, None)
