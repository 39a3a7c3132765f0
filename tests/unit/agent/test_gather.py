"""Gathering: one batch for everything, all or nothing, each failure by name. On our server and on OpenBao."""

import asyncio

import pytest

from ml_secrets import AsyncClient, Client, Incomplete, Unauthenticated, Unreachable
from ml_secrets.agent.gather import gather, gathering
from ml_secrets.agent.reference import Reference
from ml_secrets.client import approle


@pytest.fixture(scope="module", params=["dev_server", "openbao"])
def client(request):
    """A client of a server with secrets in three mounts, one of them with a slash in its name."""
    server = request.getfixturevalue(request.param)
    with Client(server.url, server.token, cache_ttl=0) as root:
        for mount, version in (("team/gather", "2"), ("plain-gather", "1")):
            root.write(f"sys/mounts/{mount}", {"type": "kv", "options": {"version": version}})
        root.write("secret/data/gather/db", {"data": {"password": "fake-one", "user": "ada"}})
        root.write(
            "secret/data/gather/db",
            {"data": {"user": "ada", "password": "fake-two", "port": 5432, "é": None}},
        )
        root.write("team/gather/data/a/b", {"data": {"key": "fake-three"}})
        root.write("plain-gather/a", {"key": "fake-four"})
        yield root


def fetched(client, *texts):
    found = gather(client, [Reference.parse(text) for text in texts])
    assert [str(reference) for reference in found] == list(dict.fromkeys(texts))
    return [value.reveal() for value in found.values()]


def test_fields_secrets_and_versions_are_given_as_they_were_asked_for(client):
    """A field is its text, or JSON where it is none; several and a whole secret are JSON objects; a version is that version."""
    assert fetched(
        client,
        "secret://secret/gather/db#password",
        "secret://secret/gather/db#port",
        "secret://secret/gather/db#port,user",
        "secret://secret/gather/db?version=1",
        "secret://secret/gather/db?version=1#password",
        "secret://secret/gather/db#%C3%A9",
    ) == [
        "fake-two",
        "5432",
        '{"port":5432,"user":"ada"}',
        '{"password":"fake-one","user":"ada"}',
        "fake-one",
        "null",
    ]


def test_the_server_knows_where_a_mount_ends(client):
    """A mount may have a slash in its name, and any version of KV."""
    texts = "secret://team/gather/a/b#key", "secret://plain-gather/a#key", "secret://plain-gather/a"
    assert fetched(client, *texts) == ["fake-three", "fake-four", '{"key":"fake-four"}']


def test_all_failures_are_named_and_nothing_is_given(client):
    """Each reference that cannot be had is told with what to do, beside those that could; no value is in the message."""
    good = "secret://secret/gather/db#password"
    bad = (
        "secret://secret/gather/none",
        "secret://secret/gather/db#nix",
        "secret://no-mount/x",
        "secret://sys/x",
    )
    with pytest.raises(Incomplete) as failed:
        fetched(client, good, *bad)
    assert set(failed.value.errors) == set(bad)
    assert "4 of 5" in str(failed.value)
    assert all(text in str(failed.value) and failed.value.errors[text].hint for text in bad)
    assert "it has password, port, user, é" in str(failed.value)
    assert "fake" not in str(failed.value)


def test_a_version_of_what_keeps_none_is_refused(client):
    """Otherwise another value than the one that is meant would be delivered, without a word."""
    with pytest.raises(Incomplete, match="plain-gather/ keeps no versions"):
        fetched(client, "secret://plain-gather/a?version=1#key")


def test_a_server_that_is_away_is_one_error(client):
    """Not one for each reference."""
    with Client("http://127.0.0.1:9", "t", cache_ttl=0) as nobody, pytest.raises(Unreachable):
        fetched(nobody, "secret://secret/a", "secret://secret/b")


def test_a_caller_whom_nobody_knows_is_one_error(dev_server):
    """A login that is refused is about no secret in particular."""
    login = approle("no-such-role", "no-such-secret-id", mount="approle", inline=True)
    for nobody in Client(dev_server.url, "no-such-token"), Client(dev_server.url, login=login):
        with nobody, pytest.raises(Unauthenticated):
            fetched(nobody, "secret://secret/a", "secret://secret/a#b", "secret://secret/b")


def test_an_asyncio_client_gathers_by_the_same_flow(client):
    """`gathering` is driven by both kinds of clients."""
    reference = Reference.parse("secret://team/gather/a/b#key")

    async def gathered():
        async with AsyncClient(client.settings.address, client.session.token) as other:
            return await other.run(gathering(other.session, [reference]))

    assert asyncio.run(gathered())[reference].reveal() == "fake-three"


class Counted(Client):
    """A client that remembers what it sent."""

    def _connect(self):
        self.sent = []
        return Counting(super()._connect(), self.sent)


class Counting:
    def __init__(self, inner, sent):
        self.inner, self.sent, self.close = inner, sent, inner.close

    def send(self, request):
        self.sent.append((request.method, request.path))
        return self.inner.send(request)


def test_one_batch_serves_everything(dev_server):
    """Forty references in two mounts are two questions about mounts and one batch."""
    with Counted(dev_server.url, dev_server.token, cache_ttl=0) as client:
        for mount in "m0", "m1":
            client.write(f"sys/mounts/{mount}", {"type": "kv", "options": {"version": "2"}})
        for number in range(40):
            client.write(f"m{number % 2}/data/s{number}", {"data": {"value": f"fake-{number}"}})
        client.sent.clear()
        names = [f"m{number % 2}/s{number}" for number in range(40)]
        values = gather(client, [Reference.parse(f"secret://{name}#value") for name in names])
        assert [value.reveal() for value in values.values()] == [f"fake-{number}" for number in range(40)]
        assert client.sent == [
            ("GET", "sys/internal/ui/mounts/m0/s0"),
            ("GET", "sys/internal/ui/mounts/m1/s1"),
            ("POST", "sys/batch"),
        ]


def test_where_a_login_goes_inside_each_request_none_is_spent_on_asking_for_mounts(dev_server):
    """The first segment is taken for the mount."""
    with Client(dev_server.url, dev_server.token, cache_ttl=0) as root:
        root.write("sys/auth/gathering", {"type": "approle"})
        root.write("sys/policies/acl/gathering", {"policy": 'path "secret/*" { capabilities = ["read"] }'})
        root.write("auth/gathering/role/job", {"token_policies": ["gathering"]})
        role = root.read("auth/gathering/role/job/role-id").data["role_id"]
        secret = root.write("auth/gathering/role/job/secret-id").data["secret_id"]
        root.write("secret/data/inside/a", {"data": {"value": "fake-inside"}})
    login = approle(role, secret, mount="gathering", inline=True)
    with Counted(dev_server.url, login=login, cache_ttl=0) as client:
        assert fetched(client, "secret://secret/inside/a#value") == ["fake-inside"]
        assert len(client.sent) == 1
