"""hvac, unmodified, drives our development server, written as the field's guides print it."""

import base64
import json

import hvac
import pytest
from hvac import exceptions
from tests.certificates import certificate

from ml_secrets.testing import programs


@pytest.fixture
def client(dev_server):
    """A root client."""
    return hvac.Client(url=dev_server.url, token=dev_server.token)


@pytest.fixture
def kv(client):
    """KV version 2 at a mount of the test's own."""
    client.sys.enable_secrets_engine("kv", path="hvac-kv", options={"version": "2"})
    yield client.secrets.kv.v2
    client.sys.disable_secrets_engine("hvac-kv")


def as_token(dev_server, token):
    return hvac.Client(url=dev_server.url, token=token)


# ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_lines_of_every_guide(dev_server):
    """Write and read a secret with the mount that a development server has."""
    client = hvac.Client(url=dev_server.url, token=dev_server.token)
    assert client.is_authenticated()
    client.secrets.kv.v2.create_or_update_secret(path="hvac/first", secret={"password": "fake-hunter2"})
    read = client.secrets.kv.v2.read_secret_version(path="hvac/first", raise_on_deleted_version=True)
    assert read["data"]["data"]["password"] == "fake-hunter2"
    client.secrets.kv.v2.delete_metadata_and_all_versions("hvac/first")


def test_kv1(client):
    """Every method of KV version 1."""
    client.sys.enable_secrets_engine("kv", path="hvac-kv1", options={"version": "1"})
    kv = client.secrets.kv.v1
    assert (
        kv.create_or_update_secret("app/db", {"user": "u", "n": 3}, mount_point="hvac-kv1").status_code == 204
    )
    assert kv.read_secret("app/db", mount_point="hvac-kv1")["data"] == {"user": "u", "n": 3}
    kv.create_or_update_secret("app/db", {"user": "v"}, method="PUT", mount_point="hvac-kv1")
    assert kv.list_secrets("app", mount_point="hvac-kv1")["data"]["keys"] == ["db"]
    assert kv.delete_secret("app/db", mount_point="hvac-kv1").status_code == 204
    with pytest.raises(exceptions.InvalidPath):
        kv.read_secret("app/db", mount_point="hvac-kv1")
    client.sys.disable_secrets_engine("hvac-kv1")


def test_kv2_versions(kv):
    """Check-and-set, patch, delete, undelete and destroy of versions."""
    at = {"mount_point": "hvac-kv"}
    first = kv.create_or_update_secret("app", {"a": "1", "b": "x"}, cas=0, **at)
    assert first["data"]["version"] == 1
    with pytest.raises(exceptions.InvalidRequest, match="did not match the current version"):
        kv.create_or_update_secret("app", {"a": "2"}, cas=0, **at)
    with pytest.warns(DeprecationWarning, match="raise_on_deleted_version"):  # what its patch leaves unsaid
        assert kv.patch("app", {"a": "2"}, **at)["data"]["version"] == 2
    assert kv.read_secret("app", **at, raise_on_deleted_version=True)["data"]["data"] == {"a": "2", "b": "x"}
    kv.delete_latest_version_of_secret("app", **at)
    with pytest.raises(exceptions.InvalidPath):
        kv.read_secret_version("app", raise_on_deleted_version=True, **at)
    deleted = kv.read_secret_version("app", raise_on_deleted_version=False, **at)["data"]
    assert (deleted["data"], deleted["metadata"]["version"]) == (None, 2)
    kv.undelete_secret_versions("app", [2], **at)
    kv.delete_secret_versions("app", [1], **at)
    kv.destroy_secret_versions("app", [1], **at)
    versions = kv.read_secret_metadata("app", **at)["data"]["versions"]
    assert (versions["1"]["destroyed"], versions["2"]["deletion_time"]) == (True, "")


def test_kv2_settings(kv):
    """Configuration, metadata, custom metadata, listing and full removal."""
    at = {"mount_point": "hvac-kv"}
    kv.configure(max_versions=5, cas_required=False, delete_version_after="1h", **at)
    assert kv.read_configuration(**at)["data"]["max_versions"] == 5
    kv.create_or_update_secret("dir/app", {"a": {"b": 1}}, **at)
    kv.update_metadata("dir/app", max_versions=3, custom_metadata={"owner": "ml"}, **at)
    assert kv.read_secret_metadata("dir/app", **at)["data"]["custom_metadata"] == {"owner": "ml"}
    assert kv.list_secrets("", **at)["data"]["keys"] == ["dir/"]
    kv.delete_metadata_and_all_versions("dir/app", **at)
    with pytest.raises(exceptions.InvalidPath):
        kv.list_secrets("", **at)


