"""Policies against a real OpenBao: the same text accepted or refused, the same rights, the same refusals.

Where we differ on purpose, the difference stands here, so that it cannot grow unseen.
"""

import random

import httpx
import msgspec
import pytest

from ml_secrets.domain.acl import Acl, Reason
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.policy import parse_policy
from ml_secrets.errors import Invalid

C = Capability
RIGHTS = [C.CREATE, C.READ, C.UPDATE, C.DELETE, C.LIST, C.PATCH, C.SUDO, C.SCAN]
FOLDER = {C.LIST, C.SCAN}
SEGMENTS = ["a", "b", "ab", "abc", "+", "b+", "+b", "c*d"]
REQUESTED = ["a", "b", "ab", "abc", "+", "b+", "+b", "c*d", "d"]


@pytest.fixture(scope="module")
def bao(openbao):
    """A client with the root token; a KV version 1 mount at `k/`."""
    with httpx.Client(
        base_url=f"{openbao.url}/v1/", headers={"X-Vault-Token": openbao.token}, trust_env=False
    ) as client:
        client.post("sys/mounts/k", json={"type": "kv"}).raise_for_status()
        yield client


def token_with(bao, texts):
    """A token that has exactly these policies."""
    for at, text in enumerate(texts):
        assert bao.put(f"sys/policies/acl/c{at}", json={"policy": text}).status_code == 204, text
    names = [f"c{at}" for at in range(len(texts))]
    made = bao.post("auth/token/create", json={"policies": names, "no_default_policy": True})
    return made.json()["auth"]["client_token"]


def rule(pattern, names, extra=""):
    quoted = ", ".join(f'"{name}"' for name in names)
    return f'path "{pattern}" {{ capabilities = [{quoted}] {extra} }}\n'


def random_text(rng):
    rows = []
    for _ in range(rng.randint(1, 7)):
        parts = [rng.choice(SEGMENTS) for _ in range(rng.randint(1, 4))]
        pattern = ("/".join(parts) + rng.choice(["", "", "", "/", "/*", "*"])).replace("+*", "+/*")
        rows.append(rule(pattern, ["deny"] if rng.random() < 0.2 else rng.sample(RIGHTS, rng.randint(0, 4))))
    return "".join(rows)


def stricter_by_design(acl, path, theirs, ours):
    """An exact rule lists a folder whose content a rule of its own forbids: refused here, allowed there."""
    return (
        theirs > ours
        and theirs - ours <= FOLDER
        and all(acl.check(path, right).reason is Reason.DENIED for right in theirs - ours)
        and any(rule.pattern == path for rule in acl.rules)
    )


def compare_rights(bao, sets, seed):
    """How many (policies, path, right) were compared, and how many of them differ on purpose."""
    rng, compared, stricter = random.Random(seed), 0, 0
    for _ in range(sets):
        texts = [random_text(rng) for _ in range(rng.randint(1, 3))]
        acl = Acl.compile([parse_policy(f"c{at}", text) for at, text in enumerate(texts)])
        paths = ["/".join(rng.choice(REQUESTED) for _ in range(rng.randint(1, 4))) for _ in range(12)]
        asked = {"token": token_with(bao, texts), "paths": [*paths, *(path + "/" for path in paths)]}
        answer = bao.post("sys/capabilities", json=asked).json()["data"]
        for path in paths:
            theirs = {*answer[path]} - FOLDER | ({*answer[path + "/"]} & FOLDER)
            theirs, ours = theirs - {"deny"}, {*acl.capabilities(path)} - {"deny"}
            if theirs != ours:
                assert stricter_by_design(acl, path, theirs, ours), (texts, path, theirs, ours)
                stricter += 1
            compared += len(RIGHTS)
    return compared, stricter


def test_random_rights_are_the_same(bao):
    """Check 13: some thousand (policies, path, right), `list` and `scan` compared as the folder's."""
    compared, stricter = compare_rights(bao, 50, seed=7)
    assert compared >= 4_000
    assert stricter < compared / 100


@pytest.mark.long
def test_many_random_rights_are_the_same(bao):
    """As above, ten times as many."""
    compared, stricter = compare_rights(bao, 500, seed=77)
    assert stricter < compared / 100


