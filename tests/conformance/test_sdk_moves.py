"""The SDK's move, copy, trash, search, filters and dates, over HTTP: both clients on our server; OpenBao has none of it."""

import asyncio
import inspect
import logging
import uuid
from datetime import UTC, datetime

import pytest

from ml_secrets import AsyncClient, Client, errors


class Waiting:
    """An `AsyncClient` that looks like a `Client`: each call runs to its end."""

    def __init__(self, loop, target):
        self.loop, self.target = loop, target

    def __getattr__(self, name):
        found = getattr(self.target, name)
        if not callable(found):
            return Waiting(self.loop, found)

        def call(*args, **kwargs):
            answer = found(*args, **kwargs)
            return self.loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer

        return call


@pytest.fixture(params=["Client", "AsyncClient"])
def client(request, dev_server, monkeypatch, tmp_path):
    """Either client, with the root token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    if request.param == "Client":
        with Client(dev_server.url, dev_server.token) as made:
            yield made
        return
    loop = asyncio.new_event_loop()
    made = AsyncClient(dev_server.url, dev_server.token)
    yield Waiting(loop, made)
    loop.run_until_complete(made.close())
    loop.close()


@pytest.fixture
def mount(client):
    """A mount of its own, with a trash."""
    name = f"sdk-{uuid.uuid4().hex[:8]}"
    client.write(f"sys/mounts/{name}", {"type": "kv-v2"})
    client.write(f"{name}/config", {"trash_retention": "1h"})
    yield name
    client.delete(f"sys/mounts/{name}")


def test_move_and_copy(client, mount):
    """All versions go along; what is cached under either name is forgotten."""
    client.kv.put("a/db", {"n": "1"}, mount=mount)
    client.kv.put("a/db", {"n": "2"}, mount=mount)
    assert client.get_secret("a/db", mount=mount)["n"].reveal() == "2"
    assert client.kv.move("a/db", "b/db", mount=mount) == 1
    with pytest.raises(errors.NotFound):
        client.get_secret("a/db", mount=mount)
    assert client.get_secret("b/db", version=1, mount=mount)["n"].reveal() == "1"
    assert client.kv.copy("b/db", "b/again", mount=mount) == 1
    with pytest.raises(errors.Conflict):
        client.kv.copy("b/db", "b/again", mount=mount)
    with pytest.raises(errors.NotFound):
        client.kv.move("a/db", "c", mount=mount)
    assert client.kv.move("b", "there", mount=mount, to_mount="secret", recursive=True) == 2
    assert client.kv.list(mount=mount) == []
    assert client.kv.move("there", "", mount="secret", to_mount=mount, recursive=True) == 2
    assert client.kv.list(mount=mount) == ["again", "db"]


def test_trash(client, mount):
    """Removed, listed, restored, purged."""
    for name in ("a/x", "a/y", "b"):
        client.kv.put(name, {"n": name}, mount=mount)
        client.kv.delete_all(name, mount=mount)
    assert [entry["path"] for entry in client.kv.trash(mount=mount)] == ["a/x", "a/y", "b"]
    [entry] = client.kv.trash("a/x", mount=mount)
    client.kv.restore("a/x", id=entry["id"], mount=mount)
    client.kv.restore("b", mount=mount)
    assert client.kv.get("b", mount=mount)["n"].reveal() == "b"
    with pytest.raises(errors.NotFound):
        client.kv.restore("b", mount=mount)
    client.kv.delete_all("b", mount=mount)
    client.kv.put("b", {"n": "new"}, mount=mount)
    with pytest.raises(errors.Conflict):
        client.kv.restore("b", mount=mount)
    [entry] = client.kv.trash("b", mount=mount)
    assert client.kv.purge("b", id=entry["id"], mount=mount) == 1
    assert client.kv.purge("a/y", mount=mount) == 1
    assert client.kv.trash(mount=mount) == []


def test_search_and_filters(client, mount):
    """By name, field name and note; scans by depth and filter; a filtered mount in pages."""
    client.kv.put("app/db", {"password": "x"}, mount=mount)
    client.kv.put("app/web/key", {"token": "x"}, mount=mount)
    client.kv.put_metadata("app/db", {"custom_metadata": {"owner": "ada"}}, mount=mount)
    assert client.kv.search("password", mount=mount) == {"app/db": ["keys"]}
    assert client.kv.search("owner=ada", mount=mount) == {"app/db": ["metadata"]}
    assert client.kv.search("*b*", "app", where=["name"], mount=mount) == {
        "app/db": ["name"],
        "app/web/key": ["name"],
    }
    assert client.kv.search("nothing", mount=mount) == {}
    assert client.kv.scan("app", depth=1, mount=mount) == ["db", "web/"]
    assert client.kv.scan(only="*key", mount=mount) == ["app/web/key"]
    client.write(f"{mount}/config", {"filtered_lists": True})
    assert client.kv.scan(mount=mount) == ["app/db", "app/web/key"]
    assert client.kv.list("app", mount=mount) == ["db", "web/"]


def test_dates(client, mount):
    """Set with the metadata, also as a datetime; what is due comes by date, overdue first."""
    for name in ("a", "b", "c"):
        client.kv.put(name, {"n": name}, mount=mount)
    client.kv.put_metadata("a", {"rotate_every": "20d", "custom_metadata": {"owner": "ada"}}, mount=mount)
    client.kv.patch_metadata("b", {"expires_at": datetime(2020, 1, 31, 12, tzinfo=UTC)}, mount=mount)
    with pytest.raises(errors.Invalid, match="expires_at"):
        client.kv.patch_metadata("c", {"expires_at": datetime(2020, 1, 31, 12)}, mount=mount)  # no zone
    assert [(one["path"], one["overdue"], one.get("owner")) for one in client.kv.due(mount=mount)] == [
        ("b", True, None),
        ("a", False, "ada"),
    ]
    assert client.kv.due(0, mount=mount) == [
        {"path": "b", "expires_at": "2020-01-31T12:00:00Z", "overdue": True, "current_version": 1}
    ]
    assert client.kv.metadata("b", mount=mount).data["expires_at"] == "2020-01-31T12:00:00Z"
    client.kv.put_metadata("b", {"expires_at": ""}, mount=mount)
    assert client.kv.due("1d", mount=mount) == []


def test_what_has_expired_is_said_once_in_the_log(client, mount, caplog):
    """One by one and in a batch; the secret is there all the same, and no value is in the log."""
    for name in ("one", "two", "fine"):
        client.kv.put(name, {"n": "fake-value"}, mount=mount)
    for name in ("one", "two"):
        client.kv.put_metadata(name, {"expires_at": "2020-01-31"}, mount=mount)
    with caplog.at_level(logging.WARNING, "ml_secrets"):
        for _ in range(2):
            assert client.kv.get("one", mount=mount)["n"].reveal() == "fake-value"
        assert len(client.get_secrets(["one", "two", "fine"], mount=mount)) == 3
    assert [record.message for record in caplog.records] == [
        f"{mount}/{name}: this secret expired on 2020-01-31T00:00:00Z" for name in ("one", "two")
    ]


def test_a_patch_of_version_1(client):
    """The other fields stay."""
    name = f"old-{uuid.uuid4().hex[:8]}"
    client.write(f"sys/mounts/{name}", {"type": "kv-v1"})
    client.kv.put("app", {"a": "1", "b": "2"}, mount=name)
    client.kv.patch("app", {"a": None, "c": "3"}, mount=name)
    assert client.kv.get("app", mount=name).reveal_fields() == {"b": "2", "c": "3"}
    with pytest.raises(errors.Unsupported):
        client.kv.patch("app", {"a": "1"}, cas=1, mount=name)
    for call in (client.kv.trash, client.kv.due, lambda **more: client.kv.move("a", "b", **more)):
        with pytest.raises(errors.Unsupported):
            call(mount=name)
    client.delete(f"sys/mounts/{name}")


def test_another_server_is_said_to_have_none_of_it(openbao, tmp_path, monkeypatch):
    """`Unsupported`, whatever is asked; and nothing is changed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    own = f"moves-{uuid.uuid4().hex[:8]}"  # other tests have secrets on this server, too
    with Client(openbao.url, openbao.token) as client:
        client.kv.put(f"{own}/here", {"a": "1"})
        for call in (
            lambda: client.kv.move(f"{own}/here", f"{own}/there"),
            lambda: client.kv.copy(f"{own}/here", f"{own}/there", recursive=True),
            client.kv.trash,
            lambda: client.kv.restore(f"{own}/here"),
            lambda: client.kv.purge(f"{own}/here"),
            lambda: client.kv.search("here"),
            client.kv.due,
            lambda: client.kv.scan(depth=1),
            lambda: client.kv.scan(only=f"{own}*"),
        ):
            with pytest.raises(errors.Unsupported):
                call()
        assert client.kv.scan(own) == ["here"]
        client.kv.delete_all(f"{own}/here")
