"""Our own server from its first start to a restore, with key shares from stdin."""

import json

import pytest
from session import run

from ml_secrets.testing import programs


@pytest.fixture
def settings(at_home):
    """A configuration file with a Shamir seal and a store on the disk, and the address it listens on."""
    port = programs.free_port()
    config = at_home / "server.hcl"
    config.write_text(
        f'storage "file" {{ path = "{at_home}/store" }}\nlistener "tcp" {{ address = "127.0.0.1:{port}" tls_disable = true }}\n'
    )
    return config, f"http://127.0.0.1:{port}"


@pytest.fixture
def started(settings, monkeypatch):
    """A server that was just started for the first time: neither initialised nor open."""
    config, url = settings
    monkeypatch.setenv("ML_SECRETS_ADDR", url)
    with programs.configured_server(config, url) as server:
        yield server


def initialised(monkeypatch, shares=3, threshold=2):
    made = json.loads(
        run(["operator", "init", "-n", str(shares), "-t", str(threshold), "--format", "json"]).stdout
    )
    monkeypatch.setenv("ML_SECRETS_TOKEN", made["root_token"])
    return made["unseal_keys_b64"]


def test_from_nothing_to_open(started, monkeypatch):
    """status and init --status tell by their exit code; shares from stdin open the server; seal closes it."""
    assert run(["operator", "init", "--status"]).code == 2
    assert run(["status"]).code == 2
    keys = initialised(monkeypatch)
    assert len(keys) == 3
    assert run(["operator", "init", "--status"]).code == 0
    sealed = run(["kv", "list"])
    assert sealed.code == 2
    assert "operator unseal" in sealed.stderr
    half = run(["operator", "unseal", "--format", "json"], keys[0])
    assert json.loads(half.stdout)["progress"] == 1
    assert json.loads(run(["operator", "unseal", "--reset", "--format", "json"]).stdout)["progress"] == 0
    opened = run(["operator", "unseal"], "\n".join(keys))
    assert opened.code == 0, opened.stderr
    assert not any(key in opened.stdout + opened.stderr for key in keys)
    assert run(["status"]).code == 0
    assert run(["operator", "seal"]).stdout == "Sealed\n"
    assert run(["status"]).code == 2


def test_rekey_makes_the_old_shares_void(started, monkeypatch):
    """After a rekey by shares from stdin only the new shares open the server."""
    keys = initialised(monkeypatch)
    run(["operator", "unseal"], "\n".join(keys))
    few = run(["operator", "rekey", "-n", "2", "-t", "2"], keys[0])
    assert few.code == 1
    nonce = few.stderr.rpartition("--nonce ")[2].strip()
    made = run(["operator", "rekey", "--nonce", nonce, "--format", "json"], keys[1])
    assert made.code == 0, made.stderr
    fresh = json.loads(made.stdout)["keys_base64"]
    run(["operator", "seal"])
    assert run(["operator", "unseal"], "\n".join(keys)).code == 2
    run(["operator", "unseal", "--reset"])
    assert run(["operator", "unseal"], "\n".join(fresh)).code == 0


def test_a_rekey_can_be_cancelled(started, monkeypatch):
    """--init begins, --status tells, --cancel ends."""
    run(["operator", "unseal"], "\n".join(initialised(monkeypatch)))
    nonce = run(["operator", "rekey", "--init", "--field", "nonce"]).stdout.strip()
    assert run(["operator", "rekey", "--status", "--field", "started"]).stdout.strip() == "true"
    assert run(["operator", "rekey", "--cancel", "--nonce", nonce]).code == 0
    assert run(["operator", "rekey", "--status", "--field", "started"]).stdout.strip() == "false"


def test_a_root_token_from_shares(started, monkeypatch):
    """generate-root decodes the token by itself, and it is one."""
    keys = initialised(monkeypatch)
    run(["operator", "unseal"], "\n".join(keys))
    made = run(["operator", "generate-root", "--field", "root_token"], "\n".join(keys))
    assert made.code == 0, made.stderr
    monkeypatch.setenv("ML_SECRETS_TOKEN", made.stdout.strip())
    assert run(["token", "lookup", "--field", "policies"]).stdout.strip() == '["root"]'


