"""Following changes with the SDK: on a real server, and through what can happen on the way."""

import asyncio
import json
import time

import pytest
from tests.unit.client.later import later

from ml_secrets import AsyncClient, Client, Unauthenticated, Unsupported
from ml_secrets.client import events
from ml_secrets.client.messages import Lost
from ml_secrets.client.sse import Message, Parser
from ml_secrets.errors import Denied, Invalid
from ml_secrets.testing.programs import dev_server

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


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
    monkeypatch.setattr(events, "LONGEST_PAUSE", 0.02)


def chunk(*texts):
    """Events as pieces of a chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(text), text) for text in texts)


def event(kind, data, id_=""):
    named = f"id: {id_}\n" if id_ else ""
    return f"{named}event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def change(path, id_):
    return event("change", {"kind": "write", "mount": "secret/", "path": path, "version": 1}, id_)


# ── on a real server ────────────────────────────────────────────────────────────────────────────────────────────────


def test_changes_come_and_the_cache_follows(server, client):
    """Who is told of a change, and asks for the secret, gets what they were told of."""
    client.kv.put("seen/a", {"value": "one"})
    assert client.get_secret("seen/a").reveal() == "one"
    found = client.events("secret/seen", kinds=("write",))
    with Client(server.url, server.token) as other, later(other.kv.put, "seen/a", {"value": "two"}):
        begin = time.monotonic()
        told = next(found)
        assert time.monotonic() - begin < 3
    assert (told.kind, told.mount, told.path, told.version) == ("write", "secret", "seen/a", 2)
    assert told.etag.startswith('"')
    assert client.get_secret(told.path, mount=told.mount).reveal() == "two"
    found.close()


def test_tasks_hear_too(server, client):
    """The same with asyncio; leaving the loop closes the connection."""

    async def follow():
        seen = []
        async with AsyncClient(server.url, server.token) as mine:
            found = mine.events("secret/tasks")
            with later(client.kv.put, "tasks/a", {"value": "1"}):
                async for told in found:
                    seen.append((told.kind, told.path))
                    if len(seen) == 2:
                        break
                    await mine.kv.delete("tasks/a")
            await found.aclose()
        return seen

    assert asyncio.run(asyncio.wait_for(follow(), 10)) == [("write", "tasks/a"), ("delete", "tasks/a")]


def test_a_revoked_token_ends_it(server, client):
    """A refusal is raised, within moments of the end."""
    client.write("sys/policies/acl/follow", {"policy": 'path "sys/events/*" { capabilities = ["read"] }'})
    made = client.write("auth/token/create", {"policies": ["follow"]}).auth
    with Client(server.url, made["client_token"]) as weak:
        begin = time.monotonic()
        with (
            later(client.write, "auth/token/revoke-accessor", {"accessor": made["accessor"]}),
            pytest.raises(Unauthenticated),
        ):
            next(weak.events())
        assert time.monotonic() - begin < 5


def test_a_refusal_is_raised(server, client):
    """By the ordinary errors: no right, and a kind that there is not."""
    made = client.write("auth/token/create", {"policies": ["default"]}).auth
    with Client(server.url, made["client_token"]) as weak, pytest.raises(Denied):
        next(weak.events())
    with pytest.raises(Invalid, match="unknown kind"):
        next(client.events(kinds=("wrote",)))


def test_the_embedded_store_has_none(nowhere, tmp_path, monkeypatch):
    """It is said plainly."""
    monkeypatch.setenv("ML_SECRETS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ML_SECRETS_CONFIG_DIR", str(tmp_path / "config"))
    with Client() as mine, pytest.raises(Unsupported):
        next(mine.events())


# ── through what can happen ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_broken_connection_is_begun_again_where_it_was(serve, client_of, wire, hurried):
    """With the name of what was heard last; nothing is told twice, and nothing is said to be missing."""
    answers = [
        wire.http(503, {"errors": ["Vault is sealed"]}),
        HEAD + chunk(event("ready", {}, "i0"), b":\n\n", change("a", "i1")),
        None,
        HEAD
        + chunk(event("ready", {"resumed": True}), change("b", "i2"), event("end", {"reason": "stopped"})),
        HEAD + chunk(event("ready", {"resumed": True}), change("c", "i3")),
    ]
    scripted = serve(lambda _, number: one_then_gone(answers[number - 1]))
    found = client_of(scripted).events()
    assert [next(found).path for _ in range(3)] == ["a", "b", "c"]
    assert [asked.headers.get("last-event-id") for asked in scripted.asked] == [None, None, "i1", "i1", "i2"]


def one_then_gone(answer):
    """The pieces of an answer, after which the connection breaks."""
    return None if answer is None else pieces(answer)


def pieces(answer):
    yield answer[: len(answer) // 2]
    time.sleep(0.02)
    yield answer[len(answer) // 2 :]
    raise OSError("gone")


def test_what_may_be_missing_is_said(serve, client_of, wire, hurried):
    """A server that does not know the name any more: the cache is emptied, and there is an event for it."""
    answers = [
        HEAD + chunk(event("ready", {}, "i0")),
        HEAD + chunk(event("ready", {"resumed": False}, "j0"), change("b", "j1")),
    ]
    scripted = serve(
        lambda asked, _: wire.kv2("x", etag='"e"') if "data" in asked.path else one_then_gone(answers.pop(0))
    )
    client = client_of(scripted)
    client.get_secret("a")
    found = client.events("secret")
    assert next(found).kind == "missed"
    assert client.session.cache.entries == {}
    assert next(found).path == "b"
    assert scripted.asked[1].query == {"path": "secret"}


@pytest.fixture
def silent(serve, hurried, monkeypatch):
    """A server that gives no sign of life on its first connection."""
    monkeypatch.setattr(events, "SILENCE", 0.3)

    def falls_silent():
        yield HEAD + chunk(event("ready", {}, "i0"))
        time.sleep(1)
        raise OSError("gone")

    answers = [
        falls_silent(),
        one_then_gone(HEAD + chunk(event("ready", {"resumed": True}), change("b", "i1"))),
    ]
    return serve(lambda *_: answers.pop(0))


def test_silence_is_a_broken_connection(silent, client_of):
    """A server that gives no sign of life is left, and asked again."""
    begin = time.monotonic()
    assert next(client_of(silent).events()).path == "b"
    assert time.monotonic() - begin < 0.9


def test_silence_is_one_for_tasks_too(silent):
    """As above, with asyncio."""

    async def follow():
        async with AsyncClient(silent.url, "t") as client:
            async for told in client.events():
                return told.path
        return None

    assert asyncio.run(follow()) == "b"


def test_a_server_without_events_says_so(serve, client_of, wire):
    """Vault and OpenBao answer 404; a proxy may answer with something else entirely, but for a short while."""
    scripted = serve(lambda *_: wire.http(404, {"errors": []}))
    with pytest.raises(Unsupported, match="no events"):
        next(client_of(scripted).events())


def test_another_identity_hears_with_its_own_token(serve, client_of, hurried):
    """A stream that was begun as somebody else is left as soon as it gives a sign of life."""
    answers = [
        HEAD + chunk(event("ready", {}, "i0"), change("a", "i1")),
        HEAD + chunk(event("ready", {"resumed": True}), change("b", "i2")),
    ]
    scripted = serve(lambda *_: slow(answers.pop(0)))
    client = client_of(scripted)
    found = client.events()
    assert next(found).path == "a"
    client.token = "another"
    assert next(found).path == "b"
    assert [asked.headers["x-vault-token"] for asked in scripted.asked] == ["t", "another"]


def slow(answer):
    yield answer
    for _ in range(20):
        time.sleep(0.1)
        yield chunk(b":\n\n")


# ── the parser ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_pieces_may_end_anywhere(size):
    """Events are whole when they are whole, whatever pieces they came in."""
    text = b"retry: 3000\r\nid: 1\r\nevent: a\r\ndata: x\r\ndata:  y\r\n\r\n: comment\n\nid: 2\n\ndata:z\nother\n\n"
    parser, found = Parser(), []
    for start in range(0, len(text), size):
        found += parser.add(text[start : start + size])
    assert found == [Message("a", "x\n y", "1"), Message("message", "z", "2")]


def test_an_endless_line_is_no_event():
    """Memory has an end."""
    parser = Parser()
    for _ in range(10):
        assert parser.add(b"x" * 100_000) == []
    with pytest.raises(Lost):
        parser.add(b"x" * 100_000)


def test_what_is_no_json_is_no_event(serve, client_of, hurried):
    """It counts as a broken connection."""
    answers = [
        HEAD + chunk(b"event: change\ndata: {\n\n"),
        HEAD + chunk(event("ready", {}), event("unknown", {}), change("b", "i1")),
    ]
    scripted = serve(lambda *_: one_then_gone(answers.pop(0)))
    assert next(client_of(scripted).events()).path == "b"
