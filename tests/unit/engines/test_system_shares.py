"""What key shares do over the wire, on a whole server in this process: both families of paths, both kinds of seal.

Beside a real OpenBao: tests/conformance/vault/test_opening_like_openbao.py.
"""

import json

import pytest

from ml_secrets.dialects.vault.wire import HttpRequest
from ml_secrets.server.assemble import assemble
from ml_secrets.server.config import Config
from ml_secrets.server.exchange import exchange


class Server:
    """A server over a store in memory. `token` goes with every call that names none."""

    def __init__(self, **settings):
        self.parts = assemble(Config(storage="memory", storage_type="inmem", **settings), kv_at_secret=False)
        self.token = ""

    def call(self, method, path, body=None, *, token=None, query=""):
        """(status, body)"""
        token = self.token if token is None else token
        headers = [(b"x-vault-token", token.encode())] if token else []
        sent = b"" if body is None else json.dumps(body).encode()
        answer = exchange(
            self.parts.pipeline,
            HttpRequest(method, f"/v1/{path}".encode(), query.encode(), headers, ("127.0.0.1", 1), sent),
        )
        return answer.status, json.loads(answer.body) if answer.body else None

    def ok(self, method, path, body=None, **more):
        """What the answer tells, of one that must be good."""
        status, found = self.call(method, path, body, **more)
        assert status in (200, 204), found
        return found["data"] if found and "request_id" in found else found

    def open(self, shares=3, threshold=2):
        made = self.ok("PUT", "sys/init", {"secret_shares": shares, "secret_threshold": threshold})
        self.token = made["root_token"]
        self.keys = made["keys"]
        for key in self.keys[:threshold]:
            self.ok("PUT", "sys/unseal", {"key": key})
        return self


@pytest.fixture
def server():
    return Server().open()


@pytest.fixture
def automatic(tmp_path):
    """A server with a key file."""
    server = Server(seal="keyfile", key_file=tmp_path / "key")
    made = server.ok("PUT", "sys/init", {"recovery_shares": 3, "recovery_threshold": 2})
    server.token, server.keys = made["root_token"], made["recovery_keys"]
    return server


FAMILIES = [("rekey", "PUT"), ("rotate/root", "POST")]


@pytest.mark.parametrize(("family", "verb"), FAMILIES)
def test_a_rekey_goes_through_either_family(server, family, verb):
    """Start, status, shares, and the new shares unseal; the same attempt is seen through both."""
    begun = server.ok(verb, f"sys/{family}/init", {"secret_shares": 5, "secret_threshold": 3})
    assert server.ok("GET", "sys/rekey/init") == server.ok("GET", "sys/rotate/root/init") == begun
    for key in server.keys[1:]:
        answer = server.ok(verb, f"sys/{family}/update", {"key": key, "nonce": begun["nonce"]})
    assert answer["complete"]
    server.ok("PUT", "sys/seal")
    assert server.call("GET", f"sys/{family}/init") == (
        503,
        {"errors": ["Vault is sealed"], "hint": "unseal it with `ml-secrets operator unseal`"},
    )
    for key in answer["keys"][2:]:
        status = server.ok("PUT", "sys/unseal", {"key": key})
    assert (status["sealed"], status["t"], status["n"]) == (False, 3, 5)


@pytest.mark.parametrize(("family", "verb"), FAMILIES)
def test_a_verified_rekey_goes_through_either_family(server, family, verb):
    """The verification can be looked at, restarted and finished."""
    begun = server.ok(
        verb, f"sys/{family}/init", {"secret_shares": 1, "secret_threshold": 1, "require_verification": True}
    )
    for key in server.keys[:2]:
        answer = server.ok(verb, f"sys/{family}/update", {"key": key, "nonce": begun["nonce"]})
    assert server.ok("GET", f"sys/{family}/verify")["nonce"] == answer["verification_nonce"]
    nonce = server.ok("DELETE", f"sys/{family}/verify")["nonce"]
    assert nonce != answer["verification_nonce"]
    assert server.ok(verb, f"sys/{family}/verify", {"key": answer["keys"][0], "nonce": nonce}) == {
        "nonce": nonce,
        "complete": True,
    }


@pytest.mark.parametrize(("family", "verb"), FAMILIES)
def test_a_rekey_can_be_cancelled_through_either_family(server, family, verb):
    """With a token that has sudo, no nonce is needed."""
    server.ok(verb, f"sys/{family}/init", {"secret_shares": 1, "secret_threshold": 1})
    server.ok("DELETE", f"sys/{family}/init")
    assert not server.ok("GET", f"sys/{family}/init")["started"]


