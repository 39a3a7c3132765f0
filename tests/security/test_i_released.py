"""I. Stores that released versions left behind (tests/vectors/stores): this version opens each; an older one refuses a newer."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import msgspec
import pytest
from tests.security.inside import AUDIT, KEYS, STORE, Inside
from tests.security.serving import Store
from tests.security.stores import check_audit

from ml_secrets.barrier import backup, header
from ml_secrets.barrier.seals.keyfile import KeyFile
from ml_secrets.errors import Invalid, TamperFault
from ml_secrets.storage import sqlite
from ml_secrets.storage.sqlite import FILE_NAME, SqliteStorage
from ml_secrets.upkeep import remind

ROOT = Path(__file__).parents[2]
STORES = ROOT / "tests" / "vectors" / "stores"
VERSIONS = sorted(path.name for path in STORES.iterdir() if (path / "contents.json").exists())


class Kept:
    """A copy of a released version's store, and what was put in."""

    def __init__(self, version, folder):
        self.folder = folder / "copy"
        shutil.copytree(STORES / version, self.folder)
        (self.folder / KEYS).chmod(0o400)
        self.contents = json.loads((self.folder / "contents.json").read_text())

    def open(self):
        """As it would have been a minute after it was made."""
        now = self.contents["made"] + 60
        return Inside(self.folder, token=self.contents["root_token"], clock=lambda: now)


@pytest.fixture(params=VERSIONS)
def kept(request, tmp_path):
    """The store of each version in turn."""
    return Kept(request.param, tmp_path)


def test_140_every_released_version_has_its_store():
    """Check 140: a version that CHANGELOG names has left a store here (make.py makes it)."""
    released = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert set(released) == set(VERSIONS), "run tests/vectors/stores/make.py with the released version"


def test_140_a_released_store_opens_with_all_that_is_in_it(kept):
    """Check 140: secrets of both KV versions, metadata, policies, logins, tokens, rows and the audit chain."""
    server, contents = kept.open(), kept.contents
    for name, fields in contents["kv2"].items():
        assert server.value(name) == fields
    assert server.ask("GET", "secret/data/team-a/app-2")[0] == 404
    for name, fields in contents["kv1"].items():
        assert server.ask("GET", f"kv1/{name}")[1]["data"] == fields
    metadata = server.ask("GET", "secret/metadata/team-a/app-0")[1]["data"]
    assert (metadata["custom_metadata"], metadata["max_versions"]) == ({"owner": "team-a"}, 7)
    assert server.ask("GET", "sys/policies/acl/team-a")[1]["data"]["policy"] == contents["policy"]
    assert server.ask("POST", "auth/userpass/login/ada", {"password": "fake-password"}, token="")[0] == 200
    job = {"role_id": contents["role_id"], "secret_id": contents["secret_id"]}
    assert server.ask("POST", "auth/approle/login", job, token="")[0] == 200
    assert server.ask("GET", "secret/data/team-a/app-0", token=contents["token"])[0] == 200
    assert server.ask("GET", "secret/data/team-b/app-1", token=contents["token"])[0] == 403
    assert server.ask("POST", "secret/data/new", {"data": {"v": "1"}})[0] == 200
    report = server.server.barrier.verify()
    assert report.clean, report
    key = bytes.fromhex(server.ask("GET", "sys/audit-verification-key/file")[1]["data"]["key"])
    server.close()
    check_audit([kept.folder / AUDIT], key)


def test_140_secrets_of_a_released_store_take_dates(kept):
    """Check 140: they have none at first, and nothing is due; a date that is set is told of when it comes."""
    server = kept.open()
    house, now, heard = server.server.house, kept.contents["made"] + 60, []
    house.changes.listen(lambda change: heard.append((change.kind, change.path)))
    assert server.ask("GET", "secret/due?within=36500d")[0] == 404
    assert not remind.run_once(house, now)
    assert "rotate_at" not in server.ask("GET", "secret/metadata/team-a/app-0")[1]["data"]
    said = {"rotate_every": "40d", "metadata_cas": 1}
    assert server.ask("POST", "secret/metadata/team-a/app-0", said)[0] == 204
    assert server.ask("GET", "secret/due?within=41d")[1]["data"]["keys"] == ["team-a/app-0"]
    while remind.run_once(house, now + 50 * 86_400):
        pass
    assert heard == [("metadata", "team-a/app-0"), ("overdue", "team-a/app-0")]
    assert server.server.barrier.verify().clean
    server.close()


def test_140_a_released_backup_restores(kept, tmp_path):
    """Check 140: with the key file, and with the recovery key."""
    unlock = backup.by_seal(KeyFile(kept.folder / KEYS, kept.folder / STORE))
    manifest = backup.restore(kept.folder / "backup", tmp_path / "again", unlock, os.urandom)
    assert manifest.rows > 30
    backup.verify(kept.folder / "backup", backup.by_shares([kept.contents["recovery_key"]]), os.urandom)
    shutil.rmtree(kept.folder / STORE)
    (tmp_path / "again").rename(kept.folder / STORE)
    (kept.folder / "keys" / "anchor").unlink()
    with pytest.raises(TamperFault, match="anchor"):
        kept.open()


# ── older programs ──────────────────────────────────────────────────────────────────────────────────────────────────


