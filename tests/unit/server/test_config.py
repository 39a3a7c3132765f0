"""Settings from our TOML and from Vault's HCL and JSON."""

import json
from pathlib import Path

import pytest

from ml_secrets.client.settings import check_address
from ml_secrets.errors import Invalid
from ml_secrets.server import config as configuration

HCL = """
# a Vault file
storage "raft" {
  path    = "/srv/vault"
  node_id = "one"
}
listener "tcp" {
  address       = "127.0.0.1:8201"
  tls_cert_file = "/etc/tls.crt"
  tls_key_file  = "/etc/tls.key"
}
listener "tcp" { address = "127.0.0.1:8202", tls_disable = 1 }
default_lease_ttl = "1h"
max_lease_ttl     = "24h"
disable_mlock     = true
"""


def load(tmp_path, text, name):
    file = tmp_path / name
    file.write_text(text)
    return configuration.load(file)


def test_hcl_of_vault_is_read(tmp_path):
    """Storage, listeners with TLS, TTLs; what has no meaning here is named as ignored."""
    config = load(tmp_path, HCL, "vault.hcl")
    assert (config.storage, config.path, config.storage_type) == ("sqlite", Path("/srv/vault"), "raft")
    assert [one.address for one in config.listeners] == ["127.0.0.1:8201", "127.0.0.1:8202"]
    assert config.listeners[0].tls_cert_file == Path("/etc/tls.crt")
    assert config.listeners[1].tls_cert_file is None
    assert (config.default_lease_ttl, config.max_lease_ttl) == (3600, 86400)
    assert config.ignored == ["storage.node_id", "disable_mlock"]


def test_json_of_vault_is_read(tmp_path):
    """The same in JSON, in both of the shapes that tools write."""
    nested = {
        "storage": {"inmem": {}},
        "listener": {"tcp": {"address": "127.0.0.1:8203", "tls_disable": True}},
    }
    listed = {
        "storage": [{"inmem": {}}],
        "listener": [{"tcp": {"address": "127.0.0.1:8203", "tls_disable": "true"}}],
    }
    for tree in (nested, listed):
        config = load(tmp_path, json.dumps(tree), "vault.json")
        assert (config.storage, config.storage_type) == ("memory", "inmem")
        assert [one.address for one in config.listeners] == ["127.0.0.1:8203"]


def test_our_own_example_is_read():
    """The file that deploy/ ships is one that the server takes."""
    config = configuration.load(Path(__file__).parents[3] / "deploy" / "server.toml")
    assert config.path == Path("/var/lib/ml-secrets/store")
    assert config.seal == "shamir"
    assert config.audit[0]["file_path"] == "/var/log/ml-secrets/audit.log"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[storage]\ntype = "sqlite"', "needs a path"),
        ('[storage]\ntype = "consul"\npath = "/x"', "storage 'consul' is not available"),
        ('[storage]\ntype = "inmem"\n[[listener]]\ntype = "unix"', "listener 'unix' is not available"),
        ('[storage]\ntype = "inmem"\n[seal]\ntype = "awskms"', "seal 'awskms' is not available"),
        ('[storage]\ntype = "inmem"\n[seal]\ntype = "keyfile"', "seal.keyfile needs 'path'"),
        ('[storage]\ntype = "inmem"\n[seal.shamir]\n[seal.keyfile]\npath = "/k"', "more than one seal"),
        ('anchor_file = 5\n[storage]\ntype = "inmem"', "anchor_file is a text"),
        ('[storage]\ntype = "sqlite"\npath = 5', "path is a text"),
        ('[storage]\ntype = "inmem"\n[listener.tcp]\ntls_cert_file = 5', "tls_cert_file is a text"),
        (
            '[storage]\ntype = "inmem"\n[listener]\ntcp = 5\n[listener.x]',
            "listener 'tcp' is no block of settings",
        ),
        ('seal = "shamir"\n[storage]\ntype = "inmem"', "seal is no block of settings"),
        (
            '[storage]\ntype = "inmem"\n[listener.tcp]\ntls_disable = "maybe"',
            "tls_disable is neither true nor",
        ),
        ('[storage]\ntype = "inmem"\n[listener.tcp]\nmax_request_size = -1', "max_request_size is a number"),
        ("", "no storage with a path"),
        ('colour = "red"\n[storage]\ntype = "inmem"', "unknown setting 'colour'"),
        (
            '[storage]\ntype = "inmem"\n[[listener]]\ntype = "tcp"\ncolour = 1',
            "unknown listener setting 'colour'",
        ),
        ('[storage]\ntype = "inmem"\n[[listener]]\ntype = "tcp"\ntls_cert_file = "/c"', "go together"),
        (
            '[storage]\ntype = "inmem"\n[listener.tcp]\ntls_cert_file = "/c"\ntls_key_file = "/k"\ntls_require_and_verify_client_cert = true',
            "needs tls_client_ca_file",
        ),
        ('[storage]\ntype = "inmem"\n[listener.tcp]\ntls_client_ca_file = "/a"', "no tls_cert_file"),
        ('default_lease_ttl = "2h"\nmax_lease_ttl = "1h"\n[storage]\ntype = "inmem"', "above max_lease_ttl"),
        ('max_lease_ttl = "soon"\n[storage]\ntype = "inmem"', "max_lease_ttl"),
        ("storage = ", "not valid TOML"),
    ],
)
def test_what_is_not_honoured_is_named(tmp_path, text, complaint):
    """A setting that would change behaviour and cannot be had stops the start; the file is named, and what to do."""
    with pytest.raises(Invalid) as caught:
        load(tmp_path, text, "server.toml")
    assert complaint in caught.value.message
    assert "server.toml" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "text"), [("server.json", '{"a":' * 5000), ("server.toml", "a = " + "[" * 5000)]
)
def test_a_file_without_end_of_nesting_is_refused(tmp_path, name, text):
    """Not by a fault."""
    with pytest.raises(Invalid, match="not valid"):
        load(tmp_path, text, name)


