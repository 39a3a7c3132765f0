"""Live secrets: handles that are current in every process, that tell of changes, and that are nothing but a name elsewhere."""

import asyncio
import gc
import io
import logging
import multiprocessing
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cloudpickle
import joblib
import pytest
from tests.soon import SOON, eventually

import ml_secrets
from ml_secrets import AsyncClient, Client, EndsEarly, Invalid, Sensitive, live
from ml_secrets.client import default, following, watching
from ml_secrets.client.live import restored
from ml_secrets.testing.programs import dev_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with dev_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def writer(server):
    """Somebody else, who rotates."""
    with Client(server.url, server.token, cache_ttl=0) as made:
        yield made


@pytest.fixture
def here(server, surroundings):
    return surroundings(server)


def followers(name):
    return [
        thread for thread in threading.enumerate() if thread.name.startswith(f"ml-secrets live secret/{name}")
    ]


def test_it_is_always_current(here, writer):
    """What somebody else rotates is given within a moment, though the cache is good for minutes; fields and value, too."""
    writer.kv.put("db", {"user": "ada", "password": "one"})
    secret, password = live("db"), live("db", field="password")
    assert (secret["password"].reveal(), password.reveal(), set(secret.keys())) == (
        "one",
        "one",
        {"user", "password"},
    )
    writer.kv.patch("db", {"password": "two"})
    assert eventually(lambda: password.reveal() == "two")
    assert secret.reveal_fields() == {"user": "ada", "password": "two"}
    assert password.value == Sensitive("two")
    assert (secret.get().version, list(password)) == (2, ["password"])


def test_a_handle_asks_nothing_until_it_is_looked_at(monkeypatch):
    """Making one needs no server."""
    monkeypatch.setenv("ML_SECRETS_ADDR", "http://127.0.0.1:9")
    assert live("db").name == "db"
    assert bool(live("db"))


def test_callbacks_hear_of_each_change_of_the_values(here, writer):
    """Not of the present state, not of a change of metadata alone or of another field; of the end, as None."""
    heard = queue.SimpleQueue()
    writer.kv.put("called", {"user": "ada", "password": "one"})
    password = live("called", field="password")

    @password.on_change
    def tell(secret):
        heard.put(None if secret is None else secret.reveal())

    assert password.reveal() == "one"
    assert eventually(lambda: password.told not in (None, following.ending.UNKNOWN))
    writer.kv.patch_metadata("called", {"custom_metadata": {"owner": "ada"}})
    writer.kv.patch("called", {"user": "eve"})
    assert eventually(lambda: live("called")["user"].reveal() == "eve")
    writer.kv.patch("called", {"password": "two"})
    assert heard.get(timeout=SOON) == "two"
    writer.kv.delete("called")
    assert heard.get(timeout=SOON) is None
    password.remove_callback(tell)
    writer.kv.put("called", {"password": "three"})
    assert eventually(lambda: password.reveal() == "three")
    assert heard.empty()


def test_a_callback_outlives_its_handle_and_needs_no_look(here, writer):
    """`live(name).on_change(f)` is enough."""
    writer.kv.put("kept", {"value": "one"})
    heard = queue.SimpleQueue()
    live("kept").on_change(lambda secret: heard.put(secret.reveal()))
    gc.collect()
    assert eventually(
        lambda: any(thread._state not in (None, following.ending.UNKNOWN) for thread in followers("kept"))
    )
    writer.kv.put("kept", {"value": "two"})
    assert heard.get(timeout=SOON) == "two"


def test_a_change_before_the_first_question_is_told(here, writer, monkeypatch):
    """Between a first look and the follower's own: it is compared with what was looked at."""
    writer.kv.put("between", {"value": "one"})
    heard, go_on, handle = queue.SimpleQueue(), threading.Event(), live("between")
    follow = following._Followed._follow
    monkeypatch.setattr(following._Followed, "_follow", lambda self: go_on.wait(SOON) and follow(self))
    handle.on_change(lambda secret: heard.put(secret.reveal()))
    assert handle.reveal() == "one"
    writer.kv.put("between", {"value": "two"})
    default.default_client().session.cache.clear()
    go_on.set()
    assert heard.get(timeout=SOON) == "two"


def test_a_callback_that_fails_stops_nothing_and_shows_nothing(here, writer, caplog):
    """It is logged by its kind; its words may hold the value."""
    writer.kv.put("failing", {"value": "FAKE-one"})
    heard, handle = queue.SimpleQueue(), live("failing")

    def fail(secret):
        raise RuntimeError(secret.reveal())

    handle.on_change(fail)
    handle.on_change(lambda secret: heard.put(secret.reveal()))
    assert handle.reveal() == "FAKE-one"
    assert eventually(lambda: handle.told is not following.ending.UNKNOWN)
    with caplog.at_level(logging.WARNING):
        writer.kv.put("failing", {"value": "FAKE-two"})
        assert heard.get(timeout=SOON) == "FAKE-two"
    assert "RuntimeError" in caplog.text
    assert "FAKE" not in caplog.text


