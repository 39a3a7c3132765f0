"""Reads that wait for news: who is woken by what, what is recorded, and how many may wait."""

import asyncio
import contextlib
import json
import socket
import time

import httpx
import pytest
from tests.unit.server.calling import Call

from ml_secrets.server import waiting
from ml_secrets.testing.programs import dev_server

READER = 'path "secret/data/*" { capabilities = ["read"] }'


@pytest.fixture
def app(server):
    """Write a secret; returns its ETag."""
    return lambda value="one", name="app": write(server, value, name)


def write(server, value, name="app"):
    assert server.ask("POST", f"secret/data/{name}", {"data": {"fake": value}}).status == 200
    return server.ask("GET", f"secret/data/{name}").headers["etag"]


def reader(server, **more):
    """A token that may read every secret, and its accessor."""
    server.ask("POST", "sys/policies/acl/reader", {"policy": READER})
    made = server.ask("POST", "auth/token/create", {"policies": ["reader"], **more}).json["auth"]
    return made["client_token"], made["accessor"]


class Asked(Call):
    """One request under way, from who has the state of that ETag."""

    def __init__(self, edge, path, etag, *, query="wait=30s", **more):
        self.events = []
        header = [(b"if-none-match", etag.encode())] if etag else []
        super().__init__(edge, path, query=query, header=header, **more)

    async def send(self, event):
        self.events.append(event)

    async def answer(self, within=5.0):
        """Status and body."""
        async with asyncio.timeout(within):
            await self.task
        return self.status, json.loads(self.events[1]["body"] or b"null")

    @property
    def status(self):
        return self.events[0]["status"]

    async def waits(self):
        await asyncio.sleep(0.1)
        return not self.task.done()


def in_thread(work, *arguments, **named):
    return asyncio.get_running_loop().run_in_executor(None, lambda: work(*arguments, **named))


def run(steps):
    """Run a coroutine function."""
    return asyncio.run(steps())


def test_a_change_ends_the_wait(server, edge, app):
    """The answer is the new version, and it comes at once."""
    etag = app()

    async def steps():
        asked = Asked(edge, "secret/data/app", etag)
        assert await asked.waits()
        await in_thread(write, server, "two")
        return await asked.answer(within=0.5)

    status, body = run(steps)
    assert (status, body["data"]["data"]) == (200, {"fake": "two"})


def test_another_state_is_answered_at_once(server, edge, app):
    """Nobody waits who has not what is there: an old ETag, or none."""
    old = app("one")
    app("two")

    async def steps():
        return [await Asked(edge, "secret/data/app", etag).answer(0.5) for etag in (old, "")]

    for status, body in run(steps):
        assert (status, body["data"]["data"]) == (200, {"fake": "two"})


def test_without_news_it_is_304(edge, app):
    """When the time is over, the client is told that it has the latest."""
    etag = app()

    async def steps():
        begin = time.monotonic()
        answer = await Asked(edge, "secret/data/app", etag, query="wait=1").answer()
        return answer, time.monotonic() - begin

    (status, body), took = run(steps)
    assert (status, body) == (304, None)
    assert 0.9 < took < 3


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (("DELETE", "secret/data/app"), 404),
        (("DELETE", "secret/metadata/app"), 404),
        (("POST", "secret/destroy/app", {"versions": [1]}), 404),
        (("POST", "secret/delete/app", {"versions": [1]}), 404),
        (("POST", "secret/move/app", {"to": "elsewhere"}), 404),
        (("POST", "secret/metadata/app", {"custom_metadata": {"owner": "nobody"}}), 200),
    ],
)
def test_every_kind_of_change_is_news(server, edge, app, change, status):
    """Not only writes: whatever another answer would come of ends the wait at once."""
    etag = app()

    async def steps():
        asked = Asked(edge, "secret/data/app", etag)
        assert await asked.waits()
        await in_thread(server.ask, *change)
        return await asked.answer(within=0.5)

    assert run(steps)[0] == status