@pytest.mark.parametrize(("family", "verb"), [("rekey-recovery-key", "PUT"), ("rotate/recovery", "POST")])
def test_recovery_shares_are_rekeyed_through_either_family(automatic, family, verb):
    """The key shares' own paths say that this seal has none."""
    begun = automatic.ok(verb, f"sys/{family}/init", {"secret_shares": 1, "secret_threshold": 1})
    for key in automatic.keys[:2]:
        answer = automatic.ok(verb, f"sys/{family}/update", {"key": key, "nonce": begun["nonce"]})
    assert answer["complete"]
    assert automatic.ok("GET", "sys/seal-status")["n"] == 1
    for path in ("sys/rekey/init", "sys/rotate/root/init"):
        status, body = automatic.call("GET", path)
        assert status == 400
        assert "has no key shares" in body["errors"][0]


def test_a_seal_that_opens_by_itself_says_so(automatic):
    """In the fields that Vault has for it."""
    status = automatic.ok("GET", "sys/seal-status", token="")
    assert (status["type"], status["recovery_seal"], status["t"], status["n"], status["sealed"]) == (
        "keyfile",
        True,
        2,
        3,
        False,
    )


@pytest.mark.parametrize("family", ["generate-root", "generate-root-token"])
def test_a_root_token_comes_through_either_family(server, family):
    """The decoded token is a root token; the answers have the family's fields."""
    begun = server.ok("PUT", f"sys/{family}/attempt", {})
    assert server.ok("GET", f"sys/{family}/attempt")["nonce"] == begun["nonce"]
    for key in server.keys[:2]:
        answer = server.ok("PUT", f"sys/{family}/update", {"key": key, "nonce": begun["nonce"]})
    assert ("encoded_root_token" in answer) == (family == "generate-root")
    token = server.ok(
        "PUT", "sys/decode-token", {"encoded_token": answer["encoded_token"], "otp": begun["otp"]}, token=""
    )["token"]
    assert server.ok("GET", "auth/token/lookup-self", token=token)["policies"] == ["root"]
    server.ok("PUT", f"sys/{family}/attempt", {})
    server.ok("DELETE", f"sys/{family}/attempt")
    assert not server.ok("GET", f"sys/{family}/attempt")["started"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "provided 'encoded_token' or 'otp' is empty"),
        ({"encoded_token": "QUJD"}, "provided 'encoded_token' or 'otp' is empty"),
        ({"encoded_token": "!!", "otp": "x"}, "error decoding base64'd token"),
        ({"encoded_token": "é", "otp": "x"}, "error decoding base64'd token"),
        (
            {"encoded_token": "QUJD", "otp": "x"},
            "error xoring token: length of byte slices is not equivalent: 3 != 1",
        ),
        ({"encoded_token": "QUJD", "otp": "éa"}, "the one-time password does not fit this token"),
    ],
)
def test_a_token_that_cannot_be_decoded_is_told(server, body, text):
    """400, and nothing of what was sent."""
    status, found = server.call("PUT", "sys/decode-token", body)
    assert (status, found["errors"]) == (400, [text])


CLOSED = [
    ("GET", "sys/rekey/init"), ("PUT", "sys/rekey/init"), ("DELETE", "sys/rekey/init"), ("PUT", "sys/rekey/update"),
    ("GET", "sys/rekey/verify"), ("PUT", "sys/rekey/verify"), ("DELETE", "sys/rekey/verify"),
    ("GET", "sys/rekey-recovery-key/init"), ("GET", "sys/rekey/backup"), ("DELETE", "sys/rekey/backup"),
    ("GET", "sys/generate-root/attempt"), ("PUT", "sys/generate-root/attempt"), ("DELETE", "sys/generate-root/attempt"), ("PUT", "sys/generate-root/update"),
    ("GET", "sys/rotate/root/init"), ("POST", "sys/rotate/root/update"), ("DELETE", "sys/rotate/root/verify"), ("POST", "sys/rotate/root"),
    ("GET", "sys/generate-root-token/attempt"), ("PUT", "sys/generate-root-token/update"),
    ("PUT", "sys/rotate"), ("PUT", "sys/rotate/config"), ("PUT", "sys/seal"), ("GET", "sys/storage/snapshot"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_without_sudo_none_of_it_is_open(server, method, path):
    """Neither to strangers nor to a token that has every right but sudo."""
    server.ok(
        "PUT",
        "sys/policies/acl/plain",
        {"policy": 'path "sys/*" { capabilities = ["create", "read", "update", "delete"] }'},
    )
    plain = server.call("POST", "auth/token/create", {"policies": ["plain"]})[1]["auth"]["client_token"]
    body = None if method in ("GET", "DELETE") else {}
    for token in ("", "nobody", plain):
        assert server.call(method, path, body, token=token)[0] == 403
    assert not server.ok("GET", "sys/seal-status")["sealed"]


def test_opened_to_shares_it_needs_no_token_but_the_nonce():
    """A stranger sees that there is an attempt, not its nonce, and cannot cancel or restart it without."""
    server = Server(open_to_shares=["rekey", "generate-root"]).open()
    begun = server.ok(
        "PUT",
        "sys/rekey/init",
        {"secret_shares": 1, "secret_threshold": 1, "require_verification": True},
        token="",
    )
    seen = server.ok("GET", "sys/rekey/init", token="")
    assert (seen["started"], seen["nonce"], begun["nonce"] != "") == (True, "", True)
    status, body = server.call("DELETE", "sys/rekey/init", token="")
    assert (status, begun["nonce"] in body["errors"][0]) == (400, False)
    for key in server.keys[:2]:
        answer = server.ok("PUT", "sys/rekey/update", {"key": key, "nonce": begun["nonce"]}, token="")
    assert server.ok("GET", "sys/rekey/init", token="")["verification_nonce"] == ""
    assert server.ok("GET", "sys/rekey/verify", token="")["nonce"] == ""
    assert server.call("DELETE", "sys/rekey/verify", token="")[0] == 400
    server.ok("DELETE", "sys/rekey/verify", token="", query=f"nonce={answer['verification_nonce']}")
    server.ok("DELETE", "sys/rekey/init", token="", query=f"nonce={begun['nonce']}")
    begun = server.ok("PUT", "sys/generate-root/attempt", {}, token="")
    assert server.ok("GET", "sys/generate-root/attempt", token="")["nonce"] == ""
    assert server.call("DELETE", "sys/generate-root/attempt", token="")[0] == 400
    server.ok("DELETE", "sys/generate-root/attempt", token="", query=f"nonce={begun['nonce']}")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "sys/rekey/init", {"secret_shares": 1, "secret_threshold": 1, "pgp_keys": ["x"]}),
        (
            "POST",
            "sys/rotate/root/init",
            {"secret_shares": 1, "secret_threshold": 1, "pgp_keys": "keybase:ada"},
        ),
        ("PUT", "sys/generate-root/attempt", {"pgp_key": "x"}),
        ("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1, "root_token_pgp_key": "x"}),
        ("PUT", "sys/init", {"recovery_shares": 1, "recovery_threshold": 1, "recovery_pgp_keys": ["x"]}),
    ],
)
def test_pgp_is_refused_in_so_many_words(server, method, path, body):
    """A share that was to leave encrypted never leaves in the clear instead."""
    status, found = server.call(method, path, body)
    assert (status, found["errors"]) == (400, ["PGP encryption of keys and root tokens is not available"])


