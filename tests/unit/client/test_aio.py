"""The client for tasks keeps the same rules; here is what is its own."""

import asyncio
import inspect
import pydoc
import selectors
import threading
import time

import pytest

from ml_secrets import AsyncClient, Client, errors
from ml_secrets.client import userpass


def methods(user):
    """The public methods of an object, by name."""
    return {name: getattr(user, name) for name in dir(user) if not name.startswith("_") and name != "token"}


def test_both_clients_have_the_same_methods():
    """Name by name, argument by argument; those of the one are called, those of the other awaited."""
    one, other = Client("http://127.0.0.1:1", "t"), AsyncClient("http://127.0.0.1:1", "t")
    for mine, theirs in ((one, other), (one.kv, other.kv)):
        twins = methods(theirs)
        for name, method in methods(mine).items():
            if not inspect.ismethod(method) and not inspect.isfunction(method):
                continue
            twin = twins[name]
            assert list(inspect.signature(method).parameters) == list(inspect.signature(twin).parameters), (
                name
            )
            assert method.__doc__, name
            assert not inspect.iscoroutinefunction(method), name
            if name not in ("events", "live", "mount_of", "renew_after_fork", "watch"):
                assert inspect.iscoroutinefunction(twin), name


def test_help_shows_methods_as_they_are_written():
    """`help`, and what completes names in a notebook, see parameters and documentation, not how they are carried out."""
    assert str(inspect.signature(Client("http://127.0.0.1:1", "t").kv.get)) == (
        "(name: 'str', *, version: 'int | None' = None, mount: 'str | None' = None) -> 'Secret'"
    )
    for kind in (Client, AsyncClient):
        shown = pydoc.render_doc(kind, renderer=pydoc.plaintext)
        assert "login_approle(self, role_id: 'str | Sensitive'" in shown
        assert "Log in by role id and secret id." in shown


CALLS = {
    "read": lambda client: client.read("x/y", params={"a": 1}, wrap_ttl=5),
    "list": lambda client: client.list("x/y"),
    "scan": lambda client: client.scan("x/y"),
    "write": lambda client: client.write("x/y", {"a": 1}, wrap_ttl="1m"),
    "patch": lambda client: client.patch("x/y", {"a": 1}),
    "delete": lambda client: client.delete("x/y", params={"a": 1}),
    "login": lambda client: client.login(userpass("ada", "x", mount="m")),
    "login_userpass": lambda client: client.login_userpass("ada", "x"),
    "login_approle": lambda client: client.login_approle("r", "s"),
    "login_token": lambda client: client.login_token("t2"),
    "get_secret": lambda client: client.get_secret("n", field="value", version=2, mount="m"),
    "get_secrets": lambda client: client.get_secrets(["n"], mount="m"),
    "kv.get": lambda client: client.kv.get("n", version=2),
    "kv.put": lambda client: client.kv.put("n", {"a": 1}, cas=3),
    "kv.patch": lambda client: client.kv.patch("n", {"a": 1}, cas=3),
    "kv.delete": lambda client: client.kv.delete("n", versions=[1]),
    "kv.undelete": lambda client: client.kv.undelete("n", [1]),
    "kv.destroy": lambda client: client.kv.destroy("n", [1]),
    "kv.list": lambda client: client.kv.list("f"),
    "kv.scan": lambda client: client.kv.scan("f"),
    "kv.metadata": lambda client: client.kv.metadata("n"),
    "kv.put_metadata": lambda client: client.kv.put_metadata("n", {"max_versions": 3}),
    "kv.patch_metadata": lambda client: client.kv.patch_metadata("n", {"max_versions": 3}),
    "kv.delete_all": lambda client: client.kv.delete_all("n"),
}


def test_both_clients_send_the_same(serve, wire):
    """Each method of the one sends byte by byte what its twin sends, and gives the same back."""
    body = wire.envelope(
        {"data": {"value": "x"}, "metadata": {"version": 2}, "keys": ["k"]},
        auth={"client_token": "t2", "lease_duration": 0},
    )
    server = serve(lambda asked, number: wire.http(200, body))
    for name, call in CALLS.items():
        with Client(server.url, "t") as client:
            mine, given = repr(call(client)), list(server.asked)

        async def twin():
            async with AsyncClient(server.url, "t") as client:
                return repr(await CALLS[name](client))  # noqa: B023 - awaited within the same turn

        server.asked.clear()
        assert asyncio.run(twin()) == mine, name
        assert server.asked == given, name
        assert given, name
        server.asked.clear()


def test_a_whole_day(serve, wire):
    """Log in, write, read one and several, list, live, close."""
    kept = {}

    def answer(asked, number):
        name = asked.path.rpartition("/")[2]
        if "/login" in asked.path:
            return wire.http(
                200, wire.envelope(None, auth={"client_token": "t", "lease_duration": 60, "renewable": True})
            )
        if asked.path == "/v1/sys/batch":
            return wire.http(404, {"errors": []})
        if asked.query.get("list"):
            return wire.http(200, wire.envelope({"keys": sorted(kept)}))
        if asked.method == "POST":
            kept[name] = asked.json["data"]
            return wire.http(200, wire.envelope({"version": 1}))
        return wire.kv2(kept[name]) if name in kept else wire.http(404, {"errors": []})

    async def day():
        async with AsyncClient(serve(answer).url, login=userpass("ada", "x")) as client:
            await client.kv.put("a", {"value": "1"})
            await client.kv.put("b", {"value": "2"})
            assert (await client.get_secret("a")).reveal() == "1"
            assert {
                name: secret.reveal() for name, secret in (await client.get_secrets(["a", "b"])).items()
            } == {"a": "1", "b": "2"}
            assert await client.kv.list() == ["a", "b"]
            assert await client.live("b").reveal() == "2"
            with pytest.raises(errors.NotFound):
                await client.get_secret("c")

    asyncio.run(day())


