"""Changes as server-sent events: who hears of what, how a stream ends, and how many there may be."""

import asyncio
import contextlib
import json
import queue
import socket
import threading
import time

import httpx
import pytest
from tests.unit.server.calling import Call

from ml_secrets import Client
from ml_secrets.registry import recent
from ml_secrets.server import events
from ml_secrets.testing.programs import ROOT_TOKEN, dev_server

FOLLOW = 'path "sys/events/subscribe/*" { capabilities = ["read"] }\n'
READER = FOLLOW + 'path "secret/data/mine/*" { capabilities = ["read"] }'
LISTER = FOLLOW + 'path "secret/metadata/mine/*" { capabilities = ["list"] }'


class Stream(Call):
    """One stream under way. `read` is cleared to make its client take nothing."""

    def __init__(self, edge, kinds="*", *, known="", **more):
        self.status = None
        self.text = b""
        self.news = asyncio.Event()
        self.read = asyncio.Event()
        self.read.set()
        header = [(b"last-event-id", known.encode())] if known else []
        super().__init__(edge, f"sys/events/subscribe/{kinds}", header=header, **more)

    async def send(self, event):
        await self.read.wait()
        self.status = event.get("status", self.status)
        self.text += event.get("body", b"")
        self.news.set()

    @property
    def told(self):
        """(event, its data, its id) of everything that came."""
        found = []
        for part in self.text.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in part.split("\n") if ": " in line)
            if "event" in lines:
                found.append((lines["event"], json.loads(lines["data"]), lines.get("id", "")))
        return found

    @property
    def changes(self):
        return [(data["kind"], data["path"]) for event, data, _ in self.told if event == "change"]

    async def until(self, true, within=5.0):
        async with asyncio.timeout(within):
            while not true(self):
                self.news.clear()
                await self.news.wait()
        return self

    async def ready(self):
        return await self.until(lambda stream: stream.told)

    async def reason(self, within=3.0):
        """Why it ended."""
        async with asyncio.timeout(within):
            await self.task
        assert self.told[-1][0] == "end"
        return self.told[-1][1]["reason"]


@pytest.fixture
def write(server):
    """Write a secret, in a thread."""

    def write(name, value="fake-value"):
        return in_thread(server.ask, "POST", f"secret/data/{name}", {"data": {"fake": value}})

    return write


def holder(server, policy, **more):
    """A token with that policy, and its accessor."""
    assert server.ask("POST", "sys/policies/acl/holder", {"policy": policy}).status == 204
    made = server.ask("POST", "auth/token/create", {"policies": ["holder"], **more}).json["auth"]
    return made["client_token"], made["accessor"]


def in_thread(work, *arguments):
    return asyncio.get_running_loop().run_in_executor(None, work, *arguments)


def run(steps):
    return asyncio.run(steps())


def test_a_change_is_told_without_its_value(server, edge, write):
    """Name, kind, version, ETag and time come, in that order of writing; no value does."""

    async def steps():
        stream = await Stream(edge).ready()
        await write("mine/a", "fake-value-one")
        await write("mine/a", "fake-value-two")
        await in_thread(server.ask, "DELETE", "secret/metadata/mine/a")
        await stream.until(lambda it: len(it.changes) == 3)
        edge.hush()
        assert await stream.reason() == "stopped"
        return stream

    stream = run(steps)
    assert stream.changes == [("write", "mine/a"), ("write", "mine/a"), ("remove", "mine/a")]
    _, data, name = stream.told[2]
    etag = data.pop("etag")
    assert data == {
        "kind": "write",
        "mount": "secret/",
        "path": "mine/a",
        "version": 2,
        "time": "2023-11-14T22:13:20Z",
    }
    assert etag.endswith('-2-0"')
    assert len(name) == 16
    assert b"fake-value" not in stream.text


@pytest.mark.parametrize(
    ("kinds", "query", "expected"),
    [
        ("write", "", [("write", "mine/a"), ("write", "other")]),
        ("remove,delete", "", [("delete", "mine/a")]),
        ("*", "path=secret/mine", [("write", "mine/a"), ("delete", "mine/a")]),
        ("*", "path=secret/mi", []),
        ("*", "path=elsewhere", []),
    ],
)
def test_only_what_was_asked_for_is_told(server, edge, write, kinds, query, expected):
    """By kind, and by path in whole segments."""

    async def steps():
        stream, all_ = await Stream(edge, kinds, query=query).ready(), await Stream(edge).ready()
        await write("mine/a")
        await write("other")
        await in_thread(server.ask, "DELETE", "secret/data/mine/a")
        await all_.until(lambda it: len(it.changes) == 3)
        await asyncio.sleep(0.05)
        return stream.changes

    assert run(steps) == expected


