"""Many runs of one job on a machine, as `srun ml-secrets run …` starts them: they ask the server as one."""

import json
import sys
from collections import Counter

import pytest
from tests.unit.agent.run.sitting import eventually

from ml_secrets import Client

RUNS = 4
FILE = ("--file", "VALUE_FILE=secret://secret/together/x#value")
SHARED = {"ML_SECRETS_SHARE": "job-of-tests"}
SHOWING = """
import os, time
last = None
while last != "fake-new":
    now = open(os.environ["VALUE_FILE"]).read()
    if now != last:
        print(now[::-1], flush=True)
    last = now
    time.sleep(0.05)
"""


@pytest.fixture
def asked(told, tmp_path):
    """What the server was asked for by the token of the runs, which is not root's, by path."""
    log = tmp_path / "audit.log"
    with Client(told.url, told.token) as client:
        client.write("sys/audit/together", {"type": "file", "options": {"file_path": str(log)}})
        client.kv.put("together/x", {"value": "fake-old"})
        client.write(
            "sys/policies/acl/together",
            {"policy": 'path "secret/data/together/*" { capabilities = ["read"] }'},
        )
        token = client.write("auth/token/create", {"policies": ["together"], "display_name": "together"})

        def count():
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            ours = [one for one in lines if one.get("auth", {}).get("display_name") == "token-together"]
            return Counter(one["request"]["path"] for one in ours if one["type"] == "request")

        yield token.auth["client_token"], count, lambda: client.kv.put("together/x", {"value": "fake-new"})
        client.delete("sys/audit/together")


@pytest.fixture
def start(job):
    """Start so many at once."""
    started = []

    def runs(token, **more):
        environment = {"ML_SECRETS_TOKEN": token, **SHARED} | more
        command = (*FILE, "--", sys.executable, "-c", SHOWING)
        started.extend(job.start(*command, env=environment) for _ in range(RUNS))
        return started

    yield runs
    for run in started:
        run.terminate()
        run.communicate()


def test_they_ask_as_one(start, asked):
    """One question each for all, and one wait for news; every file has the new value, within moments."""
    token, count, rotate = asked
    runs = start(token)
    assert [run.stdout.readline() for run in runs] == [b"dlo-ekaf\n"] * RUNS
    eventually(lambda: count()["auth/token/lookup-self"])
    rotate()
    assert [run.stdout.readline() for run in runs] == [b"wen-ekaf\n"] * RUNS
    assert [run.wait(20) for run in runs] == [0] * RUNS
    found = count()
    assert found["auth/token/lookup-self"] == 1
    assert found["sys/internal/ui/mounts/secret/together/x"] == 1
    assert found["secret/data/together/x"] <= 4, found
    assert not found["sys/events/subscribe/*"]


def test_alone_each_asks_for_itself(start, asked):
    """What they do otherwise."""
    token, count, rotate = asked
    runs = start(token, ML_SECRETS_SHARE="off")
    assert [run.stdout.readline() for run in runs] == [b"dlo-ekaf\n"] * RUNS
    eventually(lambda: count()["sys/events/subscribe/*"] == RUNS)
    rotate()
    assert [run.stdout.readline() for run in runs] == [b"wen-ekaf\n"] * RUNS
    assert count()["secret/data/together/x"] >= 2 * RUNS