def test_kv2_dates_are_in_nobodys_way(kv, client):
    """A secret that has expired is read, patched and described as any; what hvac sends of metadata leaves dates alone."""
    at = {"mount_point": "hvac-kv"}
    kv.create_or_update_secret("app", {"a": "1"}, **at)
    client.write_data("hvac-kv/metadata/app", data={"expires_at": "2020-01-31", "rotate_every": "90d"})
    read = kv.read_secret_version("app", raise_on_deleted_version=True, **at)
    assert (read["data"]["data"], read["warnings"]) == (
        {"a": "1"},
        ["this secret expired on 2020-01-31T00:00:00Z"],
    )
    kv.update_metadata("app", max_versions=3, custom_metadata={"owner": "ml"}, **at)
    kv.create_or_update_secret("app", {"a": "2"}, cas=1, **at)
    described = kv.read_secret_metadata("app", **at)["data"]
    assert (described["custom_metadata"], described["max_versions"]) == ({"owner": "ml"}, 3)
    assert (described["expires_at"], described["rotate_every"]) == ("2020-01-31T00:00:00Z", "2160h0m0s")
    assert client.read("hvac-kv/due")["data"]["keys"] == ["app"]


def test_generic_reading_and_writing(client):
    """`client.read`, `write_data`, `list` and `delete` of bare paths, cubbyhole as the example."""
    client.write_data("cubbyhole/hvac/x", data={"a": "b"})
    assert client.read("cubbyhole/hvac/x")["data"] == {"a": "b"}
    assert client.list("cubbyhole/hvac")["data"]["keys"] == ["x"]
    client.delete("cubbyhole/hvac/x")
    assert client.read("cubbyhole/hvac/x") is None


# ── tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tokens(client, dev_server):
    """Create, look up, renew, accessors, orphans and revocation."""
    token = client.auth.token
    made = token.create(policies=["default"], ttl="1h", meta={"who": "test"}, num_uses=0)["auth"]
    seen = token.lookup(made["client_token"])["data"]
    assert (seen["meta"], seen["policies"], seen["orphan"]) == ({"who": "test"}, ["default"], False)
    assert token.lookup_accessor(made["accessor"])["data"]["id"] == ""
    own = as_token(dev_server, made["client_token"])
    assert own.auth.token.lookup_self()["data"]["accessor"] == made["accessor"]
    assert own.auth.token.renew_self(increment="30m")["auth"]["lease_duration"] == 1800
    assert token.renew(made["client_token"], increment="10m")["auth"]["lease_duration"] == 600
    assert token.renew_accessor(made["accessor"])["auth"]["accessor"] == made["accessor"]
    assert made["accessor"] in token.list_accessors()["data"]["keys"]
    token.revoke_accessor(made["accessor"])
    assert not own.is_authenticated()
    orphan = token.create_orphan(policies=["default"])["auth"]
    assert orphan["orphan"]
    token.revoke(orphan["client_token"])
    with pytest.raises(exceptions.Forbidden):
        token.lookup(orphan["client_token"])


def test_children_end_with_their_parent_or_live_on(client, dev_server):
    """`revoke` ends the whole tree; `revoke_and_orphan_children` ends one token."""
    client.sys.create_or_update_policy(
        "hvac-maker", 'path "auth/token/create" { capabilities = ["update", "create", "sudo"] }'
    )
    for revoke, lives in (
        (client.auth.token.revoke, False),
        (client.auth.token.revoke_and_orphan_children, True),
    ):
        parent = client.auth.token.create(policies=["hvac-maker", "default"])["auth"]["client_token"]
        child = as_token(dev_server, parent).auth.token.create(policies=["default"])["auth"]["client_token"]
        revoke(parent)
        assert as_token(dev_server, child).is_authenticated() is lives
    client.sys.delete_policy("hvac-maker")