def bytes_of(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("what", ["store", "header"])
def test_140_an_older_program_refuses_a_newer_store(tmp_path, what):
    """Check 140: the server says so in a line and ends with status 1, and not a byte of the store is touched."""
    kept, store = Kept(VERSIONS[-1], tmp_path), Store(tmp_path / "server")
    text = store.config.read_text().replace(str(store.path), str(kept.folder / STORE))
    store.config.write_text(text.replace(str(store.folder / "unseal.key"), str(kept.folder / KEYS)))
    if what == "store":
        db = apsw.Connection(str(kept.folder / STORE / FILE_NAME))
        db.pragma("user_version", sqlite.FORMAT + 1)
        db.close()
    else:
        storage = SqliteStorage(kept.folder / STORE)
        with storage.begin(write=True) as tx:
            found = header.read_header(tx)
            header.write_header(tx, msgspec.structs.replace(found, format=header.FORMAT + 1))
        storage.close()
    (kept.folder / STORE / "ballast").unlink(missing_ok=True)
    before = bytes_of(kept.folder)
    command = [*store.program, "server", "--config", str(store.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "upgrade ml-secrets" in done.stderr
    assert "Traceback" not in done.stderr
    (kept.folder / STORE / "ballast").unlink(missing_ok=True)
    assert bytes_of(kept.folder) == before


def test_140_an_older_program_refuses_a_newer_backup(tmp_path):
    """Check 140: by its first line."""
    kept = Kept(VERSIONS[-1], tmp_path)
    content = (kept.folder / "backup").read_bytes()
    (kept.folder / "backup").write_bytes(content.replace(b"backup 1\n", b"backup 2\n", 1))
    with pytest.raises(Invalid, match="newer version"):
        backup.verify(kept.folder / "backup", backup.by_shares([kept.contents["recovery_key"]]), os.urandom)


def test_140_an_unknown_record_format_is_an_error(tmp_path):
    """Check 140: a row of a later format does not open, and never as something else."""
    kept = Kept(VERSIONS[-1], tmp_path)
    storage = SqliteStorage(kept.folder / STORE)
    with storage.begin(write=True) as tx:
        row = tx.get("open/mounts")
        tx.put("open/mounts", row[:2] + bytes([row[2] + 1]) + row[3:])
    storage.close()
    server = kept.open()
    statuses = {
        server.ask("GET", path)[0] for path in ("secret/data/team-a/app-0", "kv1/plain", "sys/mounts")
    }
    server.close()
    assert statuses <= {500, 503}


# ── what a store can make a server do ───────────────────────────────────────────────────────────────────────────────

WATCHED = """
import json, sys
from pathlib import Path
from tests.security.inside import Inside

folder, token, now = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
server = Inside(folder, token=token, clock=lambda: now)
before = set(sys.modules)
seen = []

def watch(event, arguments):
    if event.startswith(("subprocess.", "os.exec", "os.posix_spawn", "os.system", "os.fork", "ctypes.dlopen", "pty.", "import", "compile", "exec")):
        seen.append([event, str(arguments[:1])[:200]])
    if event == "open" and isinstance(arguments[0], str) and arguments[1] and set(str(arguments[1])) & set("wax+") and not str(arguments[0]).startswith(str(folder)):
        seen.append([event, str(arguments[:1])[:200]])

mounts = json.loads(server.server.house.units.read(lambda unit: unit.tx.get("open/mounts")))
for number, kind in enumerate(["os", "os:system", "subprocess:Popen", "../../evil", "ml_secrets.cli.main:main", "kv\\0", "__import__", "plugin"]):
    mounts.append(mounts[0] | {"path": f"evil-{number}/", "kind": kind, "uuid": f"00000000-0000-0000-0000-00000000000{number}",
                               "options": {"plugin": "/bin/sh", "command": "id", "version": "__import__('os').system('id')"}})
with server.server.house.units.write() as unit:
    unit.tx.put("open/mounts", json.dumps(mounts).encode())
    unit.tx.put("open/audit/devices", json.dumps([]).encode())
server.close()
sys.addaudithook(watch)
statuses = []
try:
    server = Inside(folder, token=token, clock=lambda: now)
    for number in range(8):
        for method, path in (("GET", "x"), ("POST", "x"), ("LIST", ""), ("GET", "config"), ("GET", "x?help=1")):
            statuses.append(server.ask(method, f"evil-{number}/{path}", {"v": "1"} if method == "POST" else None)[0])
    server.ask("GET", "sys/mounts")
    server.ask("GET", "sys/internal/specs/openapi")
    server.close()
except Exception as error:
    statuses.append(type(error).__name__)
new = sorted(set(sys.modules) - before)
print(json.dumps({"seen": seen, "new": new, "statuses": sorted(set(map(str, statuses)))}))
"""


def test_137_an_edited_store_makes_nothing_run(tmp_path):
    """Check 137: mounts whose kinds name modules, programs and paths, written with the store's own keys: nothing is imported or started, no file elsewhere written."""
    kept = Kept(VERSIONS[-1], tmp_path)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            WATCHED,
            str(kept.folder),
            kept.contents["root_token"],
            str(kept.contents["made"] + 60),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    ours = [
        name for name in found["new"] if not name.startswith(("ml_secrets.", "lark", "json", "encodings"))
    ]
    started = [
        event for event in found["seen"] if not event[0].startswith(("import", "compile", "exec", "open"))
    ]
    written = [event for event in found["seen"] if event[0] == "open"]
    assert (ours, started, written) == ([], [], []), found
    assert found["statuses"]
    assert all(int(status) >= 400 for status in found["statuses"]), found
