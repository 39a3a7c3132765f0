"""Processes that ask together: one login, one renewal and one read of each secret for all, whatever dies meanwhile."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

RANKS = Path(__file__).with_name("ranks.py")
NAMES = [f"s{number}" for number in range(5)]
VALUES = {f"s{number}": f"v{number}" for number in range(5)}
ONCE = Counter({"sys/internal/ui/mounts/secret": 1} | {f"secret/data/{name}": 1 for name in NAMES})


def run_ranks(server, method, number, how):
    environment = {
        **os.environ,
        "ML_SECRETS_ADDR": server.url,
        "ML_SECRETS_TOKEN": server.token,
        "ML_SECRETS_REVALIDATE": "60",
    }
    command = [sys.executable, str(RANKS), method, str(number), ",".join(NAMES), how]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("how", ["loop", "batch"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_many_ask_and_the_server_is_asked_once(server, method, how):
    """However processes are started and ask, each secret is read once for all of them."""
    assert run_ranks(server, method, 8, how) == [VALUES] * 8
    assert server.asked() == ONCE


@pytest.fixture
def role(server):
    """An AppRole whose secret id is good for one login, and whose tokens live a minute."""
    with server.client(share="off") as root:
        root.write("sys/auth/approle", {"type": "approle"})
        root.write("sys/policies/acl/jobs", {"policy": 'path "secret/data/*" { capabilities = ["read"] }'})
        root.write(
            "auth/approle/role/job", {"token_policies": "jobs", "token_ttl": "1m", "secret_id_num_uses": 1}
        )
        role_id = root.read("auth/approle/role/job/role-id").data["role_id"]
        secret_id = root.write("auth/approle/role/job/secret-id").data["secret_id"]
    server.asked()
    return role_id, secret_id


def test_one_login_is_enough_for_all(server, role):
    """A secret id that is good for one login lets all of a job's processes in."""
    assert run_ranks(server, "fork", 6, f"approle:{role[0]}:{role[1]}") == [VALUES] * 6
    assert server.asked() == ONCE + Counter({"auth/approle/login": 1})