def test_token_roles(client):
    """Roles: write, read, list, use, delete."""
    token = client.auth.token
    token.create_or_update_role(
        "hvac", allowed_policies=["default"], orphan=True, renewable=False, token_period="1h"
    )
    assert token.read_role("hvac")["data"]["allowed_policies"] == ["default"]
    assert "hvac" in token.list_roles()["data"]["keys"]
    assert token.create(role_name="hvac", policies=["default"])["auth"]["orphan"]
    with pytest.raises(exceptions.InvalidRequest, match="subset of the role's allowed policies"):
        token.create(role_name="hvac", policies=["other"])
    token.delete_role("hvac")


def test_who_is_logged_in(client, dev_server):
    """`is_authenticated`, `logout` and what a wrong token meets."""
    assert not as_token(dev_server, "nonsense").is_authenticated()
    made = client.auth.token.create(policies=["default"])["auth"]["client_token"]
    own = as_token(dev_server, made)
    with pytest.raises(exceptions.Forbidden):
        own.sys.list_mounted_secrets_engines()
    own.logout(revoke_token=True)
    assert not as_token(dev_server, made).is_authenticated()


# ── policies ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_policies(client):
    """Both families, as text and as an object."""
    text = 'path "secret/data/hvac/*" { capabilities = ["read"] }'
    client.sys.create_or_update_policy("hvac-old", text)
    assert client.sys.read_policy("hvac-old")["data"]["rules"] == text
    assert "hvac-old" in client.sys.list_policies()["data"]["policies"]
    client.sys.create_or_update_acl_policy("hvac-new", {"path": {"a": {"capabilities": ["read"]}}})
    assert "capabilities" in client.sys.read_acl_policy("hvac-new")["data"]["policy"]
    assert "hvac-new" in client.sys.list_acl_policies()["data"]["keys"]
    assert client.get_policy("hvac-old", parse=False) == text
    client.sys.delete_policy("hvac-old")
    client.sys.delete_acl_policy("hvac-new")
    with pytest.raises(exceptions.InvalidRequest, match="failed to parse policy"):
        client.sys.create_or_update_policy("hvac-bad", 'path "a" { capabilities = ["reed"] }')


def test_capabilities(client):
    """Of oneself, of a token, of an accessor."""
    client.sys.create_or_update_policy("hvac-caps", 'path "a/b" { capabilities = ["read", "list"] }')
    made = client.auth.token.create(policies=["hvac-caps"])["auth"]
    assert client.sys.get_capabilities(["sys/mounts"])["data"]["capabilities"] == ["root"]
    assert client.sys.get_capabilities(["a/b"], token=made["client_token"])["data"]["a/b"] == ["list", "read"]
    assert client.sys.get_capabilities(["a/c"], accessor=made["accessor"])["data"]["a/c"] == ["deny"]
    client.sys.delete_policy("hvac-caps")


# ── logging in ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_approle(client, dev_server):
    """The whole API of AppRole, and a login with it."""
    at, name = {"mount_point": "hvac-approle"}, "job"
    client.sys.enable_auth_method("approle", path="hvac-approle")
    approle = client.auth.approle
    approle.create_or_update_approle(
        name, token_policies=["default"], token_ttl="20m", secret_id_num_uses=5, **at
    )
    assert approle.read_role(name, **at)["data"]["token_ttl"] == 1200
    assert approle.list_roles(**at)["data"]["keys"] == [name]
    approle.update_role_id(name, "hvac-role-id", **at)
    assert approle.read_role_id(name, **at)["data"]["role_id"] == "hvac-role-id"
    secret = approle.generate_secret_id(name, metadata={"run": "7"}, cidr_list=["127.0.0.1/32"], **at)["data"]
    approle.create_custom_secret_id(name, "hvac-own-secret-id", **at)
    assert approle.read_secret_id(name, secret["secret_id"], **at)["data"]["metadata"] == {"run": "7"}
    by_accessor = approle.read_secret_id_accessor(name, secret["secret_id_accessor"], **at)["data"]
    assert by_accessor["cidr_list"] == ["127.0.0.1/32"]
    assert secret["secret_id_accessor"] in approle.list_secret_id_accessors(name, **at)["data"]["keys"]
    job = hvac.Client(url=dev_server.url)
    answer = job.auth.approle.login("hvac-role-id", secret["secret_id"], **at)["auth"]
    assert answer["metadata"] == {"run": "7", "role_name": name}
    assert job.is_authenticated()
    approle.destroy_secret_id_accessor(name, secret["secret_id_accessor"], **at)
    approle.destroy_secret_id(name, "hvac-own-secret-id", **at)
    with pytest.raises(exceptions.InvalidRequest, match="invalid role or secret ID"):
        job.auth.approle.login("hvac-role-id", secret["secret_id"], **at)
    approle.delete_role(name, **at)
    client.sys.disable_auth_method("hvac-approle")
    assert not job.is_authenticated()


