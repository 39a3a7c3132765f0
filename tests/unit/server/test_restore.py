"""A backup over the API, and its restore in the place of a stopped server's store."""

import json

import pytest

from ml_secrets.dialects.vault.wire import HttpRequest
from ml_secrets.errors import Invalid, StoreFault, TamperFault
from ml_secrets.server import config as configuration
from ml_secrets.server.assemble import assemble
from ml_secrets.server.exchange import exchange
from ml_secrets.server.local import local_config
from ml_secrets.server.options import ServerOptions
from ml_secrets.server.restore import latest, restore


class Server:
    """A server in this process, over a store on the disk."""

    def __init__(self, config, *, accept_rollback=False):
        self.parts = assemble(config, kv_at_secret=True, accept_rollback=accept_rollback)
        self.token = ""

    def call(self, method, path, body=None, *, token=None):
        """(status, body): the JSON, or the bytes of what is none."""
        headers = [(b"x-vault-token", (self.token if token is None else token).encode())]
        http = HttpRequest(
            method,
            f"/v1/{path}".encode(),
            b"",
            headers,
            ("127.0.0.1", 1),
            b"" if body is None else json.dumps(body).encode(),
        )
        answer = exchange(self.parts.pipeline, http)
        media_type = dict(answer.headers).get(b"content-type", b"")
        return answer.status, json.loads(
            answer.body
        ) if media_type == b"application/json" and answer.body else answer.body

    def close(self):
        self.parts.close()


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_SECRETS_CONFIG_DIR", str(tmp_path / "config"))
    return ServerOptions(data_dir=tmp_path / "data")


@pytest.fixture
def local(options, tmp_path):
    """The user's own store with one secret in it, backed up, and gone on since: (options, init's answer, backup)."""
    server = Server(local_config(options.data_dir))
    made = server.parts.opening.initialize({"recovery_shares": 1, "recovery_threshold": 1})
    server.token = made["root_token"]
    server.call("POST", "secret/data/model", {"data": {"key": "before"}})
    status, content = server.call("GET", "sys/storage/snapshot")
    assert status == 200
    (tmp_path / "backup").write_bytes(content)
    for _ in range(3):
        server.call("POST", "secret/data/model", {"data": {"key": "after"}})
    server.close()
    return options, made, tmp_path / "backup"


def reopened(options, **more):
    server = Server(local_config(options.data_dir), **more)
    try:
        server.parts.opening.open_automatically()
    except BaseException:
        server.close()
        raise
    return server


def test_a_backup_needs_sudo(local):
    """Without a token, and with one that may only read, there is none; and nothing in it is readable."""
    options, made, file = local
    server = reopened(options)
    server.token = made["root_token"]
    server.call(
        "PUT", "sys/policies/acl/reader", {"policy": 'path "sys/storage/*" { capabilities = ["read"] }'}
    )
    reader = server.call("POST", "auth/token/create", {"policies": ["reader"]})[1]["auth"]["client_token"]
    assert server.call("GET", "sys/storage/snapshot", token="")[0] == 403
    assert server.call("GET", "sys/storage/snapshot", token=reader)[0] == 403
    assert server.call("GET", "sys/storage/snapshot")[0] == 200
    server.close()
    assert b"before" not in file.read_bytes()


def test_verify_tells_what_a_backup_is_and_changes_nothing(local):
    """Also while the server runs."""
    options, made, file = local
    server = reopened(options)
    report = restore(file, options, verify_only=True)
    assert report.rows > 10
    assert (report.store, report.replaced) == ("", "")
    assert report.cluster_id == server.parts.barrier.cluster_id
    server.token = made["root_token"]
    assert server.call("GET", "secret/data/model")[1]["data"]["data"] == {"key": "after"}
    server.close()


def test_a_restored_store_is_the_old_one_with_dead_tokens(local):
    """The anchor notices; once accepted, the data of the backup is there, no token of before is, and shares make one."""
    options, made, file = local
    report = restore(file, options)
    with pytest.raises(TamperFault, match="rolled back"):
        reopened(options)
    server = reopened(options, accept_rollback=True)
    assert server.call("GET", "secret/data/model", token=made["root_token"])[0] == 403
    server.token = root_token(server, made)
    assert server.call("GET", "secret/data/model")[1]["data"]["data"] == {"key": "before"}
    server.close()
    reopened(options).close()
    assert report.replaced.endswith("store.replaced-1")
    assert (options.data_dir / "store.replaced-1" / "store.sqlite").exists()


