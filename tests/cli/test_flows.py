"""What takes two servers, another identity, or a pipe: importing from a Vault, being refused, ending early."""

import json
import os
import subprocess
import sys

import pytest
from session import run


@pytest.fixture
def two_servers(at_home, openbao, dev_server, monkeypatch):
    """OpenBao with secrets in KV 1 and KV 2; our own server is the one that is spoken to."""
    monkeypatch.setenv("ML_SECRETS_ADDR", openbao.url)
    monkeypatch.setenv("ML_SECRETS_TOKEN", openbao.token)
    for version in ("1", "2"):
        assert run(["secrets", "enable", "kv", "--version", version, "--path", f"from-v{version}"]).code == 0
        for name in ("top", "app/db", "app/deep/er"):
            assert run(["kv", "put", f"from-v{version}/{name}", f"value=fake-{version}-{name}"]).code == 0
    run(["kv", "put", "from-v2/gone", "value=fake"])
    run(["kv", "delete", "from-v2/gone"])
    monkeypatch.setenv("ML_SECRETS_ADDR", dev_server.url)
    monkeypatch.setenv("ML_SECRETS_TOKEN", dev_server.token)
    yield openbao
    for version in ("1", "2"):
        run(["--address", openbao.url, "secrets", "disable", f"from-v{version}"])


@pytest.mark.parametrize("version", ["1", "2"])
def test_another_vault_is_imported_whole(two_servers, version):
    """KV 1 and KV 2, down into every folder, the token from stdin; deleted secrets stay behind; twice changes nothing."""
    command = [
        "import",
        "--from-vault",
        two_servers.url,
        "--prefix",
        f"moved-{version}",
        "--format",
        "json",
        f"from-v{version}",
    ]
    dry = run([*command, "--dry-run"], two_servers.token)
    assert [step["action"] for step in json.loads(dry.stdout)] == ["create"] * 3
    assert run(["kv", "list", f"moved-{version}"]).code == 2
    done = run(command, two_servers.token)
    assert done.code == 0, done.stderr
    assert "fake-" not in done.stdout + done.stderr
    for name in ("top", "app/db", "app/deep/er"):
        assert (
            run(["kv", "get", "--field", "value", f"moved-{version}/{name}"]).stdout.strip()
            == f"fake-{version}-{name}"
        )
    again = run(command, two_servers.token)
    assert {step["action"] for step in json.loads(again.stdout)} == {"unchanged"}


def test_one_folder_and_one_secret_of_another_vault(two_servers, monkeypatch):
    """A path below a mount takes what is below it; a secret's own path takes that secret."""
    monkeypatch.setenv("ML_SECRETS_IMPORT_TOKEN", two_servers.token)
    folder = run(
        [
            "import",
            "--from-vault",
            two_servers.url,
            "--prefix",
            "part",
            "--dry-run",
            "--format",
            "json",
            "from-v2/app",
        ]
    )
    assert [step["path"] for step in json.loads(folder.stdout)] == ["secret/part/db", "secret/part/deep/er"]
    one = run(
        [
            "import",
            "--from-vault",
            two_servers.url,
            "--prefix",
            "one",
            "--dry-run",
            "--format",
            "json",
            "from-v2/top",
        ]
    )
    assert [step["path"] for step in json.loads(one.stdout)] == ["secret/one"]


def test_an_import_that_fails_half_way_says_how_far_it_came(logged_in, at_home):
    """What was written stays, and the same import again would find it unchanged."""
    file = at_home / "tree.json"
    file.write_text(json.dumps({"a": {"k": "fake"}, "b": {"k": "x" * 40_000_000}}))
    ran = run(["import", "--prefix", "half-way", str(file)])
    assert ran.code == 2
    assert "Written: 1 of 2 secrets, then secret/half-way/b failed" in ran.stderr
    assert run(["kv", "get", "--field", "k", "half-way/a"]).stdout.strip() == "fake"


def test_a_stranger_at_the_other_vault(two_servers):
    """A wrong token over there: exit code 2, and the token is nowhere in the output."""
    ran = run(["import", "--from-vault", two_servers.url, "--prefix", "x", "from-v2"], "fake-foreign-token")
    assert ran.code == 2
    assert "fake-foreign-token" not in ran.stdout + ran.stderr


def test_somebody_without_rights_is_told_what_to_ask_for(logged_in, monkeypatch):
    """Exit code 2 and the next step, for a token without rights and for no token at all."""
    run(["kv", "put", "guarded", "value=fake-guarded"])
    token = run(["token", "create", "--policy", "default", "--field", "token"]).stdout.strip()
    monkeypatch.setenv("ML_SECRETS_TOKEN", token)
    for command in (
        ["kv", "get", "guarded"],
        ["read", "secret/data/guarded"],
        ["kv", "put", "guarded", "value=x"],
        ["secrets", "list"],
    ):
        refused = run(command)
        assert refused.code == 2, command
        assert "next:" in refused.stderr, command
        assert token not in refused.stderr
        assert "fake-guarded" not in refused.stdout + refused.stderr
    assert "capabilities" in run(["read", "secret/data/guarded"]).stderr
    monkeypatch.delenv("ML_SECRETS_TOKEN")
    nobody = run(["read", "secret/data/guarded"])
    assert nobody.code == 2
    assert "ml-secrets login" in nobody.stderr