def test_userpass(client, dev_server):
    """Users: write, list, read, log in, change the password, delete."""
    at = {"mount_point": "hvac-userpass"}
    client.sys.enable_auth_method("userpass", path="hvac-userpass")
    userpass = client.auth.userpass
    userpass.create_or_update_user("ann", "fake-password-1", policies=["default"], **at)
    assert userpass.list_user(**at)["data"]["keys"] == ["ann"]
    assert userpass.read_user("ann", **at)["data"]["token_policies"] == ["default"]
    ann = hvac.Client(url=dev_server.url)
    assert ann.auth.userpass.login("ann", "fake-password-1", **at)["auth"]["metadata"] == {"username": "ann"}
    assert ann.is_authenticated()
    userpass.update_password_on_user("ann", "fake-password-2", **at)
    with pytest.raises(exceptions.InvalidRequest, match="invalid username or password"):
        ann.auth.userpass.login("ann", "fake-password-1", **at)
    userpass.delete_user("ann", **at)
    client.sys.disable_auth_method("hvac-userpass")


# ── the system ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_wrapping(client, dev_server):
    """Wrap, look up, unwrap once; a wrapped answer of another call."""
    wrapped = client.sys.wrap({"a": "b"}, ttl=60)["wrap_info"]
    assert client.sys.unwrap(wrapped["token"])["data"] == {"a": "b"}
    with pytest.raises(exceptions.InvalidRequest, match="not valid or does not exist"):
        client.sys.unwrap(wrapped["token"])
    made = client.auth.token.create(policies=["default"], wrap_ttl="60s")["wrap_info"]
    opened = as_token(dev_server, made["token"]).sys.unwrap()["auth"]
    assert opened["accessor"] == made["wrapped_accessor"]


def test_mounts(client):
    """Enable, list, read, tune, move and disable secrets engines."""
    sys = client.sys
    sys.enable_secrets_engine("kv", path="hvac-m", description="d", config={"default_lease_ttl": "1h"})
    assert sys.list_mounted_secrets_engines()["data"]["hvac-m/"]["description"] == "d"
    sys.tune_mount_configuration("hvac-m", max_lease_ttl="24h", description="new")
    tuned = sys.read_mount_configuration("hvac-m")["data"]
    assert (tuned["default_lease_ttl"], tuned["max_lease_ttl"], tuned["description"]) == (3600, 86400, "new")
    client.secrets.kv.v1.create_or_update_secret("x", {"a": "b"}, mount_point="hvac-m")
    sys.move_backend("hvac-m", "hvac-n")
    assert client.secrets.kv.v1.read_secret("x", mount_point="hvac-n")["data"] == {"a": "b"}
    sys.disable_secrets_engine("hvac-n")
    assert "hvac-n/" not in sys.list_mounted_secrets_engines()["data"]


def test_auth_methods(client):
    """Enable, list, tune and disable auth methods."""
    client.sys.enable_auth_method("userpass", path="hvac-a", config={"listing_visibility": "unauth"})
    assert client.sys.list_auth_methods()["data"]["hvac-a/"]["type"] == "userpass"
    client.sys.tune_auth_method("hvac-a", max_lease_ttl="24h", description="people")
    tuned = client.sys.read_auth_method_tuning("hvac-a")["data"]
    assert (tuned["max_lease_ttl"], tuned["description"]) == (86400, "people")
    client.sys.disable_auth_method("hvac-a")


def test_audit(client, tmp_path):
    """Enable a device, hash a value, list, disable."""
    log = tmp_path / "audit.log"
    client.sys.enable_audit_device("file", path="hvac-audit", options={"file_path": str(log)})
    assert client.sys.list_enabled_audit_devices()["data"]["hvac-audit/"]["type"] == "file"
    hashed = client.sys.calculate_hash("hvac-audit", "fake-value")["data"]["hash"]
    client.write_data("cubbyhole/hvac-audited", data={"k": "fake-value"})
    client.delete("cubbyhole/hvac-audited")
    client.sys.disable_audit_device("hvac-audit")
    assert hashed in log.read_text()
    assert "fake-value" not in log.read_text()