def test_other_secrets_are_no_news(server, edge, app):
    """What is written elsewhere, or refused, wakes nobody."""
    etag = app()

    async def steps():
        asked = Asked(edge, "secret/data/app", etag)
        assert await asked.waits()
        await in_thread(write, server, "two", "other")
        refused = await in_thread(server.ask, "POST", "secret/data/app", {"data": {}, "options": {"cas": 7}})
        assert refused.status == 400
        await asyncio.sleep(1.3)
        assert not asked.task.done()
        edge.hush()
        return await asked.answer(within=0.5)

    assert run(steps)[0] == 304


def test_a_revoked_token_waits_no_longer(server, edge, app):
    """The token that began the wait is looked at again: its end is a 403 within moments, and so is a new version."""
    etag = app()

    async def steps(change):
        token, accessor = await in_thread(reader, server)
        asked = Asked(edge, "secret/data/app", etag, token=token)
        assert await asked.waits()
        await in_thread(server.ask, "POST", "auth/token/revoke-accessor", {"accessor": accessor})
        if change:
            await in_thread(write, server, "two")
        return await asked.answer(within=2.5)

    for change in (False, True):
        status, body = asyncio.run(steps(change))
        assert status == 403
        assert "fake" not in json.dumps(body)


def test_a_right_taken_away_ends_the_wait(server, edge, app):
    """The rights count as they are when the answer leaves."""
    etag = app()

    async def steps():
        token, _ = await in_thread(reader, server)
        asked = Asked(edge, "secret/data/app", etag, token=token)
        assert await asked.waits()
        nothing = {"policy": 'path "secret/data/*" { capabilities = ["deny"] }'}
        await in_thread(server.ask, "POST", "sys/policies/acl/reader", nothing)
        return await asked.answer(within=2.5)

    assert run(steps)[0] == 403


def test_who_may_not_read_does_not_wait(server, edge, app):
    """A stranger is refused at once, whatever they ask to wait for."""
    etag = app()

    async def steps():
        return await Asked(edge, "secret/data/app", etag, token="no-such-token").answer(0.5)

    assert run(steps)[0] == 403


def test_sealing_ends_the_wait(server, edge, app):
    """A sealed server keeps nobody waiting."""
    etag = app()

    async def steps():
        asked = Asked(edge, "secret/data/app", etag)
        assert await asked.waits()
        await in_thread(server.ask, "PUT", "sys/seal")
        return await asked.answer(within=2.5)

    assert run(steps)[0] == 503


def test_a_version_that_dies_ends_the_wait(server, edge):
    """Time passes for who waits, too: a version that has reached its end is a 404."""
    server.ask("POST", "secret/metadata/app", {"delete_version_after": "60s"})
    etag = write(server, "one")

    async def steps():
        asked = Asked(edge, "secret/data/app", etag)
        assert await asked.waits()
        server.now += 61
        return await asked.answer(within=2.5)

    assert run(steps)[0] == 404


def test_an_answer_is_recorded_and_waiting_is_not(server, edge, app, tmp_path):
    """One pair of audit lines for each answer; none for the wait, and none for a client that went away."""
    log = tmp_path / "audit.log"
    etag = app()
    server.ask("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": str(log)}})

    def lines():
        said = [json.loads(line) for line in log.read_text().splitlines()]
        return [
            line["type"]
            for line in said
            if line.get("request", {}).get("path") == "secret/data/app"
            and line["request"]["operation"] == "read"
        ]

    async def steps():
        asked, leaving = (Asked(edge, "secret/data/app", etag) for _ in range(2))
        assert await asked.waits()
        assert lines() == []
        leaving.gone.set()
        await leaving.answer()
        assert lines() == []
        await in_thread(server.ask, "POST", "secret/data/app", {"data": {"fake": "two"}})
        await asked.answer(within=0.5)
        assert leaving.status == 408  # to nobody

    run(steps)
    assert lines() == ["request", "response"]


def test_a_use_is_spent_by_the_answer(server, edge, app):
    """A token with limited uses spends one for the answer, and none for the wait."""
    etag = app()

    async def steps():
        token, accessor = await in_thread(reader, server, num_uses=2)
        asked = Asked(edge, "secret/data/app", etag, token=token)
        assert await asked.waits()
        await in_thread(write, server, "two")
        assert (await asked.answer(within=1))[0] == 200
        return await in_thread(server.ask, "POST", "auth/token/lookup-accessor", {"accessor": accessor})

    assert run(steps).json["data"]["num_uses"] == 1


