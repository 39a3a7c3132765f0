"""A login inside each request: one request is one login, no token is made, and a refused login is told from a refused request."""

import asyncio
import traceback

import pytest

from ml_secrets import AsyncClient, Client, errors
from ml_secrets.client import approle, userpass
from ml_secrets.testing import programs
from ml_secrets.testing.programs import ROOT_TOKEN

PASSWORD = "FAKE-password"
READS = 'path "secret/data/job/*" { capabilities = ["read"] } path "one/job/*" { capabilities = ["read"] }'


@pytest.fixture(scope="module")
def root(dev_server):
    """Root's client, on a server with a user, a role and secrets that both may read."""
    with Client(dev_server.url, dev_server.token) as client:
        for method in ("userpass", "approle"):
            client.write(f"sys/auth/inline-{method}", {"type": method})
        client.write("sys/policies/acl/inline-job", {"policy": READS})
        client.write("auth/inline-userpass/users/bob", {"password": PASSWORD, "token_policies": "inline-job"})
        role = {"token_policies": "inline-job", "token_type": "service"}
        client.write("auth/inline-approle/role/job", role)
        for name in ("db", "api"):
            client.kv.put(f"job/{name}", {"key": f"FAKE-{name}"})
        client.write("sys/mounts/one", {"type": "kv"})
        client.kv.put("job/old", {"key": "FAKE-old"}, mount="one")
        yield client
        client.delete("sys/mounts/one")


@pytest.fixture
def job(root):
    """The role's login, with a secret id that is good for so many."""

    def login(uses):
        role_id = root.read("auth/inline-approle/role/job/role-id").data["role_id"]
        made = root.write("auth/inline-approle/role/job/secret-id", {"num_uses": uses})
        return approle(role_id, made.data["secret_id"], mount="inline-approle", inline=True)

    return login


def tokens(root):
    return set(root.list("auth/token/accessors").data["keys"])


def test_one_secret_is_one_login_and_no_token(root, job):
    """A secret id that is good once is enough for a secret; no token is there that was not there before."""
    before = tokens(root)
    with Client(root.settings.address, login=job(1)) as client:
        assert client.get_secret("job/db")["key"].reveal() == "FAKE-db"
        assert client.token is None
        with pytest.raises(errors.Unauthenticated, match="invalid role or secret ID"):
            client.get_secret("job/api")
    assert tokens(root) == before


def test_many_secrets_are_one_login(root, job):
    """A batch is one request."""
    with Client(root.settings.address, login=job(1)) as client:
        found = client.get_secrets(["job/db", "job/api"])
    assert [secret["key"].reveal() for secret in found.values()] == ["FAKE-db", "FAKE-api"]


def test_what_it_asks_for_is_refused_as_to_anybody(root, job):
    """A right that is missing is `Denied`, with the rule that would give it; the login was none of the trouble."""
    with Client(root.settings.address, login=job(9)) as client:
        with pytest.raises(errors.Denied, match="secret/data/other"):
            client.get_secret("other")
        with pytest.raises(errors.NotFound, match="no secret 'job/none'"):
            client.get_secret("job/none")
        with pytest.raises(errors.Incomplete) as caught:
            client.get_secrets(["other", "another", "job/db"])
    assert {name: type(error) for name, error in caught.value.errors.items()} == {
        "other": errors.Denied,
        "another": errors.Denied,
    }


def test_a_refused_login_is_unauthenticated(root):
    """A wrong password is told as one, with what to look at, and is sent once only."""
    way = userpass("bob", "FAKE-wrong", mount="inline-userpass", inline=True)
    with Client(root.settings.address, login=way) as client:
        with pytest.raises(errors.Unauthenticated, match="invalid username or password") as caught:
            client.read("secret/data/job/db")
        assert "check both" in caught.value.hint
    right = userpass("bob", PASSWORD, mount="inline-userpass", inline=True)
    with Client(root.settings.address, login=right) as client:
        assert client.read("secret/data/job/db").data["data"] == {"key": "FAKE-db"}


@pytest.mark.parametrize("several", [False, True])
def test_a_mount_of_version_1_is_found_out(root, job, several):
    """The version of a mount is guessed, and asked for when the guess was wrong."""
    with Client(root.settings.address, login=job(0), mount="one") as client:
        if several:
            assert client.get_secrets(["job/old", "job/old"])["job/old"]["key"].reveal() == "FAKE-old"
        assert client.get_secret("job/old")["key"].reveal() == "FAKE-old"
        assert client.session.versions == {"one": 1}


def test_tasks_do_the_same(root, job):
    """AsyncClient logs in inside its requests, too."""

    async def story():
        async with AsyncClient(root.settings.address, login=job(1)) as client:
            return await client.get_secret("job/db")

    assert asyncio.run(story())["key"].reveal() == "FAKE-db"


def test_it_is_none_by_itself(root, job):
    """There is nothing to log in to beforehand."""
    with (
        Client(root.settings.address, ROOT_TOKEN) as client,
        pytest.raises(errors.Invalid, match="none by itself"),
    ):
        client.login(job(1))
    with pytest.raises(errors.Invalid, match="path"):
        approle("r", "s", mount="team é", inline=True)


def test_nothing_secret_is_in_a_traceback():
    """A request that cannot be sent shows nothing of its login."""
    way, address = (
        approle("FAKE-role", "FAKE-secret-id", inline=True),
        f"http://127.0.0.1:{programs.free_port()}",
    )
    with Client(address, login=way, timeout=1) as client, pytest.raises(errors.Unreachable) as caught:
        client.read("secret/data/job/db")
    frames = [
        frame
        for frame, _ in traceback.walk_tb(caught.value.__traceback__)
        if frame.f_code.co_filename != __file__
    ]
    assert frames
    assert "FAKE-secret-id" not in repr([frame.f_locals for frame in frames])