@pytest.mark.parametrize(
    ("method", "path", "body", "text"),
    [
        ("PUT", "sys/unseal", {}, "'key' must be specified in request body as JSON, or 'reset' set to true"),
        ("PUT", "sys/unseal", {"key": "ab" * 32, "migrate": True}, "can't perform a seal migration, no migration seal found"),
        ("PUT", "sys/rekey/init", {"secret_shares": 3, "secret_threshold": 2, "backup": True}, "cannot request a backup of the new keys without providing PGP keys for encryption"),
        ("PUT", "sys/rekey/update", {"nonce": "x"}, "'key' must be specified in request body as JSON"),
        ("PUT", "sys/rekey/verify", {"nonce": "x"}, "'key' must be specified in request body as JSON"),
        ("PUT", "sys/generate-root/update", {"nonce": "x"}, "'key' must be specified in request body as JSON"),
        ("GET", "sys/rekey/backup", None, "no backed-up keys found"),
        ("GET", "sys/rotate/root/backup", None, "no backed-up keys found"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_400(server, method, path, body, text):
    """With OpenBao's texts."""
    status, found = server.call(method, path, body)
    assert (status, found["errors"]) == (400, [text])


def test_what_is_missing_from_this_server_says_so(server):
    """The root key does not change without shares; there is no backup to delete; a single node does not step down."""
    assert server.call("POST", "sys/rotate/root", {})[0] == 405
    assert server.call("DELETE", "sys/rekey/backup")[0] == 204
    assert server.call("PUT", "sys/step-down")[0] == 204


# ── the encryption key ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["sys/rotate", "sys/rotate/keyring"])
def test_rotate_makes_a_new_term(server, path):
    """204, and the status tells the new term in the envelope and beside it."""
    assert server.call("PUT", path)[0] == 204
    status, body = server.call("GET", "sys/key-status")
    assert (status, body["term"], body["data"]["term"]) == (200, 2, 2)


@pytest.mark.parametrize("path", ["sys/rotate/config", "sys/rotate/keyring/config"])
def test_the_rotation_can_be_set(server, path):
    """What is left out stays; what is out of bounds is refused."""
    assert server.ok("GET", path) == {"enabled": True, "interval": "2160h0m0s", "max_operations": 2**31}
    server.ok("PUT", path, {"interval": "48h"})
    server.ok("PUT", path, {"enabled": False, "max_operations": 3_865_470_566})
    assert server.ok("GET", path) == {
        "enabled": False,
        "interval": "48h0m0s",
        "max_operations": 3_865_470_566,
    }
    server.ok("PUT", path, {"interval": 0})
    assert server.ok("GET", path)["interval"] == 0
    assert server.call("PUT", path, {"interval": "2h"})[1]["errors"] == [
        "interval must be greater or equal to 24h0m0s"
    ]
    for wrong in (0, 999, 2**40):
        assert server.call("PUT", path, {"max_operations": wrong})[0] == 400
