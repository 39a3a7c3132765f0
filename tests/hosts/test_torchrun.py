"""torchrun with forked DataLoader workers: what the server is asked, by our SDK and by hvac, by as many processes."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ml_secrets import Client
from ml_secrets.testing.programs import dev_server

torch = pytest.importorskip("torch")
pytest.importorskip("hvac")

EXAMPLE = Path(__file__).parents[2] / "examples" / "torchrun_train.py"
RANKS, WORKERS, SHARDS = int(os.environ.get("RANKS", "32")), 2, 20
WITH_HVAC = """
import hvac

class Value(str):
    reveal = str.__str__

class HvacClient:
    # a connection for each process: forked ones that go on with their parent's mix up answers, or hang

    def __init__(self):
        self.of, self.kept = {}, {}
        first = self.of[os.getpid()] = hvac.Client(os.environ["ML_SECRETS_ADDR"])
        first.auth.approle.login(*(Path(os.environ[n]).read_text() for n in ("ROLE_ID_FILE", "SECRET_ID_FILE")))
        self.token = first.token

    def get_secret(self, name):
        me = os.getpid()
        if me not in self.of:
            self.of[me] = hvac.Client(os.environ["ML_SECRETS_ADDR"], token=self.token)
        if (me, name) not in self.kept:
            told = self.of[me].secrets.kv.v2.read_secret_version(name, raise_on_deleted_version=True)
            self.kept[me, name] = Value(told["data"]["data"]["value"])
        return self.kept[me, name]

client = HvacClient()
"""


@pytest.fixture
def job(tmp_path):
    """Run the example in a shell of its own, after an AppRole was made; gives what the server was asked, by path."""
    with dev_server(tmp_path) as server, Client(server.url, server.token) as root:
        log = tmp_path / "audit.log"
        root.write("sys/audit/log", {"type": "file", "options": {"file_path": str(log)}})
        root.write("sys/auth/approle", {"type": "approle"})
        root.write(
            "sys/policies/acl/job", {"policy": 'path "secret/data/shards/*" { capabilities = ["read"] }'}
        )
        root.write("auth/approle/role/job", {"token_policies": "job", "token_ttl": "1h"})
        (tmp_path / "role").write_text(root.read("auth/approle/role/job/role-id").data["role_id"])
        (tmp_path / "secret").write_text(root.write("auth/approle/role/job/secret-id").data["secret_id"])
        for shard in range(SHARDS):
            root.kv.put(f"shards/{shard}", {"value": f"key {shard}"})

        def run(script):
            before = len(log.read_text().splitlines())
            environment = {
                **os.environ,
                "ML_SECRETS_ADDR": server.url,
                "ML_SECRETS_REVALIDATE": "300",
                "ROLE_ID_FILE": str(tmp_path / "role"),
                "SECRET_ID_FILE": str(tmp_path / "secret"),
                "OMP_NUM_THREADS": "1",
                "PYTHONWARNINGS": "ignore",
            }
            environment.pop("ML_SECRETS_TOKEN", None)
            command = [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--standalone",
                "--nproc-per-node",
                str(RANKS),
            ]
            done = subprocess.run(
                [*command, str(script), "--workers", str(WORKERS), "--shards", str(SHARDS)],
                env=environment,
                capture_output=True,
                text=True,
                timeout=900,
                check=False,
            )
            assert f"trained by {RANKS} ranks" in done.stdout, done.stderr[:6000]
            lines = map(json.loads, log.read_text().splitlines()[before:])
            return Counter(line["request"]["path"] for line in lines if line["type"] == "request")

        yield run


def test_a_whole_job_asks_as_one_process(job, tmp_path):
    """Ranks and their forked workers cause one login and one read of each secret; with hvac each process asks for each."""
    ours = job(EXAMPLE)
    expected = {"auth/approle/login": 1, "sys/internal/ui/mounts/secret": 1}
    assert ours == Counter(expected | {f"secret/data/shards/{shard}": 1 for shard in range(SHARDS)})

    text = EXAMPLE.read_text()
    head, rest = text.index("client = Client("), text.index("class Shards")
    bare = tmp_path / "with_hvac.py"
    bare.write_text(text[:head] + WITH_HVAC + "\n\n" + text[rest:])
    hvacs = job(bare)
    print(f"{RANKS} ranks with {WORKERS} workers: {ours.total()} requests, with hvac {hvacs.total()}")
    assert hvacs["auth/approle/login"] == RANKS
    assert hvacs.total() > 3 * RANKS * ours.total()