R = ["create", "update", "read", "list", "delete", "patch"]
REQUESTS = [
    # rules on k/w, fields, allowed there, allowed here
    (['allowed_parameters = { a = [true, "x*", "*y", "*z*", "q"] }'], {"a": True}, True, True),
    (['allowed_parameters = { a = [true, "x*", "*y", "*z*", "q"] }'], {"a": "xb"}, True, True),
    (['allowed_parameters = { a = [true, "x*", "*y", "*z*", "q"] }'], {"a": "by"}, True, True),
    (['allowed_parameters = { a = [true, "x*", "*y", "*z*", "q"] }'], {"a": "azb"}, True, True),
    (['allowed_parameters = { a = [true, "x*", "*y", "*z*", "q"] }'], {"A": "q"}, True, True),
    (['allowed_parameters = { a = ["q"] }'], {"a": "Q"}, False, False),
    (['allowed_parameters = { a = ["q"] }'], {"a": ["q"]}, False, False),
    (['allowed_parameters = { a = ["q"] }'], {"a": None}, False, False),
    (['allowed_parameters = { a = ["q"] }'], {"b": 1}, False, False),
    (['allowed_parameters = { a = ["*"] }'], {"a": "1"}, False, False),
    (["allowed_parameters = {}"], {"a": 1}, True, True),
    (['allowed_parameters = { "*" = [] "z" = ["1"] }'], {"a": 1}, True, True),
    (['allowed_parameters = { "*" = [] "z" = ["1"] }'], {"z": "2"}, False, False),
    (['allowed_parameters = { "*" = ["x"] }'], {"a": 1}, True, True),
    (['denied_parameters = { a = ["x*", "q"] }'], {"a": "xb"}, False, False),
    (['denied_parameters = { a = ["x*", "q"] }'], {"A": "q"}, False, False),
    (['denied_parameters = { a = ["x*", "q"] }'], {"a": "Q"}, True, True),
    (["denied_parameters = { a = [] }"], {"a": 1}, False, False),
    (["denied_parameters = { a = [] }"], {"b": 1}, True, True),
    (['denied_parameters = { "*" = [] }'], {"b": 1}, False, False),
    (['denied_parameters = { "*" = ["x"] }'], {"b": 1}, False, False),
    (['required_parameters = ["a", "B"]'], {"a": 1}, False, False),
    (['required_parameters = ["a", "B"]'], {"a": 1, "b": 1}, True, True),
    (['denied_parameters = { a = ["1"] } allowed_parameters = { a = ["1", "2"] }'], {"a": "1"}, False, False),
    (['denied_parameters = { a = ["1"] } allowed_parameters = { a = ["1", "2"] }'], {"a": "2"}, True, True),
    (['allowed_parameters = { a = ["1"] }', ""], {"b": "2"}, False, False),
    (['allowed_parameters = { a = ["1"] }', 'allowed_parameters = { a = ["2"], b = [] }'], {"a": "1", "b": "9"}, True, True),
    (['allowed_parameters = { a = ["1"] }', 'allowed_parameters = { a = ["2"], b = [] }'], {"a": "3"}, False, False),
    (['allowed_parameters = { a = ["1"] }', "allowed_parameters = { a = [] }"], {"a": "3"}, True, True),
    (['denied_parameters = { a = ["1"] }', "denied_parameters = { a = [] }"], {"a": "3"}, False, False),
    (['required_parameters = ["a"]', 'required_parameters = ["b"]'], {"a": "1"}, False, False),
    # On purpose: a number in a policy means that number, and a denied value is denied in all its spellings.
    (["allowed_parameters = { a = [1] }"], {"a": 1}, False, True),
    (["denied_parameters = { a = [1] }"], {"a": 1}, True, False),
    (['denied_parameters = { a = ["root"] }'], {"a": ["root"]}, True, False),
    (['denied_parameters = { a = ["root"] }'], {"a": "x, root"}, True, False),
    (['denied_parameters = { a = ["*"] }'], {"a": "1"}, True, False),
]  # fmt: skip


@pytest.mark.parametrize(("extras", "fields", "there", "here"), REQUESTS)
def test_parameters_allow_the_same_writes(bao, extras, fields, there, here):
    """Real writes there, the same decision here, but for the named differences."""
    texts = [rule("k/w", R, extra) for extra in extras]
    answer = bao.post("k/w", json=fields, headers={"X-Vault-Token": token_with(bao, texts)})
    assert (answer.status_code == 204) is there
    acl = Acl.compile([parse_policy("c", text) for text in texts])
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    assert acl.check("k/w", C.UPDATE, fields=raw).allowed is here


@pytest.mark.parametrize(
    "extras",
    [
        ["min_wrapping_ttl = 60 max_wrapping_ttl = 120"],
        ["min_wrapping_ttl = 60"],
        ["max_wrapping_ttl = 60"],
        ["min_wrapping_ttl = 60", "min_wrapping_ttl = 30"],
        ["max_wrapping_ttl = 60", "max_wrapping_ttl = 30"],
        ["max_wrapping_ttl = 60", ""],
        ["max_wrapping_ttl = 60", "min_wrapping_ttl = 90"],
    ],
)
def test_wrapping_bounds_allow_the_same_reads(bao, extras):
    """No header, and TTLs around each bound."""
    bao.post("k/w", json={"v": "1"})
    texts = [rule("k/w", R, extra) for extra in extras]
    token, acl = token_with(bao, texts), Acl.compile([parse_policy("c", text) for text in texts])
    for ttl in (None, 29, 30, 31, 59, 60, 61, 90, 120, 121):
        headers = {"X-Vault-Token": token} | ({"X-Vault-Wrap-TTL": str(ttl)} if ttl else {})
        there = bao.get("k/w", headers=headers).status_code == 200
        assert acl.check("k/w", C.READ, wrap_ttl=ttl).allowed is there, ttl