def root_token(server, made):
    """By the recovery key; the attempt is started from within, as there is no token for it."""
    attempt = server.parts.opening.rootmaking
    begun = attempt.start("")
    with server.parts.house.units.write() as unit:
        answer = attempt.update(unit, made["recovery_keys"][0], begun["nonce"])
    encoded = {"encoded_token": answer["encoded_token"], "otp": begun["otp"]}
    return server.call("PUT", "sys/decode-token", encoded, token="")[1]["data"]["token"]


def test_tokens_can_be_kept(local):
    """For a move to another machine."""
    options, made, file = local
    restore(file, options, keep_tokens=True)
    server = reopened(options, accept_rollback=True)
    assert server.call("GET", "secret/data/model", token=made["root_token"])[0] == 200
    server.close()


def test_a_running_server_keeps_its_store(local):
    """The restore is refused, and the store is as it was."""
    options, made, file = local
    server = reopened(options)
    with pytest.raises(StoreFault, match="another process has the store"):
        restore(file, options)
    assert server.call("GET", "secret/data/model", token=made["root_token"])[0] == 200
    server.close()


def test_a_broken_backup_replaces_nothing(local):
    """The store that was there opens as before, and no part of another lies beside it."""
    options, made, file = local
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(Invalid, match="cut short"):
        restore(file, options)
    server = reopened(options)
    assert server.call("GET", "secret/data/model", token=made["root_token"])[0] == 200
    server.close()
    assert not [found.name for found in options.data_dir.iterdir() if "resto" in found.name]


def test_a_lost_key_file_is_no_obstacle(local, tmp_path):
    """The recovery key opens the backup, and then the store."""
    options, made, file = local
    (tmp_path / "config" / "unseal.key").unlink()
    with pytest.raises(Invalid, match="no key file"):
        restore(file, options)
    restore(file, options, shares=made["recovery_keys_base64"])
    server = Server(local_config(options.data_dir), accept_rollback=True)
    server.parts.opening.unseal(made["recovery_keys_base64"][0], reset=False)
    assert not server.parts.opening.sealed
    server.close()


def test_a_shamir_store_is_restored_with_its_shares(tmp_path):
    """Into an empty place; without shares the refusal asks for them, and says how."""
    file, backup = tmp_path / "server.toml", tmp_path / "backup"
    file.write_text(f'[storage]\ntype = "sqlite"\npath = "{tmp_path / "store"}"\n')
    server = Server(configuration.load(file))
    made = server.parts.opening.initialize({"secret_shares": 3, "secret_threshold": 2})
    for key in made["keys"][:2]:
        server.parts.opening.unseal(key, reset=False)
    backup.write_bytes(server.call("GET", "sys/storage/snapshot", token=made["root_token"])[1])
    server.close()
    options = ServerOptions(config=file)
    with pytest.raises(Invalid, match=r"key shares are needed \(add --with-shares"):
        restore(backup, options)
    (tmp_path / "store").rename(tmp_path / "gone")
    report = restore(backup, options, shares=made["keys"][1:])
    assert (report.store, report.replaced) == (str(tmp_path / "store"), "")
    again = Server(configuration.load(file))
    for key in made["keys"][1:]:
        again.parts.opening.unseal(key, reset=False)
    assert again.call("GET", "sys/health", token="")[0] == 200
    again.close()


def test_a_store_in_memory_is_not_restored(tmp_path, local):
    """There is no place for it; a check works."""
    _, made, file = local
    config = tmp_path / "memory.toml"
    config.write_text('[storage]\ntype = "inmem"\n')
    with pytest.raises(Invalid, match="in memory"):
        restore(file, ServerOptions(config=config), shares=made["recovery_keys"])
    assert (
        restore(file, ServerOptions(config=config), shares=made["recovery_keys"], verify_only=True).rows > 10
    )


def test_the_latest_of_a_folder(tmp_path):
    """By the time in its name. Of none, of those of several stores, and of no folder it is an error that says what to do."""
    with pytest.raises(Invalid, match="holds no backup"):
        latest(tmp_path)
    (tmp_path / "zzz.snapshot").touch()
    for time in ("20261130T000000Z", "20261201T000000Z", "20250101T000000Z"):
        (tmp_path / f"ml-secrets-0123abcd-{time}.snapshot").touch()
    assert latest(tmp_path).name == "ml-secrets-0123abcd-20261201T000000Z.snapshot"
    (tmp_path / "ml-secrets-99999999-20251231T000000Z.snapshot").touch()
    with pytest.raises(Invalid, match="several stores"):
        latest(tmp_path)
    with pytest.raises(Invalid, match="No such file"):
        latest(tmp_path / "nowhere")