def test_handles_of_one_secret_share_a_thread_that_ends_with_them(server, writer):
    """However many there are; and with the client."""
    writer.kv.put("shared", {"value": "one"})
    with Client(server.url, server.token) as client:
        handles = [client.live("shared") for _ in range(20)]
        assert [handle.reveal() for handle in handles] == ["one"] * 20
        assert len(followers("shared")) == 1
        del handles
        writer.kv.put("shared", {"value": "two"})
        assert eventually(lambda: not followers("shared"))
        handle = client.live("shared")
        assert handle.reveal() == "two"
        assert len(followers("shared")) == 1
    writer.kv.put("shared", {"value": "three"})
    assert eventually(lambda: not followers("shared"))


def test_so_many_are_followed_and_no_more(server, writer, monkeypatch):
    """Beyond that a handle is as fresh as the cache, unless somebody wants to be called."""
    monkeypatch.setattr(following, "MOST", 2)
    with Client(server.url, server.token) as client:
        handles = [client.live(f"many/{number}") for number in range(4)]
        for handle in handles:
            writer.kv.put(handle.name, {"value": "v"})
            assert handle.reveal() == "v"
        assert len(followers("many")) == 2
        handles[3].on_change(print)
        assert len(followers("many")) == 3


def test_another_identity_is_followed_as_such(server, writer):
    """A client that becomes somebody else tells of what that one may read."""
    heard = queue.SimpleQueue()
    writer.kv.put("mine", {"value": "one"})
    writer.write("sys/policies/acl/mine", {"policy": 'path "secret/data/mine" { capabilities = ["read"] }'})
    with Client(server.url, server.token) as client:
        handle = client.live("mine")
        handle.on_change(lambda secret: heard.put(secret.reveal()))
        assert handle.reveal() == "one"
        client.token = writer.write("auth/token/create", {"policies": ["mine"]}).auth["client_token"]
        writer.kv.put("mine", {"value": "two"})
        assert heard.get(timeout=SOON) == "two"
        writer.kv.put("mine", {"value": "three"})
        assert heard.get(timeout=SOON) == "three"


def test_a_refusal_is_asked_again_after_a_while(server, writer, monkeypatch, caplog):
    """A right that comes back has the changes come again; who looks meanwhile is told."""
    monkeypatch.setattr(following, "AGAIN", 0.05)
    policy = {"policy": 'path "secret/data/right" { capabilities = ["read"] }'}
    heard = queue.SimpleQueue()
    writer.kv.put("right", {"value": "one"})
    writer.write("sys/policies/acl/right", policy)
    token = writer.write("auth/token/create", {"policies": ["right"]}).auth["client_token"]
    with Client(server.url, token) as client, caplog.at_level(logging.WARNING):
        handle = client.live("right")
        handle.on_change(lambda secret: heard.put(secret.reveal()))
        assert handle.reveal() == "one"
        writer.write("sys/policies/acl/right", {"policy": 'path "secret/data/x" { capabilities = ["read"] }'})
        assert eventually(lambda: "cannot be followed" in caplog.text)
        with pytest.raises(ml_secrets.Denied):
            handle.reveal()
        writer.write("sys/policies/acl/right", policy)
        writer.kv.put("right", {"value": "two"})
        assert heard.get(timeout=SOON) == "two"


@pytest.mark.parametrize("place", ["openbao", "embedded"])
def test_where_nobody_tells_it_asks_now_and_then(place, request, monkeypatch, tmp_path):
    """OpenBao, and the store in this process: callbacks hear of changes, and nothing is asked after the client is closed."""
    monkeypatch.setattr(watching, "EVERY", 0.05)
    monkeypatch.setenv("ML_SECRETS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ML_SECRETS_CONFIG_DIR", str(tmp_path / "config"))
    there = request.getfixturevalue("openbao") if place == "openbao" else None
    where = (there.url, there.token) if there else ("embedded:",)
    heard = queue.SimpleQueue()
    with Client(*where) as client, Client(*where) as other:
        other.kv.put("polled", {"value": "one"})
        handle = client.live("polled")
        handle.on_change(lambda secret: heard.put(secret.reveal()))
        assert handle.reveal() == "one"
        other.kv.put("polled", {"value": "two"})
        assert heard.get(timeout=SOON) == "two"
        assert handle.reveal() == "two"
    assert eventually(lambda: not followers("polled"))