def test_hcl_that_cannot_be_read_names_its_line(tmp_path):
    """A missing brace or a repeated setting is an error, with its line."""
    with pytest.raises(Invalid, match="line 2"):
        load(tmp_path, 'ui = true\nlistener "tcp" [', "vault.hcl")
    with pytest.raises(Invalid, match="'ui' comes twice"):
        load(tmp_path, "ui = true\nui = false\n", "vault.hcl")


@pytest.mark.parametrize("name", ["absent.toml", "a folder", "no text.toml"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    """The operator learns which, why, and what to do."""
    (tmp_path / "a folder").mkdir()
    (tmp_path / "no text.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Invalid, match=f"cannot read .*{name}: .") as caught:
        configuration.load(tmp_path / name)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1:8200", "http://127.0.0.1:8200"),
        (":8200", "http://127.0.0.1:8200"),
        ("0.0.0.0:8200", "http://127.0.0.1:8200"),
        ("[::]:8200", "http://[::1]:8200"),
        ("[2001:db8::5]:8200", "http://[2001:db8::5]:8200"),
        ("secrets.example.org:8200", "http://secrets.example.org:8200"),
    ],
)
def test_a_listener_knows_where_this_machine_reaches_it(address, url):
    """Clients on this machine are told a URL that they can use, also of a server that listens on every address."""
    assert configuration.Listener(address).url == url
    assert check_address(url) == url


@pytest.mark.parametrize(
    "address", ["8200", "here:", "here:0", "here:65536", "here:１２", "here:000000000080"]
)
def test_an_address_without_a_port_is_none(address):
    """What cannot be listened on is refused before anything is opened."""
    with pytest.raises(Invalid, match="HOST:PORT"):
        configuration.host_and_port(address)


def test_a_file_that_is_no_text_is_named(tmp_path):
    """Somebody named the store, or a certificate, for the configuration."""
    file = tmp_path / "server.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Invalid, match=r"server\.toml: it is not UTF-8"):
        configuration.load(file)


@pytest.mark.parametrize(
    ("address", "exposed"),
    [
        ("127.0.0.1:8200", False),
        ("127.9.9.9:8200", False),
        ("[::1]:8200", False),
        ("localhost:8200", False),
        ("0.0.0.0:8200", True),
        (":8200", True),
        ("[::]:8200", True),
        ("10.0.0.1:8200", True),
        ("secrets.example.org:8200", True),
    ],
)
def test_plain_http_beyond_the_machine_is_known(address, exposed):
    """Only without TLS, and only where other machines come in."""
    assert configuration.Listener(address).exposed is exposed
    assert not configuration.Listener(address, tls_cert_file=Path("/c")).exposed