def test_a_reader_that_has_seen_enough_ends_us_quietly(logged_in):
    """Output into a closed pipe is no error to talk about."""
    run(["write", "cubbyhole/big", "x=fake"])
    process = subprocess.Popen(
        [sys.executable, "-m", "ml_secrets.cli", "read", "cubbyhole/big"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=20) == 1
    run(["delete", "cubbyhole/big"])


@pytest.mark.parametrize(
    ("words", "closed", "code", "said"),
    [
        ("version", ">&-", 0, ""),
        ("version", "2>&- | cat", 0, "ml-secrets "),
        ("policy lint -", "<&-", 0, "Nothing to complain about"),
    ],
)
def test_a_closed_stream_is_no_fault(at_home, words, closed, code, said):
    """Started without stdin, stdout or stderr, as some services start programs, a command does what it does."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"{sys.executable}" -m ml_secrets.cli {words} {closed}'],
        env={**os.environ, "ML_SECRETS_ADDR": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert "unexpected" not in done.stderr + done.stdout
    assert said in done.stdout
    assert done.returncode == code, done.stdout + done.stderr


@pytest.fixture
def audited(at_home, dev_server, monkeypatch):
    """Our own server with an audit device that writes to a file of this test."""
    monkeypatch.setenv("ML_SECRETS_ADDR", dev_server.url)
    monkeypatch.setenv("ML_SECRETS_TOKEN", dev_server.token)
    log = at_home / "audit.log"
    assert run(["audit", "enable", "--path", "mine", "file", f"file_path={log}"]).code == 0
    yield log
    assert run(["audit", "disable", "mine"]).code == 0


def test_an_audit_log_verifies_until_a_byte_is_changed(audited, at_home):
    """Intact by the server's key and by a key file; a changed value, and a cut end, are noticed and placed."""
    run(["kv", "put", "audited", "value=fake-audited"])
    run(["kv", "get", "audited"])
    assert run(["audit", "verify", "--device", "mine", str(audited)]).code == 0
    key = at_home / "key"
    key.write_text(run(["read", "--field", "key", "sys/audit-verification-key/mine"]).stdout)
    whole = run(["audit", "verify", "--key-file", str(key), "--format", "json", str(audited)])
    assert json.loads(whole.stdout)["intact"] is True
    assert key.read_text() not in whole.stdout
    lines = audited.read_bytes().splitlines(keepends=True)
    changed = at_home / "changed.log"
    changed.write_bytes(b"".join([*lines[:3], lines[3].replace(b"secret", b"sacred"), *lines[4:]]))
    verdict = run(["audit", "verify", "--key-file", str(key), "--format", "json", str(changed)])
    assert verdict.code == 1
    assert json.loads(verdict.stdout)["problem"]["line"] == 4
    changed.write_bytes(b"".join(lines[:-2]))
    assert "cut off" in run(["audit", "verify", "--device", "mine", str(changed)]).stdout
    assert "without a key" in run(["audit", "verify", str(audited)]).stdout
    assert run(["audit", "verify", "--key-file", str(changed), str(audited)]).code == 1


def test_a_report_says_who_read_a_secret(audited):
    """By path, with times and refusals, and no value of it."""
    run(["kv", "put", "reported", "value=fake-reported"])
    run(["kv", "get", "reported"])
    run(["kv", "get", "reported"])
    ran = run(["audit", "report", "--path", "secret/data/reported", "--format", "json", str(audited)])
    found = {(row["who"], row["operation"]): row["times"] for row in json.loads(ran.stdout)}
    assert found[("root", "read")] == 2
    assert "fake-reported" not in audited.read_text() + ran.stdout


def test_a_log_is_followed_over_its_rotation(at_home):
    """New records show as they come: one that was half written, and those in the file that takes the log's place."""
    log = at_home / "followed.log"
    record = '{{"time":"2026-11-25T10:00:00Z","type":"response","auth":{{}},"request":{{"id":"1","operation":"read","path":"{}"}}}}\n'
    log.write_text(record.format("first") + record.format("second")[:20])
    process = subprocess.Popen(
        [sys.executable, "-m", "ml_secrets.cli", "audit", "tail", "--follow", str(log)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert [process.stdout.readline().split()[:1] for _ in range(2)] == [["Time"], ["----"]]
        assert "first" in process.stdout.readline()
        with log.open("a") as file:
            file.write(record.format("second")[20:])
        assert "second" in process.stdout.readline()
        log.rename(at_home / "followed.log.1")
        log.write_text(record.format("third"))
        assert "third" in process.stdout.readline()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