# ── other processes ─────────────────────────────────────────────────────────────────────────────────────────────────


def look_twice(handle, pipe):
    pipe.send(handle.reveal())
    pipe.recv()
    deadline = time.monotonic() + SOON
    while (value := handle.reveal()) == "one" and time.monotonic() < deadline:
        time.sleep(0.01)
    pipe.send(value)


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_another_process_looks_for_itself(here, writer, way, monkeypatch):
    """A child that was forked or spawned with a handle gets its value, and its rotation, over connections of its own."""
    monkeypatch.syspath_prepend(Path(__file__).parents[3])
    name = f"child-{way}"
    writer.kv.put(name, {"value": "one"})
    handle = live(name)
    assert handle.reveal() == "one"
    context = multiprocessing.get_context(way)
    ours, theirs = context.Pipe()
    child = context.Process(target=look_twice, args=(handle, theirs))
    child.start()
    assert ours.poll(30)
    assert ours.recv() == "one"
    writer.kv.put(name, {"value": "two"})
    ours.send("go on")
    assert ours.poll(10)
    assert ours.recv() == "two"
    child.join(10)
    assert child.exitcode == 0
    assert eventually(lambda: handle.reveal() == "two")


def dumped_by_joblib(handle):
    file = io.BytesIO()
    joblib.dump({"model": [1, 2], "key": handle}, file)
    return file.getvalue()


@pytest.mark.parametrize(
    "dumped",
    [
        lambda handle: pickle.dumps(handle, 0),
        lambda handle: pickle.dumps(handle, pickle.HIGHEST_PROTOCOL),
        cloudpickle.dumps,
        lambda handle: cloudpickle.dumps(lambda: handle),
        dumped_by_joblib,
    ],
)
def test_it_is_pickled_as_its_name(here, writer, dumped):
    """No value, token or address is in it, though it was looked at; what comes back is a handle that works."""
    writer.kv.put("pickled", {"user": "FAKE-user", "password": "FAKE-password"})
    handle = live("pickled", field="password")
    assert handle.reveal() == "FAKE-password"
    content = dumped(handle)
    assert b"pickled" in content
    assert b"FAKE" not in content
    assert here.token.encode() not in content
    assert here.url.encode() not in content


def test_what_was_pickled_is_a_handle_again(here, writer):
    """With its field and mount; of a client's own handle, by the client of the process."""
    writer.kv.put("again", {"user": "u", "password": "p"})
    with Client(here.url, here.token) as client:
        back = pickle.loads(pickle.dumps(client.live("again", field="user", mount="secret")))
    assert (back.name, back.field, back.mount, back.reveal()) == ("again", "user", "secret", "u")