def test_backup_and_restore(settings, at_home, monkeypatch):
    """What was backed up can be checked and brought back by key shares; what came after it is gone; nothing is overwritten."""
    config, url = settings
    monkeypatch.setenv("ML_SECRETS_ADDR", url)
    file = at_home / "backup"
    with programs.configured_server(config, url):
        keys = initialised(monkeypatch)
        run(["operator", "unseal"], "\n".join(keys))
        run(["secrets", "enable", "--version", "2", "--path", "secret", "kv"])
        assert run(["kv", "put", "kept", "value=fake-kept"]).code == 0
        saved = run(["operator", "backup", str(file)])
        assert saved.code == 0, saved.stderr
        assert file.stat().st_mode & 0o777 == 0o600
        assert b"fake-kept" not in file.read_bytes()
        assert run(["operator", "backup", str(file)]).code == 1
        run(["kv", "put", "later", "value=fake-later"])
    shares = "\n".join(keys)
    checked = run(
        ["operator", "restore", "--config", str(config), "--verify", "--with-shares", str(file)], shares
    )
    assert checked.code == 0, checked.stderr
    broken = at_home / "broken"
    broken.write_bytes(file.read_bytes()[:-9])
    assert (
        run(
            ["operator", "restore", "--config", str(config), "--verify", "--with-shares", str(broken)], shares
        ).code
        == 1
    )
    restored = run(
        ["operator", "restore", "--config", str(config), "--with-shares", "--keep-tokens", str(file)], shares
    )
    assert restored.code == 0, restored.stderr
    with programs.configured_server(config, url):
        run(["operator", "unseal"], shares)
        assert run(["kv", "get", "--field", "value", "kept"]).stdout.strip() == "fake-kept"
        assert run(["kv", "get", "later"]).code == 2


def test_backups_that_the_server_makes_by_itself(settings, at_home, monkeypatch):
    """The first is there soon; list, status and now tell of them; the newest one is restored from the folder."""
    config, url = settings
    monkeypatch.setenv("ML_SECRETS_ADDR", url)
    folder = at_home / "backups"
    with config.open("a") as more:
        more.write(f'backup {{ folder = "{folder}", every = "1h", keep = 2 }}\n')
    with programs.configured_server(config, url):
        keys = initialised(monkeypatch)
        run(["operator", "unseal"], "\n".join(keys))
        failed = run(["operator", "backups", "now"])
        assert failed.code == 2
        assert "No such file or directory" in failed.stderr
        assert run(["operator", "backups", "status"]).code == 1
        folder.mkdir()
        assert run(["operator", "backups", "list"]).stdout == "There is no backup yet\n"
        run(["secrets", "enable", "--version", "2", "--path", "secret", "kv"])
        run(["kv", "put", "kept", "value=fake-kept"])
        made = run(["operator", "backups", "now", "--format", "json"])
        assert made.code == 0, made.stderr
        name = json.loads(made.stdout)["name"]
        run(["kv", "put", "later", "value=fake-later"])
        assert name in run(["operator", "backups", "list"]).stdout
        assert run(["operator", "backups", "status"]).code == 0
        metrics = run(["read", "sys/metrics", "--format", "json"]).stdout
        assert '"ml_secrets.backup_failing"' in metrics
        assert '"ml_secrets.backup_age_seconds"' in metrics
        assert run(["operator", "restore", "--from", str(folder)]).code == 1
        assert run(["operator", "restore", "--latest", str(folder / name)]).code == 1
        assert run(["operator", "restore", "--verify"]).code == 1
    shares = "\n".join(keys)
    latest = [
        "operator",
        "restore",
        "--config",
        str(config),
        "--from",
        str(folder),
        "--latest",
        "--with-shares",
    ]
    checked = run([*latest, "--verify"], shares)
    assert checked.code == 0, checked.stderr
    assert name in checked.stdout
    assert run([*latest, "--keep-tokens"], shares).code == 0
    with programs.configured_server(config, url):
        run(["operator", "unseal"], shares)
        assert run(["kv", "get", "--field", "value", "kept"]).stdout.strip() == "fake-kept"
        assert run(["kv", "get", "later"]).code == 2
    (folder / name).unlink()
    none = run([*latest, "--verify"], shares)
    assert none.code == 1
    assert "holds no backup" in none.stderr


def test_a_server_without_the_block_makes_none_and_says_how(started, monkeypatch):
    """Its status is no success: a check that asks for it is to notice."""
    run(["operator", "unseal"], "\n".join(initialised(monkeypatch)))
    assert run(["operator", "backups", "status"]).code == 1
    refused = run(["operator", "backups", "now"])
    assert refused.code == 2
    assert "[backup]" in refused.stderr