def test_too_many_are_told_to_come_later(edge, app, monkeypatch):
    """One token cannot take all the room, and is told when to try again; who leaves makes room."""
    monkeypatch.setattr(waiting, "MOST_OF_ONE", 2)
    etag = app()

    async def steps():
        two = [Asked(edge, "secret/data/app", etag) for _ in range(2)]
        assert await two[0].waits()
        third = Asked(edge, "secret/data/app", etag)
        assert (await third.answer(0.5))[0] == 429
        assert dict(third.events[0]["headers"])[b"retry-after"] == b"5"
        two[0].gone.set()
        await two[0].answer()
        fourth = Asked(edge, "secret/data/app", etag)
        assert await fourth.waits()
        edge.hush()
        return [(await asked.answer())[0] for asked in (two[1], fourth)]

    assert run(steps) == [304, 304]


def test_no_more_than_so_many_wait_in_all(edge, app, monkeypatch):
    """Whoever they are."""
    monkeypatch.setattr(waiting, "MOST", 1)
    etag = app()

    async def steps():
        first = Asked(edge, "secret/data/app", etag)
        assert await first.waits()
        assert (await Asked(edge, "secret/data/app", etag).answer(0.5))[0] == 429
        edge.hush()
        return (await first.answer())[0]

    assert run(steps) == 304


@pytest.mark.parametrize(("text", "status"), [("301", 400), ("1x", 400), ("-1", 400), ("0", 304)])
def test_odd_times_are_refused(edge, app, text, status):
    """A wait has a longest time, and is a duration; none is none."""
    etag = app()

    async def steps():
        return await Asked(edge, "secret/data/app", etag, query=f"wait={text}").answer(0.5)

    assert run(steps)[0] == status


def test_a_thousand_wait(server, edge, app):
    """A thousand clients wait without a thread, others are served meanwhile, and each gets the news."""
    etag = app()

    async def steps():
        asked = [Asked(edge, "secret/data/app", etag) for _ in range(1000)]
        await asyncio.sleep(1.5)
        assert not any(one.task.done() for one in asked)
        begin = time.monotonic()
        assert (await Asked(edge, "secret/data/app", "", query="").answer(1))[0] == 200
        assert time.monotonic() - begin < 0.2
        await in_thread(write, server, "two")
        return [(await one.answer(10))[0] for one in asked]

    assert run(steps) == [200] * 1000


def test_over_the_network(tmp_path):
    """A real server: news arrive at once, a client that is killed makes room, and stopping does not take the server wait."""
    with dev_server(tmp_path) as server, httpx.Client(headers={"X-Vault-Token": server.token}) as client:
        url = f"{server.url}/v1/secret/data/app"
        client.post(url, json={"data": {"fake": "one"}})
        etag = client.get(url).headers["etag"]
        for _ in range(waiting.MOST_OF_ONE // 256):
            with contextlib.ExitStack() as stack:
                for _ in range(256):
                    stack.enter_context(leaving(server, etag))
                time.sleep(0.3)
        time.sleep(1)
        with leaving(server, etag) as waits:
            waits.settimeout(10)
            client.post(url, json={"data": {"fake": "two"}})
            assert b'{"fake":"two"}' in waits.recv(65536)
        etag = client.get(url).headers["etag"]
        with leaving(server, etag) as waits:
            time.sleep(0.3)
            begin = time.monotonic()
            server.process.terminate()
            waits.settimeout(10)
            assert waits.recv(65536).startswith(b"HTTP/1.1 304")
            server.process.wait(10)
            assert time.monotonic() - begin < 5


def leaving(server, etag):
    """A connection that waits, until it is closed."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    made = socket.create_connection((host, int(port)))
    made.sendall(
        f"GET /v1/secret/data/app?wait=60s HTTP/1.1\r\nHost: here\r\nX-Vault-Token: {server.token}\r\n"
        f"If-None-Match: {etag}\r\n\r\n".encode()
    )
    return made
