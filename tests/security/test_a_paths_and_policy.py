"""A. Paths and policy: what an HTTP server, a policy and a store could each read differently."""

import json

import pytest
from tests.security.serving import head, statuses, talk

TEAM_A = 'path "secret/data/team-a/*" { capabilities = ["create", "read", "update", "delete"] }'


def token_with(store, name, policy, **more):
    assert store.ask("PUT", f"sys/policies/acl/{name}", {"policy": policy}).status == 204
    made = store.ask("POST", "auth/token/create", {"policies": [name], **more})
    return made.json["auth"]["client_token"]


@pytest.fixture(scope="module")
def team(store):
    """A token for team-a only; there is a secret of team-b's."""
    assert store.ask("POST", "secret/data/team-b/x", {"data": {"v": "b"}}).status == 200
    assert store.ask("POST", "secret/data/team-a/x", {"data": {"v": "a"}}).status == 200
    return token_with(store, "team-a", TEAM_A)


DODGES = [
    "team-a/%2e%2e/team-b/x",
    "team-a/..%2fteam-b/x",
    "team-a/%2E%2E/team-b/x",
    "team-a/%2E%2E%2Fteam-b/x",
    "team-a/.%2e/team-b/x",
    "team-a/../team-b/x",
    "team-a/./x",
    "team-a//x",
    "team-a/x%2fy",
    "team-a/x%2Fy",
    "team-a/x/",
    "team-a/%ff",
    "team-a/%fe",
    "team-a/%c0%ae%c0%ae/team-b/x",
    "team-a/%zz",
    "team-a/%",
    "team-a/%2",
    "team-a/a%00b",
    "team-a/a%0ab",
    "team-a/a%e2%80%8bb",
    "team-a/cafe%cc%81",
    "team-a/%ef%bf%bd",
]


@pytest.mark.parametrize("path", DODGES)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_1_2_3_5_a_path_that_could_be_read_in_two_ways_is_refused(store, team, path, method):
    """Checks 1, 2, 3, 5: 400 without a redirect, nothing read, nothing written, and the log has the refusal."""
    before = store.audit_log.read_bytes().count(b"\n")
    body = b'{"data": {"v": "dodged"}}' if method == "POST" else b""
    received = talk(
        store.url, head(method, f"/v1/secret/data/{path}", f"Content-Length: {len(body)}", token=team), body
    )
    assert statuses(received) == [400]
    assert b"location:" not in received.lower()
    assert b"team-b" not in received
    lines = store.audit_log.read_bytes().splitlines()[before:]
    assert [json.loads(line)["type"] for line in lines] == ["request", "response"]
    assert all(json.loads(line)["error"] for line in lines)
    assert store.ask("GET", "secret/data/team-b/x").data["data"] == {"v": "b"}


def test_2_a_list_may_end_in_a_slash(store):
    """Check 2: a LIST says "folder" either way, and in the query, too."""
    for method, path in (
        ("LIST", "secret/metadata/team-a"),
        ("LIST", "secret/metadata/team-a/"),
        ("GET", "secret/metadata/team-a/?list=true"),
        ("GET", "secret/metadata/team-a?list=true"),
    ):
        assert store.ask(method, path).data["keys"] == ["x"]


def test_5_an_escape_is_decoded_once(store, team):
    """Check 5: `%252e%252e` is a segment of six plain characters, allowed as such and stored as such."""
    path = "secret/data/team-a/%252e%252e/x"
    assert store.ask("POST", path, {"data": {"v": "plain"}}, token=team).status == 200
    assert store.ask("GET", path, token=team).data["data"] == {"v": "plain"}
    assert "%2e%2e/" in store.ask("LIST", "secret/metadata/team-a").data["keys"]


@pytest.mark.parametrize(
    "target",
    [
        "http://elsewhere/v1/secret/data/team-b/x",
        "//v1/secret/data/team-b/x",
        "/v1//secret/data/team-b/x",
        "/V1/secret/data/team-b/x",
        "/v1/../v1/secret/data/team-b/x",
    ],
)
def test_1_other_forms_of_a_target_give_no_other_rights(store, team, target):
    """Check 1: the absolute form and doubled slashes come to a refusal, too."""
    (status,) = statuses(talk(store.url, head("GET", target, token=team)))
    assert status in (400, 403, 404)


SPELLED = {
    "auth/userpass/users/alice": ("GET", "POST", "DELETE"),
    "auth/approle/role/alice": ("GET", "POST", "DELETE"),
    "sys/policies/acl/alice": ("GET", "POST", "DELETE"),
    "sys/policy/alice": ("GET", "POST", "DELETE"),
    "sys/quotas/rate-limit/alice": ("GET", "POST", "DELETE"),
    "sys/config/auditing/request-headers/alice": ("GET", "POST", "DELETE"),
}


@pytest.mark.parametrize("path", SPELLED)
def test_6_a_deny_holds_for_every_spelling(store, path):
    """Check 6: what is denied for `alice` is denied for `ALICE` and `Alice`, with every verb."""
    folder = path.rpartition("/")[0]
    policy = f'path "{folder}/*" {{ capabilities = ["create","read","update","delete","sudo"] }}\npath "{path}" {{ capabilities = ["deny"] }}'
    token = token_with(store, "spelling", policy)
    body = {"password": "fake-password", "policy": TEAM_A, "rate": 1000, "hmac": True}
    for spelling in ("alice", "ALICE", "Alice", "aLiCe"):
        for method in SPELLED[path]:
            status = store.ask(
                method, f"{folder}/{spelling}", body if method == "POST" else None, token=token
            ).status
            assert status in (400, 403), (method, spelling)
    assert store.ask("GET", path).status in (400, 404)