def test_torch_saves_its_name(here, writer, tmp_path):
    """A checkpoint that holds a handle holds no value."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    writer.kv.put("checkpoint", {"value": "FAKE-checkpoint"})
    handle = live("checkpoint")
    assert handle.reveal() == "FAKE-checkpoint"
    torch.save({"step": 1, "key": handle}, tmp_path / "c.pt")
    assert b"FAKE" not in (tmp_path / "c.pt").read_bytes()
    with torch.serialization.safe_globals([restored]):
        assert torch.load(tmp_path / "c.pt", weights_only=True)["key"].reveal() == "FAKE-checkpoint"


def test_it_prints_as_dots(here, writer):
    """In every way, also with its fields looked at."""
    writer.kv.put("printed", {"value": "FAKE-printed"})
    handle = live("printed")
    assert handle.reveal() == "FAKE-printed"
    assert (str(handle), repr(handle), f"{handle}") == ("••••", "<LiveSecret printed ••••>", "••••")


def test_a_look_at_what_is_at_hand_takes_no_way_to_the_server(here, writer, monkeypatch):
    """No flow, no lock and no thread: a look into a dictionary (bench/live.py measures it)."""
    writer.kv.put("quick", {"user": "u", "password": "p"})
    handles = [live("quick", field="password"), live("quick")]
    shown = [handle.get() for handle in handles]
    monkeypatch.setattr(Client, "run", None)
    monkeypatch.setattr(following.Following, "add", None)
    assert [handle.get() for handle in handles] == shown
    assert all(handle.get() is one for handle, one in zip(handles, shown, strict=True))


def test_a_script_that_closes_nothing_ends_without_a_warning(here, writer):
    """A thread that waits for news does not hold the process up, nor complain at its end."""
    writer.kv.put("script", {"value": "x"})
    code = "from ml_secrets import live\ns = live('script')\ns.on_change(print)\nassert s.reveal() == 'x'\n"
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code],
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - begin < 10


# ── until when ──────────────────────────────────────────────────────────────────────────────────────────────────────


def token(writer, **settings):
    return writer.write("auth/token/create", {"policies": ["root"], **settings}).auth["client_token"]


def test_a_token_that_ends_before_the_job_is_warned_of(here, writer):
    """At the first look, once; and by a method, that says when."""
    writer.kv.put("job", {"value": "v"})
    with Client(here.url, token(writer, ttl="1h", explicit_max_ttl="2h")) as client:
        handle = client.live("job", needed_for="6h")
        with pytest.warns(EndsEarly, match="the token, even renewed, ends at .* before the job does at"):
            handle.reveal()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            handle.reveal()
            assert handle.lasts("30m")
        with pytest.warns(EndsEarly):
            assert not handle.lasts(timedelta(hours=3))
        left = handle.ends_at() - datetime.now(UTC)
        assert timedelta(minutes=119) < left <= timedelta(minutes=120)


def test_what_lasts_is_not_warned_of(here, writer):
    """A root token, a token that is renewed without end, and a job that states no end."""
    writer.kv.put("job", {"value": "v"})
    for settings in ({}, {"ttl": "1h"}, {"period": "1h"}):
        with Client(here.url, token(writer, **settings)) as client:
            handle = client.live("job", needed_for=3600 * 24 * 7)
            assert handle.reveal() == "v"
            assert handle.ends_at() is None
            assert client.live("job").lasts()


def test_a_token_that_cannot_be_renewed_ends_with_its_time(here, writer):
    """It is warned of whatever its longest time would be."""
    writer.kv.put("job", {"value": "v"})
    with (
        Client(here.url, token(writer, ttl="1h", renewable=False)) as client,
        pytest.warns(EndsEarly, match="the token ends at"),
    ):
        assert not client.live("job").lasts(datetime.now(UTC) + timedelta(hours=2))


def test_the_secrets_own_end_counts(here, writer):
    """Its `expires_at`, where the metadata may be read."""
    writer.kv.put("dated", {"value": "v"})
    writer.kv.patch_metadata("dated", {"expires_at": "2099-01-01T00:00:00Z"})
    assert live("dated").ends_at() == datetime(2099, 1, 1, tzinfo=UTC)
    with pytest.warns(EndsEarly, match="the secret 'dated' ends at 2099-01-01"):
        assert not live("dated").lasts(datetime(2100, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("stated", ["2100-01-01T00:00:00Z", "4102444800", "1000d"])
def test_the_jobs_end_comes_from_the_surroundings(here, writer, monkeypatch, stated):
    """As a moment, as Slurm's seconds since 1970, or from now on."""
    writer.kv.put("slurm", {"value": "v"})
    writer.kv.patch_metadata("slurm", {"expires_at": "2027-06-01T00:00:00Z"})
    monkeypatch.setenv("ML_SECRETS_JOB_END", stated)
    with pytest.warns(EndsEarly):
        live("slurm").reveal()


@pytest.mark.parametrize("stated", ["soon", "12", 1.5, True])
def test_an_end_that_is_none_is_refused(stated):
    """At once, and by name."""
    with pytest.raises(Invalid, match="needed_for"):
        live("db", needed_for=stated)


# ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tasks_have_handles_too(here, writer):
    """Looked at and followed by awaiting."""
    writer.kv.put("task", {"user": "u", "password": "one"})

    async def main():
        async with AsyncClient(here.url, here.token, revalidate=300) as client:
            handle = client.live("task", field="password")
            assert (await handle.value()).reveal() == await handle.reveal() == "one"
            changes = handle.changes()
            coming = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(writer.kv.patch, "task", {"password": "two"})
            assert (await asyncio.wait_for(coming, SOON)).reveal() == "two"
            await changes.aclose()
            return await handle.reveal()

    assert asyncio.run(main()) == "two"


def test_tasks_are_warned_too(here, writer):
    """At the first look, and by a method."""
    writer.kv.put("job", {"value": "v"})

    async def main():
        async with AsyncClient(here.url, token(writer, ttl="1h", renewable=False)) as client:
            handle = client.live("job", needed_for="2h")
            with pytest.warns(EndsEarly):
                await handle.get()
            assert await handle.lasts("30m")
            return await handle.ends_at() - datetime.now(UTC)

    assert asyncio.run(main()) <= timedelta(hours=1)


def test_a_handle_of_a_clients_own_for_tasks_does_not_pickle(server):
    """There is no client for tasks in every process that could take it on."""

    async def main():
        async with AsyncClient(server.url, server.token) as client:
            with pytest.raises(TypeError, match="does not pickle"):
                pickle.dumps(client.live("x"))

    asyncio.run(main())