def test_health_and_status(client):
    """Without a token as well."""
    assert client.sys.read_health_status(method="GET")["initialized"]
    assert client.sys.read_health_status().status_code == 200
    assert client.sys.is_initialized()
    assert not client.sys.is_sealed()
    assert client.seal_status["type"] == "shamir"
    assert "ha_enabled" in client.sys.read_leader_status()
    assert client.ha_status["ha_enabled"] is False


def test_leases(client):
    """A token's lease: listed by prefix, revoked by prefix; unknown leases are refused."""
    made = client.auth.token.create(policies=["default"])["auth"]["client_token"]
    assert client.sys.list_leases("auth/token/create")["data"]["keys"]
    with pytest.raises(exceptions.InvalidRequest, match="invalid lease"):
        client.sys.read_lease("nonsense")
    with pytest.raises(exceptions.InvalidRequest, match="lease not found"):
        client.sys.renew_lease("nonsense")
    client.sys.revoke_lease("nonsense")
    client.sys.revoke_force("hvac-nowhere")
    client.sys.revoke_prefix("auth/hvac-nowhere")
    client.auth.token.revoke(made)


def test_quotas(client):
    """Write, read, list, delete."""
    client.sys.create_or_update_quota("hvac-q", path="secret/", rate=10000, interval="1s")
    assert client.sys.read_quota("hvac-q")["data"]["rate"] == 10000
    assert "hvac-q" in client.sys.list_quotas()["data"]["keys"]
    client.sys.delete_quota("hvac-q")


def test_tools_and_keys(client):
    """Random bytes, hashes, the encryption key's status and rotation."""
    drawn = client.write("sys/tools/random/32", format="base64")["data"]["random_bytes"]
    assert len(base64.b64decode(drawn)) == 32
    term = client.key_status["term"]
    client.sys.rotate_encryption_key()
    assert client.key_status["term"] == term + 1


# ── a server of its own ─────────────────────────────────────────────────────────────────────────────────────────────


def test_init_and_unseal_over_tls(tmp_path, monkeypatch):
    """A server from the JSON that hvac's own suite writes: initialise, unseal with several keys, seal, unseal, rotate."""
    cert_file, key_file = certificate(tmp_path)
    address = f"127.0.0.1:{programs.free_port()}"
    listener = {"address": address, "tls_cert_file": str(cert_file), "tls_key_file": str(key_file)}
    config = tmp_path / "vault-tls.json"
    config.write_text(
        json.dumps(
            {
                "backend": {"inmem": {}},
                "listener": {"tcp": listener},
                "disable_mlock": True,
                "default_lease_ttl": "768h",
                "max_lease_ttl": "768h",
            }
        )
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(cert_file))  # for the fixture's own wait
    with programs.configured_server(config, f"https://{address}") as server:
        client = hvac.Client(url=server.url, verify=str(cert_file))
        assert not client.sys.is_initialized()
        assert client.sys.read_health_status().status_code == 501
        made = client.sys.initialize(secret_shares=5, secret_threshold=3)
        assert (len(made["keys"]), len(made["keys_base64"])) == (5, 5)
        assert client.sys.is_sealed()
        assert client.sys.read_health_status().status_code == 503
        with pytest.raises(exceptions.InvalidRequest, match="already initialized"):
            client.sys.initialize(secret_shares=5, secret_threshold=3)
        assert client.sys.submit_unseal_key(made["keys"][0])["progress"] == 1
        assert client.sys.submit_unseal_key(reset=True)["progress"] == 0
        assert client.sys.submit_unseal_keys(made["keys"][:3])["sealed"] is False
        client.token = made["root_token"]
        assert client.is_authenticated()
        client.sys.seal()
        with pytest.raises(exceptions.VaultDown, match="Vault is sealed"):
            client.sys.list_policies()
        client.sys.submit_unseal_keys(made["keys_base64"][2:])
        assert "secret/" not in client.sys.list_mounted_secrets_engines()["data"]
