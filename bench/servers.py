"""The two servers under test, as they would be run for real: durable store, file audit on, a policy-limited token."""

import contextlib
import json
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from ml_secrets.testing import programs

POLICY = """
path "secret/data/bench/*" { capabilities = ["create", "update", "read"] }
path "secret/metadata/bench/*" { capabilities = ["list"] }
path "auth/token/create" { capabilities = ["update"] }
"""
SECRETS = 1000


@dataclass
class Contender:
    """One server, ready for load. `token` is limited by POLICY; role_id and secret_id log in by AppRole."""

    name: str
    url: str
    token: str
    role_id: str
    secret_id: str
    pid: int
    started: float


def call(url, method, path, token="", body=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(
        f"{url}/v1/{path}", data=data, method=method, headers={"X-Vault-Token": token}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


@contextlib.contextmanager
def ours():
    """SQLite with synchronous=FULL, Shamir seal, file audit with its chain, state sum and anchor."""
    with tempfile.TemporaryDirectory(prefix="bench-ours-") as name:
        folder, address = Path(name), f"127.0.0.1:{programs.free_port()}"
        config = folder / "server.toml"
        config.write_text(
            f'anchor_file = "{folder}/anchor"\nlog_level = "error"\n'
            f'[storage]\ntype = "sqlite"\npath = "{folder}/store"\n'
            f'[[listener]]\ntype = "tcp"\naddress = "{address}"\n'
            f'[[audit]]\ntype = "file"\npath = "file"\nfile_path = "{folder}/audit.log"\n'
        )
        began = time.perf_counter()
        with programs.configured_server(config, f"http://{address}") as server:
            yield _prepared("ml-secrets", server, time.perf_counter() - began)


@contextlib.contextmanager
def openbao():
    """Integrated raft storage on disk, Shamir seal, file audit."""
    with tempfile.TemporaryDirectory(prefix="bench-bao-") as name:
        folder, port = Path(name), programs.free_port()
        (folder / "data").mkdir()
        config = folder / "server.hcl"
        config.write_text(
            f'storage "raft" {{ path = "{folder}/data" node_id = "one" }}\n'
            f'listener "tcp" {{ address = "127.0.0.1:{port}" tls_disable = true }}\n'
            f'api_addr = "http://127.0.0.1:{port}"\ncluster_addr = "http://127.0.0.1:{programs.free_port()}"\n'
            f'log_level = "error"\ndisable_mlock = true\n'
            f'audit "file" "file" {{ options {{ file_path = "{folder}/audit.log" }} }}\n'
        )
        began = time.perf_counter()
        command = [programs.openbao_program(), "server", f"-config={config}"]
        with programs.running(
            command, url=f"http://127.0.0.1:{port}", token="", log=folder / "log"
        ) as server:
            yield _prepared("OpenBao", server, time.perf_counter() - began)


def _prepared(name, server, started):
    """Initialise, unseal, and lay out what the load asks for."""
    url = server.url
    made = call(url, "PUT", "sys/init", body={"secret_shares": 1, "secret_threshold": 1})
    call(url, "PUT", "sys/unseal", body={"key": made["keys"][0]})
    root = made["root_token"]
    for _ in range(200):
        with contextlib.suppress(urllib.error.HTTPError):
            if call(url, "GET", "sys/health")["sealed"] is False:
                break
        time.sleep(0.05)
    call(url, "POST", "sys/mounts/secret", root, {"type": "kv", "options": {"version": "2"}})
    time.sleep(1)  # OpenBao upgrades a fresh KV v2 mount in the background
    for number in range(SECRETS):
        data = {"username": f"fake-user-{number}", "password": f"fake-password-{number:032d}"}
        call(url, "POST", f"secret/data/bench/s{number}", root, {"data": data})
    call(url, "PUT", "sys/policies/acl/bench", root, {"policy": POLICY})
    call(url, "POST", "sys/auth/approle", root, {"type": "approle"})
    call(url, "POST", "auth/approle/role/bench", root, {"token_policies": "bench", "token_ttl": "10m"})
    role_id = call(url, "GET", "auth/approle/role/bench/role-id", root)["data"]["role_id"]
    secret_id = call(url, "POST", "auth/approle/role/bench/secret-id", root)["data"]["secret_id"]
    token = call(url, "POST", "auth/token/create", root, {"policies": ["bench"], "ttl": "12h"})["auth"][
        "client_token"
    ]
    return Contender(name, url, token, role_id, secret_id, server.process.pid, started)


def memory(pid):
    """Resident memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024