REFUSED_BY_BOTH = [
    'path "x" {',
    'path "x" { capabilities=["read" "list"]}',
    'path = {"x" = {capabilities=["read"]}}',
    'path "x" { capabilities=["${var.a}"] }',
    'path "x" { capabilities= read }',
    'path "x" { capabilities = "read" }',
    'path "x" = {capabilities=["read"]}',
    "foo = 1",
    'path "x" { foo = 1 }',
    'path "x" { capabilities = ["bogus"] }',
    'path "x" { capabilities = ["READ"] }',
    'path "x" { capabilities = ["root"] }',
    'path "x" { capabilities = ["subscribe"] }',
    'path "x" { policy = "bogus" }',
    'path "+*" { capabilities = ["read"] }',
    'path "a/b+*" { capabilities = ["read"] }',
    'path "x" { min_wrapping_ttl = "2h" max_wrapping_ttl="1h" }',
    'path "x" { min_wrapping_ttl = "1w" }',
    'path "x" { allowed_parameters = { a = "1" } }',
    'path "x" { allowed_parameters = ["a"] }',
    'path "x" { required_parameters = "a" }',
    'path "x" { expiration = "24h" }',
    'path "{{identity.entity.id/x" { capabilities=["read"]}',
    'path "x}}" { capabilities=["read"]}',
    'Path "x" {}',
    "path 'x' {}",
    'path "x" {} }',
    '{"path":{"x":{"capabilities":"read"}}}',
    '{"path":{"x":{"foo":"read"}}}',
    '{"path":{"x":[{"capabilities":["read"]}]}}',
    '{"foo":1}',
    '{"path":"x"}',
    "[]",
]
ACCEPTED_BY_BOTH = [
    'path x { capabilities=["read"] }',
    'name = "p"\npath "x" { capabilities=["read"], policy="read" }',
    'path "x" { capabilities=["read"] policy="write" }',
    '"path" "x" { "capabilities" = ["read",] }',
    'path "a\\"b" { capabilities=["read"] }',
    'path "x" { allowed_parameters { a = ["1"] } }',
    'path "x" {capabilities=["read"]}, path "y" {capabilities=["read"]}',
    "  ",
    "# only a comment",
    "{}",
    'path "" { capabilities = ["read"] }',
    'path "x" {}',
    'path "a/*/b" { capabilities = ["read"] }',
    'path "a/+/b*" { capabilities = ["scan", "patch"] }',
    'path "x" { min_wrapping_ttl = "1d" max_wrapping_ttl = "" }',
    'path "x" { min_wrapping_ttl = "1h" max_wrapping_ttl = "0" }',
    'path "x" { comment = "hi" expiration = "" capabilities=["list"] }',
    'path "{{bogus}}/x" { capabilities=["read"] }',
    '{"path":{"x":{"capabilities":["read"]},"x":{"capabilities":["list"]}}}',
    '{"path":[{"x":{"capabilities":["read"]}},{"y":{"policy":"read"}}]}',
    'path "x" { capabilities = ["read"] /* c */ } // d',
]
REFUSED_HERE_ALONE = [
    'path "x" "y" { capabilities=["read"] }',  # the second word would be lost
    'path { capabilities=["read"] }',  # no path at all
    'path "x" { capabilities = ["read"]\n capabilities=["list"] }',  # twice: which is meant?
    'path "x" { min_wrapping_ttl = "-2h" }',
    'path "x" { expiration = "2030-01-01T00:00:00Z" capabilities=["read"]}',  # not enforced here, so not accepted
    'path "x" { pagination_limit = 10 capabilities=["list"]}',
    'path "x" { mfa_methods = ["a"] capabilities=["list"]}',
    '{"path":{"x":{"capabilities":["read"]}}} junk',
    '{ "path": {"x": {"policy": "read"}}',
    'path "x" { allowed_parameters = { "A" = [] "a" = ["1"] } }',
    'path "a\\n" { capabilities=["read"] }',  # no request path has that character
]


@pytest.mark.parametrize(
    ("text", "there", "here"),
    [(text, False, False) for text in REFUSED_BY_BOTH]
    + [(text, True, True) for text in ACCEPTED_BY_BOTH]
    + [(text, True, False) for text in REFUSED_HERE_ALONE],
)
def test_the_same_policies_are_refused(bao, text, there, here):
    """Malformed text is refused by both; we refuse some more, each for a reason."""
    assert (bao.put("sys/policies/acl/shape", json={"policy": text}).status_code == 204) is there
    try:
        parse_policy("shape", text)
    except Invalid:
        assert not here
    else:
        assert here