def test_tasks_that_want_the_same_share_one_read(serve, wire):
    """Fifty tasks, one request; errors are each task's own."""
    server = serve(
        lambda asked, number: wire.kv2("x") if asked.path.endswith("a") else wire.http(404, {"errors": []})
    )

    async def main():
        async with AsyncClient(server.url, "t") as client:
            got = await asyncio.gather(*(client.get_secret("a") for _ in range(50)))
            assert {secret.reveal() for secret in got} == {"x"}
            failed = await asyncio.gather(*(client.get_secret("b") for _ in range(5)), return_exceptions=True)
            assert {type(error) for error in failed} == {errors.NotFound}
            assert len({id(error) for error in failed}) == 5

    asyncio.run(main())
    assert len(server.asked) == 2


def test_a_cancelled_task_does_not_take_the_read_from_the_others(serve, wire):
    """The one who asked first goes away; the others get their answer from the same read."""
    came, go = threading.Event(), threading.Event()

    def answer(asked, number):
        came.set()
        assert go.wait(10)
        return wire.kv2("x")

    server = serve(answer)

    async def main():
        async with AsyncClient(server.url, "t") as client:
            first = asyncio.create_task(client.get_secret("a"))
            assert await asyncio.to_thread(came.wait, 10)
            second = asyncio.create_task(client.get_secret("a"))
            await asyncio.sleep(0.05)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            go.set()
            assert (await second).reveal() == "x"

    asyncio.run(main())
    assert len(server.asked) == 1


def test_one_client_serves_several_event_loops(serve, wire):
    """`asyncio.run` twice with the same client: each loop has a connection of its own."""
    server = serve(lambda asked, number: wire.kv2(f"v{number}"))
    client = AsyncClient(server.url, "t", cache_ttl=0)

    async def once():
        try:
            return (await client.get_secret("a")).reveal()
        finally:
            await client.close()

    assert [asyncio.run(once()) for _ in range(2)] == ["v1", "v2"]


def test_the_loop_runs_on_while_the_server_thinks(serve, wire):
    """A slow server does not block other tasks: it answers only once another has had its turns."""
    go, had_turns = threading.Event(), []

    def answer(asked, number):
        had_turns.append(go.wait(10))
        return wire.kv2("x")

    async def main():
        async with AsyncClient(serve(answer).url, "t") as client:
            reading, ticks = asyncio.create_task(client.get_secret("a")), 0
            while not reading.done():
                ticks += 1
                if ticks == 6:
                    go.set()
                await asyncio.sleep(0.01)
            assert (await reading).reveal() == "x"

    asyncio.run(main())
    assert had_turns == [True]


class Rounds(selectors.DefaultSelector):
    """Counts an event loop's rounds."""

    number = 0

    def select(self, timeout=None):
        self.number += 1
        return super().select(timeout)


class Turned(asyncio.SelectorEventLoop):
    """An event loop for which each of its rounds takes a tenth of a second, however long it took."""

    def __init__(self):
        self.rounds = Rounds()
        super().__init__(self.rounds)

    def time(self):
        return self.rounds.number / 10


def test_the_deadline_holds_to_the_second(serve, wire):
    """Even when the headers come drop by drop; and then nothing is sent again."""

    def answer(asked, number):
        yield b"HTTP/1.1 200 OK\r\n"
        while True:
            time.sleep(0.001)
            yield b"X: y\r\n"

    server = serve(answer)

    async def main():
        loop = asyncio.get_running_loop()
        async with AsyncClient(server.url, "t", timeout=20) as client:
            client.session.clock = loop.time
            began = loop.time()
            with pytest.raises(errors.Unreachable, match="in time"):
                await client.read("x/y")
            assert 20 <= loop.time() - began < 21.5

    with asyncio.Runner(loop_factory=Turned) as runner:
        runner.run(main())
    assert len(server.asked) == 1


def test_a_loop_that_ends_its_generators_may_be_used_on(serve, wire):
    """Its connection is closed by then; the next call opens another."""
    server = serve(lambda asked, number: wire.kv2("x"))
    with asyncio.Runner() as runner:
        client, loop = AsyncClient(server.url, "t"), runner.get_loop()
        assert runner.run(client.kv.get("a")).reveal() == "x"
        loop.run_until_complete(loop.shutdown_asyncgens())
        with pytest.warns(ResourceWarning, match="asynchronous generator"):  # asyncio says that it is late
            assert loop.run_until_complete(client.kv.get("a")).reveal() == "x"
        loop.run_until_complete(client.close())
    assert len(server.open) == 2
