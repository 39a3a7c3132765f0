"""Make the store that a released version leaves behind: `python tests/vectors/stores/make.py`, with that version installed.

It writes a folder named for the version: the store, its key file and anchor, its audit log, a backup, and what was put
in (contents.json). Every later version must open it; tests/security/test_i_released.py does. All secrets are made up.
Run once for each release, when its number is set; never for one that is out, but for 0.1.0 until it is.
"""

import json
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

from tests.security.inside import STORE, Inside  # noqa: E402 - found by the line above

from ml_secrets.server.settings import own_version  # noqa: E402 - as above

POLICY = 'path "secret/data/team-a/*" { capabilities = ["read", "list"] }'


def fill(server):
    """Something of every kind that is kept. Returns what there is, for a test to compare."""

    def ask(method, path, body=None):
        status, answer = server.ask(method, path, body)
        assert status in (200, 204), (path, status, answer)
        return answer

    ask("POST", "sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})
    ask("POST", "sys/auth/userpass", {"type": "userpass"})
    ask("POST", "sys/auth/approle", {"type": "approle"})
    ask("POST", "sys/policies/acl/team-a", {"policy": POLICY})
    kv2 = {
        f"team-{'ab'[n % 2]}/app-{n}": [{"n": n, "v": f"fake-{n}-{v}-\u00e9"} for v in range(1 + n % 3)]
        for n in range(12)
    }
    for name, versions in kv2.items():
        for fields in versions:
            ask("POST", f"secret/data/{name}", {"data": fields})
    ask("POST", "secret/metadata/team-a/app-0", {"custom_metadata": {"owner": "team-a"}, "max_versions": 7})
    ask("DELETE", "secret/data/team-a/app-2")
    ask("PUT", "secret/destroy/team-b/app-5", {"versions": [1]})
    ask("POST", "kv1/plain", {"user": "fake-user", "password": "fake-password"})
    ask("POST", "auth/userpass/users/ada", {"password": "fake-password", "token_policies": ["team-a"]})
    ask("POST", "auth/approle/role/job", {"token_policies": ["team-a"]})
    role_id = ask("GET", "auth/approle/role/job/role-id")["data"]["role_id"]
    secret_id = ask("POST", "auth/approle/role/job/secret-id", {})["data"]["secret_id"]
    token = ask("POST", "auth/token/create-orphan", {"policies": ["team-a"], "period": "87600h"})["auth"]
    ask("POST", "sys/quotas/rate-limit/all", {"rate": 100000})
    ask("POST", "sys/rotate")
    ask("POST", "secret/data/after-rotation", {"data": {"v": "fake-after"}})
    return {
        "kv2": {name: versions[-1] for name, versions in kv2.items() if name != "team-a/app-2"}
        | {"after-rotation": {"v": "fake-after"}},
        "kv1": {"plain": {"user": "fake-user", "password": "fake-password"}},
        "made": time.time(),
        "policy": POLICY,
        "role_id": role_id,
        "secret_id": secret_id,
        "token": token["client_token"],
        "root_token": server.token,
        "recovery_key": server.made["recovery_keys"][0],
    }


def main():
    folder = Path(__file__).parent / own_version()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    server = Inside(folder)
    contents = fill(server)
    status, backup = server.ask("GET", "sys/storage/snapshot")
    assert status == 200
    (folder / "backup").write_bytes(backup)
    server.close()
    (folder / STORE / "ballast").unlink()
    (folder / "contents.json").write_text(json.dumps(contents, indent=1, sort_keys=True) + "\n")
    print(folder)


if __name__ == "__main__":
    main()
