"""B. Tokens, against a real process. What needs a clock to turn, or thousands of tokens, is in tests/unit (registry, auth)."""

import base64
import sqlite3
import subprocess
from collections import Counter

import pytest
from tests.security.serving import head, many, statuses, stored, talk

from ml_secrets.testing.programs import own_command

LOOKUP = "/v1/auth/token/lookup-self"


def new_token(store, **fields):
    return store.ask("POST", "auth/token/create", {"policies": ["default"], **fields}).json["auth"]


def spellings(text):
    """A text as a file could hold it."""
    raw = text.encode()
    return {raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"="), raw[::-1], raw[6:]}


def test_21_neither_files_nor_backups_hold_tokens(tmp_path):
    """Check 21: a hundred live tokens and accessors are in none of database, WAL, index and backup, in no spelling."""
    with stored(tmp_path / "store") as store:
        made = [new_token(store) for _ in range(100)]
        backup = store.ask("GET", "sys/storage/raft/snapshot")
        files = [path for path in store.folder.rglob("*") if path.is_file() and path != store.audit_log]
        contents = [path.read_bytes() for path in files] + [backup.body]
        assert any(path.name.endswith("-wal") for path in files)
        for auth in made:
            for secret in (auth["client_token"], auth["accessor"]):
                for spelling in spellings(secret):
                    assert not any(spelling in content for content in contents)
        assert store.token.encode() not in b"".join(contents)


def test_21_a_stored_name_of_a_token_is_no_token(tmp_path):
    """Check 21: what a thief finds in the rows (hashes in hex) opens nothing."""
    with stored(tmp_path / "store") as store:
        token = new_token(store)["client_token"]
        store.stop()
        (database,) = (path for path in store.path.iterdir() if path.suffix in (".db", ".sqlite", ".sqlite3"))
        with sqlite3.connect(database) as connection:
            (table,) = connection.execute("select name from sqlite_master where type = 'table'").fetchall()[0]
            names = [row[0] for row in connection.execute(f'select * from "{table}"')]
        connection.close()
        texts = [name if isinstance(name, str) else bytes(name).decode("latin-1") for name in names]
        keys = {text.rsplit("/", 1)[-1] for text in texts if "token/id" in text}
        assert keys
        store.start()
        assert store.ask("GET", "auth/token/lookup-self", token=token).status == 200
        for key in keys:
            assert store.ask("GET", "auth/token/lookup-self", token=key).status == 403


def test_22_uses_are_exact(store):
    """Check 22: of sixty requests at once with a token of five uses, five are served."""
    token = new_token(store, num_uses=5)["client_token"]
    answers = many(60, lambda _: store.ask("GET", "auth/token/lookup-self", token=token).status)
    assert Counter(answers) == {200: 5, 403: 55}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (("X-Vault-Token: {0}", "X-Vault-Token: {0}"), 400),
        (("X-Vault-Token: {0}", "X-Vault-Token: other"), 400),
        (("X-Vault-Token: {0}", "x-vault-token:"), 400),
        (("X-Vault-Token: {0}", "Authorization: Bearer other"), 400),
        (("Authorization: Bearer {0}", "Authorization: Bearer {0}"), 400),
        (("X-Vault-Token: {0}", "Authorization: Bearer {0}"), 200),
        (("Authorization: bearer   {0}",), 200),
        (("Authorization: Basic {0}",), 403),
        (("X-Vault-Token:",), 403),
        (("Cookie: X-Vault-Token={0}",), 403),
    ],
)
def test_26_a_token_is_named_once(store, headers, expected):
    """Check 26: two token headers, or a token beside another bearer, are refused: no proxy and we can differ on them."""
    lines = [line.format(store.token) for line in headers]
    assert statuses(talk(store.url, head("GET", LOOKUP, *lines, token=None))) == [expected]


def test_26_a_token_in_the_query_or_the_body_is_none(store):
    """Check 26: tokens come in headers only, where no log of addresses has them."""
    assert store.ask("GET", f"auth/token/lookup-self?token={store.token}", token=None).status == 403
    body = {"client_token": store.token, "X-Vault-Token": store.token}
    assert store.ask("POST", "auth/token/create", body, token=None).status == 403


