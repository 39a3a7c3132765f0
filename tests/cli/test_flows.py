"""What takes two servers, another identity, or a shell: importing from a Vault, being refused, completing paths."""

import json
import os
import subprocess
import sys

import pytest
from session import run

from ml_secrets.cli.main import CATALOG


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


def completions(words, **environment):
    """What the shell is offered after these words."""
    asked = {
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_ML_SECRETS_COMPLETE": "bash_complete",
    }
    done = subprocess.run(
        [sys.executable, "-m", "ml_secrets.cli"],
        env={**os.environ, **asked, **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_kv_paths_are_completed_from_the_server(logged_in):
    """Folder by folder, in the default mount and in a named one."""
    run(["kv", "put", "complete/one", "value=fake"])
    run(["kv", "put", "complete/other", "value=fake"])
    assert "complete/" in completions(["ml-secrets", "kv", "get", "compl"])
    assert completions(["ml-secrets", "kv", "get", "complete/o"]) == ["complete/one", "complete/other"]
    assert completions(["ml-secrets", "kv", "get", "secret/complete/on"]) == ["secret/complete/one"]
    assert completions(["ml-secrets", "kv", "get", "--mount", "secret", "complete/on"]) == ["complete/one"]


def test_a_server_that_does_not_answer_is_not_missed(at_home):
    """Completion without a server offers nothing, at once and without a word; commands are offered all the same."""
    assert completions(["ml-secrets", "kv", "get", "x"], ML_SECRETS_ADDR="http://127.0.0.1:9") == []
    assert completions(["ml-secrets", "ver"], ML_SECRETS_ADDR="http://127.0.0.1:9") == ["version"]
    assert set(CATALOG) <= set(completions(["ml-secrets", ""]))


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