def test_nobody_hears_of_what_they_may_not_read_or_list(server, edge, write):
    """A reader hears of what they may read; who may list hears names alone; a deny on the secret itself wins."""
    denied = READER + '\npath "secret/data/mine/b" { capabilities = ["deny"] }'

    async def heard(policy):
        token, _ = await in_thread(holder, server, policy)
        stream, all_ = await Stream(edge, token=token).ready(), await Stream(edge).ready()
        await write("mine/a")
        await write("mine/b")
        await write("mine/deep/c")
        await write("other")
        await all_.until(lambda it: len(it.changes) == 4)
        await asyncio.sleep(0.05)
        shown = [(data["path"], bool(data["version"]), bool(data["etag"])) for _, data, _ in stream.told[1:]]
        stream.gone.set()
        return shown

    assert asyncio.run(heard(READER)) == [(f"mine/{name}", True, True) for name in ("a", "b", "deep/c")]
    assert asyncio.run(heard(LISTER)) == [(f"mine/{name}", False, False) for name in ("a", "b", "deep/c")]
    assert asyncio.run(heard(denied)) == [(f"mine/{name}", True, True) for name in ("a", "deep/c")]
    assert asyncio.run(heard(FOLLOW)) == []


def test_where_lists_are_filtered_the_right_to_list_is_not_enough(server, edge, write):
    """A list there would not show them the name, so neither does an event."""
    server.ask("POST", "secret/config", {"filtered_lists": True})

    async def steps():
        token, _ = await in_thread(holder, server, LISTER)
        stream, all_ = await Stream(edge, token=token).ready(), await Stream(edge).ready()
        await write("mine/a")
        await all_.until(lambda it: it.changes)
        await asyncio.sleep(0.05)
        return stream.changes

    assert run(steps) == []


def test_rights_count_as_they_are(server, edge, write):
    """A right that was given is used from the next event on, and one that was taken away is gone with the next event."""

    async def steps():
        token, _ = await in_thread(holder, server, READER)
        stream = await Stream(edge, token=token).ready()
        await write("mine/a")
        await stream.until(lambda it: it.changes)
        await in_thread(server.ask, "POST", "sys/policies/acl/holder", {"policy": FOLLOW})
        await write("mine/b")
        await asyncio.sleep(0.3)  # it has been looked at by then
        await in_thread(server.ask, "POST", "sys/policies/acl/holder", {"policy": READER})
        await write("mine/c")
        await stream.until(lambda it: len(it.changes) > 1)
        return stream.changes

    assert run(steps) == [("write", "mine/a"), ("write", "mine/c")]


def test_a_revoked_token_ends_its_stream(server, edge, write):
    """Within two seconds of its end, without any other change, and the next event does not get out."""

    async def steps(*, changes):
        token, accessor = await in_thread(holder, server, READER)
        stream = await Stream(edge, token=token).ready()
        await in_thread(server.ask, "POST", "auth/token/revoke-accessor", {"accessor": accessor})
        if changes:
            await write("mine/a")
        reason = await stream.reason(within=2.0)
        return reason, stream.changes

    for changes in (False, True):
        assert asyncio.run(steps(changes=changes)) == ("token", [])


def test_what_others_write_keeps_no_stream_open(server, edge, write, monkeypatch):
    """Where news of no concern come all the time, the token is looked at all the same, and the silence broken."""
    monkeypatch.setattr(events, "HEARTBEAT", 0.1)

    async def steps():
        token, accessor = await in_thread(holder, server, READER)
        stream = await Stream(edge, token=token, query="path=secret/mine").ready()
        writing = asyncio.ensure_future(others())
        await stream.until(lambda it: b"\n\n:\n\n" in it.text, within=3)
        await in_thread(server.ask, "POST", "auth/token/revoke-accessor", {"accessor": accessor})
        reason = await stream.reason(within=2.5)
        writing.cancel()
        return reason

    async def others():
        while True:
            await write("other")
            await asyncio.sleep(0.1)

    assert run(steps) == "token"


def test_an_expired_token_ends_its_stream(server, edge):
    """Time alone ends it, though nobody writes."""

    async def steps():
        token, _ = await in_thread(lambda: holder(server, READER, ttl="1h"))
        stream = await Stream(edge, token=token).ready()
        await asyncio.sleep(1.2)
        assert not stream.task.done()
        server.now += 3601
        return await stream.reason(within=2.0)

    assert run(steps) == "token"