def test_6_names_of_token_roles_have_a_case(store):
    """Check 6: where upper and lower case are two names, they are two things: a deny of one says nothing of the other."""
    store.ask("POST", "auth/token/roles/case", {"allowed_policies": "default"})
    assert store.ask("GET", "auth/token/roles/CASE").status == 404


def test_8_a_deny_below_holds_for_the_list(store):
    """Check 8: deny `metadata/r/*`, allow lists of `metadata/*`: no way of listing `r` gets through."""
    store.ask("POST", "secret/data/r/hidden", {"data": {"v": "1"}})
    token = token_with(
        store,
        "lister",
        'path "secret/metadata/r/*" { capabilities = ["deny"] }\npath "secret/metadata/*" { capabilities = ["list", "read"] }',
    )
    for method, path in (
        ("LIST", "r"),
        ("LIST", "r/"),
        ("GET", "r?list=true"),
        ("GET", "r/?list=true"),
        ("GET", "r?list=1"),
        ("SCAN", "r"),
        ("GET", "r?scan=true"),
    ):
        answer = store.ask(method, f"secret/metadata/{path}", token=token)
        assert answer.status == 403, (method, path)
    assert store.ask("LIST", "secret/metadata/team-a", token=token).status == 200


ROOTS = ["root", "ROOT", " root ", "Root\t", "ro\u200bot", "\uff52\uff4f\uff4f\uff54", "root\x00", "rοοt"]


@pytest.mark.parametrize("name", ROOTS)
def test_9_no_spelling_of_root_is_given_to_anybody(store, name):
    """Check 9: refused when it is written, for users, roles, token roles and policies; a child of a plain token never has it."""
    sudo = token_with(store, "makers", 'path "auth/token/*" { capabilities = ["create","update","sudo"] }')
    assert (
        store.ask("POST", "auth/userpass/users/eve", {"password": "fake", "token_policies": [name]}).status
        == 400
    )
    assert store.ask("POST", "auth/approle/role/eve", {"token_policies": [name]}).status == 400
    assert store.ask("POST", "auth/token/create", {"policies": [name]}, token=sudo).status == 400
    assert store.ask("POST", "auth/token/create-orphan", {"policies": [name]}, token=sudo).status in (
        400,
        403,
    )
    if name != "root":
        assert store.ask("POST", "auth/token/create", {"policies": [name]}).status == 400 or name == "ROOT"
    assert store.ask("GET", "auth/userpass/users/eve").status == 404
    assert store.ask("GET", "auth/approle/role/eve").status == 404


def test_15_a_policy_counts_from_the_next_request(store):
    """Check 15: edited, deleted, written anew, each is in force at once."""
    token = token_with(store, "changing", TEAM_A)
    read = lambda: store.ask("GET", "secret/data/team-a/x", token=token).status
    assert read() == 200
    store.ask("PUT", "sys/policies/acl/changing", {"policy": TEAM_A.replace("team-a", "team-c")})
    assert read() == 403
    store.ask("PUT", "sys/policies/acl/changing", {"policy": TEAM_A})
    assert read() == 200
    store.ask("DELETE", "sys/policies/acl/changing")
    assert read() == 403


def test_16_capabilities_are_what_is_enforced(store, team):
    """Check 16: what `capabilities-self` says of a path is what a request for it gets."""
    paths = [
        "secret/data/team-a/x",
        "secret/data/team-b/x",
        "secret/metadata/team-a",
        "sys/policies/acl",
        "auth/token/lookup-self",
    ]
    told = store.ask("POST", "sys/capabilities-self", {"paths": paths}, token=team).data
    for path in paths:
        may = "read" in told[path]
        assert (store.ask("GET", path, token=team).status != 403) == may, path


@pytest.mark.parametrize(
    "limit", ["0", "-1", "1000000000", "%EF%BC%91", "1_000", "1e9", "0x10", "+1", "", "true"]
)
def test_17_a_limit_is_a_number_or_refused_and_removes_no_rule(store, team, limit):
    """Check 17: odd limits are 400 or harmless for who may list, and 403 for who may not."""
    assert store.ask("GET", f"secret/metadata/team-a?list=true&limit={limit}", token=team).status == 403
    assert store.ask("GET", f"secret/metadata/team-a?list=true&limit={limit}").status in (200, 400)


@pytest.mark.parametrize("namespace", ["other", "root/other", "../root", "ROOT", " ", "%72oot"])
def test_18_a_namespace_that_is_not_there_is_refused(store, namespace):
    """Check 18: no namespace but the root one, whatever the header's spelling; two headers are refused."""
    expected = (200,) if not namespace.strip() else (400, 403, 404)
    assert store.ask("GET", "sys/mounts", headers={"X-Vault-Namespace": namespace}).status in expected
    twice = head(
        "GET", "/v1/sys/mounts", "X-Vault-Namespace: root", "X-Vault-Namespace: root", token=store.token
    )
    assert statuses(talk(store.url, twice)) == [400]


def test_20_wildcards_in_a_request_are_plain_characters(store, team):
    """Check 20: `*` and `+` in a path name secrets called so, and open nothing else."""
    assert store.ask("GET", "secret/data/*", token=team).status == 403
    assert store.ask("GET", "secret/data/+/x", token=team).status == 403
    assert store.ask("GET", "secret/data/team-a/*", token=team).status == 404
    assert store.ask("POST", "secret/data/team-a/*", {"data": {"v": "star"}}, token=team).status == 200
    assert store.ask("GET", "secret/data/team-a/x", token=team).data["data"] == {"v": "a"}