@pytest.mark.parametrize(
    "token",
    [
        "\xff\xfe",
        "\u00e4",
        "a" * 9216,
        "a b",
        "\x7f",
        "%00",
        "mls_s_",
        "mls_b_",
        "mls_b_AAAA",
        "mls_b_\xff",
        "..",
        "{{x}}",
        "hvs.x",
        "s.x",
        "x" * 32000,
    ],
)
def test_27_odd_tokens_are_unknown_tokens(store, token):
    """Check 27: 400 or 403, never a fault."""
    for path in (LOOKUP, "/v1/sys/wrapping/lookup", "/v1/secret/data/x"):
        received = talk(store.url, head("GET", path, f"X-Vault-Token: {token}", token=None))
        assert statuses(received)[0] in (400, 403, 431), received


@pytest.mark.parametrize(
    "token",
    [
        "\u00e4",
        "\ud800",
        "\u0000",
        "a" * 9216,
        "",
        " ",
        "\uff52oot",
        7,
        True,
        ["x"],
        {"a": "b"},
        10**400,
    ],
)
def test_27_odd_tokens_in_bodies(store, token):
    """Check 27: the same for tokens, accessors and leases that come in a body."""
    for path, field in (
        ("auth/token/lookup", "token"),
        ("auth/token/lookup-accessor", "accessor"),
        ("auth/token/renew", "token"),
        ("auth/token/revoke", "token"),
        ("auth/token/revoke-accessor", "accessor"),
        ("sys/leases/lookup", "lease_id"),
        ("sys/leases/revoke", "lease_id"),
        ("sys/wrapping/lookup", "token"),
        ("sys/wrapping/unwrap", "token"),
        ("sys/capabilities", "token"),
    ):
        probe = new_token(store, policies=["root"])["client_token"]
        answer = store.ask("POST", path, {field: token, "paths": ["x"]}, token=probe)
        assert answer.status in (200, 204, 400, 403, 404), (path, answer.body)


def test_28_a_batch_token_ends_with_its_parent(store):
    """Check 28: at once, and revoking it directly is a clear refusal."""
    parent = new_token(store, policies=["root"])["client_token"]
    child = store.ask("POST", "auth/token/create", {"type": "batch", "policies": ["default"]}, token=parent)
    batch = child.json["auth"]["client_token"]
    assert store.ask("GET", "auth/token/lookup-self", token=batch).status == 200
    refused = store.ask("POST", "auth/token/revoke", {"token": batch})
    assert refused.status == 400
    assert "batch tokens cannot be revoked" in refused.errors[0]
    assert store.ask("POST", "auth/token/revoke", {"token": parent}).status == 204
    assert store.ask("GET", "auth/token/lookup-self", token=batch).status == 403


def test_23_a_family_revoked_just_before_a_kill_stays_revoked(tmp_path):
    """Check 23: the parent of 300 is revoked and the server killed at once: after the restart none works."""
    with stored(tmp_path / "store") as store:
        parent = new_token(store, policies=["root"], ttl="1h")["client_token"]
        made = many(
            20,
            lambda _: [
                store.ask("POST", "auth/token/create", {"policies": ["default"]}, token=parent).json["auth"][
                    "client_token"
                ]
                for _ in range(15)
            ],
        )
        children = [token for some in made for token in some]
        assert store.ask("POST", "auth/token/revoke", {"token": parent}).status == 204
        store.kill()
        store.start()
        for token in [parent, *children]:
            assert store.ask("GET", "auth/token/lookup-self", token=token).status == 403


def test_31_a_child_never_has_more_than_its_parent(store):
    """Check 31: policies outside the parent's, root, and sudo's ways are refused over the wire."""
    store.ask(
        "PUT", "sys/policies/acl/maker", {"policy": 'path "auth/token/create*" { capabilities = ["update"] }'}
    )
    maker = new_token(store, policies=["maker"])["client_token"]
    store.ask("POST", "auth/token/roles/wide", {"allowed_policies_glob": ["*"]})
    for path, body in (
        ("create", {"policies": ["root"]}),
        ("create", {"policies": ["other"]}),
        ("create", {"no_parent": True}),
        ("create", {"period": "1h"}),
        ("create", {"id": "chosen"}),
        ("create-orphan", {"policies": ["root"]}),
        ("create-orphan", {"policies": ["other"]}),
        ("create/wide", {"policies": ["root"]}),
        ("create/wide", {"policies": ["ROOT"]}),
    ):
        assert store.ask("POST", f"auth/token/{path}", body, token=maker).status in (400, 403), body


def test_21_commands_do_not_take_tokens_as_arguments(store):
    """A token on the command line would be in every process list: there is no such option."""
    help_ = subprocess.run(
        [*own_command(), "login", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert "--token " not in help_