def test_who_may_no_longer_follow_is_told_so(server, edge):
    """The right to the stream itself is looked at, too."""

    async def steps():
        token, _ = await in_thread(holder, server, READER)
        stream = await Stream(edge, token=token).ready()
        await in_thread(
            server.ask,
            "POST",
            "sys/policies/acl/holder",
            {"policy": 'path "secret/*" { capabilities = ["read"] }'},
        )
        return await stream.reason(within=2.0)

    assert run(steps) == "denied"


def test_sealing_ends_every_stream_and_forgets_the_names(server, edge, write):
    """Nothing is told while the server is sealed, and the names of changes before it are not known afterwards."""

    async def steps():
        stream = await Stream(edge).ready()
        await write("mine/a")
        await stream.until(lambda it: it.changes)
        await in_thread(server.ask, "PUT", "sys/seal")
        return await stream.reason(), stream.told[-2][2]

    reason, name = run(steps)
    assert reason == "sealed"
    assert server.house.recent.after(name) is None


@pytest.mark.parametrize(
    ("kinds", "token", "query", "status"),
    [
        ("*", "no-such-token", "", 403),
        ("*", None, "", 403),
        ("wrote", ROOT_TOKEN, "", 400),
        ("*", ROOT_TOKEN, "since=1", 400),
    ],
)
def test_what_is_refused_gets_no_stream(server, edge, kinds, token, query, status):
    """An ordinary refusal, by the ordinary way."""

    async def steps():
        weak, _ = await in_thread(holder, server, 'path "secret/*" { capabilities = ["read"] }')
        stream = Stream(edge, kinds, token=token or weak, query=query)
        async with asyncio.timeout(2):
            await stream.task
        return stream.status

    assert run(steps) == status


def test_a_stream_cannot_be_wrapped_nor_had_without_a_server(server):
    """Both are said plainly."""
    wrapped = server.ask("GET", "sys/events/subscribe/*", wrap="60s")
    assert (wrapped.status, wrapped.errors) == (400, ["a stream of events cannot be wrapped"])
    assert server.ask("GET", "sys/events/subscribe/*").errors == ["there are no events here"]


def test_who_was_away_for_a_moment_misses_nothing(edge, write):
    """By the name of the last change they heard of, or of `ready`."""

    async def steps():
        first = await Stream(edge).ready()
        await write("mine/a")
        await first.until(lambda it: it.changes)
        first.gone.set()
        await first.task
        await write("mine/b")
        await write("mine/c")
        second = await Stream(edge, known=first.told[1][2]).until(lambda it: len(it.changes) == 2)
        third = await Stream(edge, known=first.told[0][2]).until(lambda it: len(it.changes) == 3)
        return second, third

    for stream in run(steps):
        assert stream.told[0][:2] == ("ready", {"resumed": True})
        assert stream.changes[-2:] == [("write", "mine/b"), ("write", "mine/c")]


def test_who_was_away_too_long_is_told_that_something_may_be_missing(edge, write, monkeypatch):
    """No history is kept for them: they read again what they hold, and hear what comes from now on."""

    async def steps():
        stream = await Stream(edge, known="0123456789abcdef").ready()
        await write("mine/a")
        return (await stream.until(lambda it: it.changes)).told

    told = run(steps)
    assert told[0][:2] == ("ready", {"resumed": False})
    assert told[1][1]["path"] == "mine/a"


def test_a_slow_reader_is_let_go(edge, write, monkeypatch):
    """One who takes nothing is ended, the others hear everything meanwhile, and nothing is kept for it."""
    monkeypatch.setattr(events, "PATIENCE", 0.5)

    async def steps():
        slow, quick = await Stream(edge).ready(), await Stream(edge).ready()
        slow.read.clear()
        for number in range(5):
            await write(f"mine/{number}")
        await quick.until(lambda it: len(it.changes) == 5)
        async with asyncio.timeout(4):
            await slow.task
        assert not quick.task.done()
        return slow.changes

    assert len(run(steps)) < 5


