"""M. The seal, and what a process tells about itself. Shares, swapped rows, formats: tests/unit/{barrier,pipeline,server}."""

import os
import signal
import sys
from pathlib import Path

import pytest
from tests.security.serving import head, send, statuses, stored, talk

from ml_secrets.testing.programs import configured_server, free_port


@pytest.fixture
def sealed(tmp_path):
    """A server under Shamir's seal, initialised with three of five shares and sealed."""
    port = free_port()
    config = tmp_path / "vault.hcl"
    config.write_text(
        f'storage "file" {{ path = "{tmp_path / "store"}" }}\n'
        f'listener "tcp" {{ address = "127.0.0.1:{port}" tls_disable = 1 }}\ndisable_mlock = true\n'
    )
    with configured_server(config, f"http://127.0.0.1:{port}") as server:
        made = send(
            server.url, "PUT", "sys/init", {"secret_shares": 5, "secret_threshold": 3}, token=None
        ).json
        yield server, made


def unseal(server, key):
    return send(server.url, "PUT", "sys/unseal", {"key": key}, token=None)


def test_135_wrong_shares_are_one_clean_error(sealed):
    """Check 135: foreign, doubled, altered, short and odd shares: 400, progress starts anew, and the right ones still open it."""
    server, made = sealed
    keys = made["keys"]
    altered = f"{int(keys[2][:2], 16) ^ 1:02x}" + keys[2][2:]
    texts = set()
    for wrong in (altered, "00" * 33, "ff" * 33):
        unseal(server, keys[0])
        unseal(server, keys[1])
        answer = unseal(server, wrong)
        assert answer.status == 400
        texts.add(answer.errors[0])
        assert send(server.url, "GET", "sys/seal-status", token=None).json["progress"] == 0
    assert texts <= {
        "invalid key: it does not open this store",
        "invalid key: the shares do not belong together",
    }
    for odd in ("", "zz", "\u00e4", "a" * 10_000, keys[0][:-2], 7, None, True, ["x"], {"a": 1}, 10**400):
        answer = send(server.url, "PUT", "sys/unseal", {"key": odd}, token=None)
        assert answer.status in (200, 400)
    send(server.url, "PUT", "sys/unseal", {"reset": True}, token=None)
    for _ in range(4):
        assert unseal(server, keys[0]).json["progress"] == 1
    unseal(server, keys[3])
    assert unseal(server, keys[4]).json["sealed"] is False


def test_135_while_sealed_only_the_door_answers(sealed):
    """While sealed: 503 with Vault's text for everything but health, status, init and unseal, token or not."""
    server, made = sealed
    for token in (None, made["root_token"], "wrong"):
        for path in (
            "secret/data/x",
            "sys/mounts",
            "auth/token/lookup-self",
            "sys/internal/ui/mounts",
            "sys/metrics",
            "sys/rekey/init",
            "sys/generate-root/attempt",
            "nowhere",
        ):
            answer = send(server.url, "GET", path, token=token)
            assert (answer.status, answer.errors) == (503, ["Vault is sealed"]), path
    assert statuses(talk(server.url, head("GET", "/v1/sys/health", token=None))) == [503]
    assert send(server.url, "GET", "sys/health?sealedcode=299", token=None).status == 299
    for code in ("0", "-1", "99", "101", "199", "600", "1000", "9" * 18, "1" * 30, "2e2"):
        assert send(server.url, "GET", f"sys/health?sealedcode={code}", token=None).status == 400, code
    assert send(server.url, "GET", "sys/health?sealedcode=204", token=None).body == b""


def test_139_a_server_leaves_no_core_file(tmp_path):
    """Check 139: the limit on core files is zero, and SIGABRT leaves none behind."""
    with stored(tmp_path / "store") as store:
        limits = Path(f"/proc/{store.process.pid}/limits").read_text()
        (core,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]
        folder = Path(f"/proc/{store.process.pid}/cwd").resolve()
        before = set(folder.iterdir())
        store.process.send_signal(signal.SIGABRT)
        assert store.process.wait(10) == -signal.SIGABRT
        assert set(folder.iterdir()) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_139_a_server_cannot_be_looked_into_by_its_own_user(tmp_path):
    """Check 139: a process that is not dumpable has its memory and environment owned by root, whoever runs it."""
    if os.geteuid() == 0:
        pytest.skip("root may look into any process; crypto/memory's own test reads the flag from inside")
    with stored(tmp_path / "store") as store, pytest.raises(PermissionError):
        Path(f"/proc/{store.process.pid}/environ").read_bytes()


def test_137_nothing_stored_names_what_runs(store):
    """Check 137: no path of the API takes a program, a plugin or a place to write to, but the audit log's, which needs sudo."""
    for method, path, body in (
        ("POST", "sys/plugins/catalog/secret/evil", {"command": "id", "sha256": "00"}),
        ("POST", "sys/plugins/reload/backend", {"plugin": "kv"}),
        ("POST", "sys/mounts/evil", {"type": "plugin", "plugin_name": "evil"}),
        ("POST", "sys/mounts/evil", {"type": "../../evil"}),
        ("POST", "sys/raw/core/seal-config", {"value": "x"}),
        ("POST", "sys/audit/evil", {"type": "exec", "options": {"command": "id"}}),
        ("POST", "sys/audit/evil", {"type": "file", "options": {"file_path": "/etc/passwd"}}),
        (
            "POST",
            "sys/audit/evil",
            {"type": "file", "options": {"file_path": str(store.path / "store.sqlite")}},
        ),
        (
            "POST",
            "sys/audit/evil",
            {"type": "file", "options": {"file_path": str(store.folder / "x"), "mode": "0777"}},
        ),
        (
            "POST",
            "sys/audit/evil",
            {"type": "file", "options": {"file_path": str(store.folder / "x"), "prefix": "#!/bin/sh\n"}},
        ),
    ):
        answer = store.ask(method, path, body)
        assert answer.status in (400, 404, 405), (path, body, answer.body)
    assert not (store.folder / "x").exists()