def test_who_falls_behind_all_that_is_kept_is_let_go(edge, server, write, monkeypatch):
    """A stream has no memory of its own: what is not among the latest changes any more cannot be told."""

    async def steps():
        stream = await Stream(edge).ready()
        stream.read.clear()
        await write("mine/a")
        await asyncio.sleep(0.1)
        change = server.house.recent.since(0, most=1)[0].change
        for _ in range(recent.MOST + 1):
            server.house.recent.add(change)
        stream.read.set()
        async with asyncio.timeout(3):
            await stream.task
        return stream

    stream = run(steps)
    assert [event for event, _, _ in stream.told] == ["ready", "change"]


def test_so_many_streams_and_no_more(edge, monkeypatch):
    """In all, and of one token; who leaves makes room."""
    monkeypatch.setattr(events, "MOST", 3)

    async def steps():
        edge._events._places = events.Places(3, 2)
        two = [await Stream(edge).ready() for _ in range(2)]
        third = Stream(edge)
        await third.task
        assert third.status == 429
        two[0].gone.set()
        await two[0].task
        fourth = await Stream(edge).ready()
        return fourth.status

    assert run(steps) == 200


def test_silence_is_broken_now_and_then(edge, monkeypatch):
    """So that a client can tell a quiet server from a broken connection."""
    monkeypatch.setattr(events, "HEARTBEAT", 0.1)

    async def steps():
        stream = await Stream(edge).ready()
        return await stream.until(lambda it: b"\n\n:\n\n" in it.text, within=3)

    assert run(steps).changes == []


def test_beginning_and_end_are_recorded(server, edge, write, tmp_path):
    """Two records when it is opened, with what was asked; one when it ends, with the reason and how much was told."""
    log = tmp_path / "audit.log"
    server.ask("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": str(log)}})

    async def steps():
        stream = await Stream(edge, "write", query="path=secret/mine").ready()
        await write("mine/a")
        await stream.until(lambda it: it.changes)
        stream.gone.set()
        await stream.task

    run(steps)
    said = [json.loads(line) for line in log.read_text().splitlines()]
    mine = [line for line in said if line.get("request", {}).get("path", "").startswith("sys/events/")]
    assert [line["type"] for line in mine] == ["request", "response", "response"]
    assert len({line["request"]["id"] for line in mine}) == 1
    assert mine[0]["request"]["data"] == {"path": "secret/mine"}
    assert mine[2]["response"]["data"] == {"ended": "gone", "sent": 1}
    assert mine[2]["auth"]["policy_results"]["allowed"] is True


def test_over_the_network(tmp_path):
    """A real server: events come at once, in pieces; one who reads nothing is let go; stopping takes no time."""
    with dev_server(tmp_path) as server, httpx.Client(headers={"X-Vault-Token": server.token}) as client:
        url = f"{server.url}/v1/secret/data/app"
        with opened(server) as stream:
            begin = time.monotonic()
            client.post(url, json={"data": {"fake": "one"}})
            assert b'"path":"app"' in received(stream, b"event: change")
            assert time.monotonic() - begin < 2
            begin = time.monotonic()
            server.process.terminate()
            assert b'{"reason":"stopped"}' in received(stream, b"event: end")
            server.process.wait(10)
            assert time.monotonic() - begin < 5


def test_a_follower_outlasts_a_killed_server(home):
    """The SDK connects again by itself, says that something may be missing, and hears what comes next."""
    heard = queue.Queue()

    def follow(token):
        with Client(home.url, token) as client:
            for event in client.events("secret/mine"):
                heard.put((event.kind, event.path))

    def write(client, name):
        assert client.post(f"secret/data/mine/{name}", json={"data": {"fake": "x"}}).status_code == 200

    with home.server() as (process, client):
        token = client.headers["x-vault-token"]
        threading.Thread(target=follow, args=(token,), daemon=True).start()
        while heard.empty():  # until it is connected
            write(client, "a")
            time.sleep(0.2)
        process.kill()
        process.wait(10)
    with home.server() as (_, client):
        while heard.get(timeout=20)[0] != "missed":
            pass
        write(client, "b")
        assert heard.get(timeout=20) == ("write", "mine/b")


@contextlib.contextmanager
def opened(server):
    """A connection with a stream on it."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as made:
        made.settimeout(10)
        made.sendall(
            f"GET /v1/sys/events/subscribe/* HTTP/1.1\r\nHost: here\r\nX-Vault-Token: {server.token}\r\n\r\n".encode()
        )
        received(made, b"event: ready")
        yield made


def received(made, sign):
    """What came, up to an event."""
    text = b""
    while sign not in text or not text.rstrip(b"\r\n0").endswith(b"}"):
        more = made.recv(65536)
        assert more, text
        text += more
    return text
