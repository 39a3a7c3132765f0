"""KV version 2: search by names, field names and custom metadata, and what nobody learns by it."""

import itertools
import json

import pytest
from msgspec.structs import replace

from ml_secrets.domain.version import Kind
from ml_secrets.engines.kv import pages, rows
from ml_secrets.testing.whole import Whole

SECRETS = {
    "team-a/db": ({"user": "u", "conn": {"Password": "needle", "n": [{"deep": 1}]}}, {"owner": "ada"}),
    "team-a/web": ({"token": "needle"}, {}),
    "team-b/db": ({"password": "x"}, {"owner": "bob", "stage": "prod"}),
    "needle-box": ({"x": 1}, {}),
    "plain": ({"y": 1}, {"note": "a needle in it"}),
}
SEARCH = 'path "secret/search*" { capabilities = ["read"] }\n'


@pytest.fixture(scope="module")
def server():
    """An open server with secrets, one of them with an older version that has other fields."""
    whole = Whole()
    whole.ask("POST", "secret/data/team-a/db", {"data": {"older": 1}})
    for path, (data, notes) in SECRETS.items():
        whole.ask("POST", f"secret/data/{path}", {"data": data})
        whole.ask("POST", f"secret/metadata/{path}", {"custom_metadata": notes})
    yield whole
    whole.close()


def search(server, query, folder="", token=None):
    """{path: places} of all pages."""
    found, cursor = {}, ""
    who = {} if token is None else {"token": token}
    for _ in range(100):
        answer = server.ask(
            "GET", f"secret/search{folder}?query={query}{cursor and f'&cursor={cursor}'}", **who
        )
        if answer.status == 404:
            return found
        assert answer.status == 200, answer
        assert answer.data["keys"] == list(answer.data["key_info"])
        found |= {path: info["matched"] for path, info in answer.data["key_info"].items()}
        cursor = answer.data.get("next", "")
        if not cursor:
            return found
    raise AssertionError("no end")


CASES = [
    ("db", "", {"team-a/db": ["name"], "team-b/db": ["name"]}),
    ("DB", "", {"team-a/db": ["name"], "team-b/db": ["name"]}),
    ("team-a", "", {"team-a/db": ["name"], "team-a/web": ["name"]}),
    ("*/db", "", {"team-a/db": ["name"], "team-b/db": ["name"]}),
    ("*/DB", "", {}),
    ("password", "", {"team-a/db": ["keys"], "team-b/db": ["keys"]}),
    ("conn.Password", "", {"team-a/db": ["keys"]}),
    ("password*", "", {"team-b/db": ["keys"]}),
    ("owner", "", {"team-a/db": ["metadata"], "team-b/db": ["metadata"]}),
    ("owner=ada", "", {"team-a/db": ["metadata"]}),
    ("needle", "", {"needle-box": ["name"], "plain": ["metadata"]}),
    ("needle", "/team-a", {}),
    ("db", "/team-a", {"team-a/db": ["name"]}),
    ("older", "", {}),
    ("deep", "", {}),
    ("zzz", "", {}),
    ("password&in=name", "", {}),
    ("o&in=metadata", "", {"team-a/db": ["metadata"], "team-b/db": ["metadata"], "plain": ["metadata"]}),
    ("a&in=name,metadata&limit=1", "", None),
]


@pytest.mark.parametrize(("query", "folder", "wanted"), CASES)
@pytest.mark.parametrize("looks", [20_000, 5])
def test_what_is_found(server, query, folder, wanted, looks, monkeypatch):
    """By part or pattern, in names, fields of the current version, and notes; a value never matches. In few pages or many."""
    monkeypatch.setattr(pages.Walk.__init__, "__kwdefaults__", {"depth": 0, "looks": looks})
    found = search(server, query, folder)
    if wanted is None:
        assert list(found) == ["plain", "team-a/db", "team-a/web", "team-b/db"]
    else:
        assert found == wanted


@pytest.mark.parametrize(
    "query", ["", "query=", "query=a&in=values", "query=a&in=", "query=a&cursor=x", "query=" + "a" * 600]
)
def test_a_search_that_makes_no_sense_is_refused(server, query):
    """As a bad request; `in=` alone is the same as nothing sent."""
    expected = 200 if query == "query=a&in=" else 400
    assert server.ask("GET", f"secret/search?{query}").status == expected


def test_an_empty_query_in_a_body_is_refused(server):
    """As one in the address."""
    assert server.ask("GET", "secret/search", {"query": ""}).status == 400


def test_bytes_of_another_dialect_have_the_fields_that_kv_shows(server):
    """An object by its own fields, other bytes by the one that stands for them."""
    for path, content in (("bytes/object", b'{"apikey":1}'), ("bytes/plain", b"apikey")):
        server.ask("POST", f"secret/data/{path}", {"data": {"apikey": 1}})
        with server.house.units.write() as unit:
            mount = server.house.mounts.table(unit).by_path["secret/"]
            store, opaque = server.house.store_of(unit, mount), server.house.opaque_of(unit, mount)
            secret = rows.find(store, path)
            version = replace(secret.versions[1], kind=Kind.BYTES)
            rows.keep(store, opaque, path, replace(secret, versions={1: version}), 1.0)
            opaque.put(f"v/{secret.uid}/1", content)
    assert search(server, "apikey", "/bytes") == {"bytes/object": ["keys"]}
    assert search(server, "value&in=keys", "/bytes") == {"bytes/plain": ["keys"]}
    for path in ("bytes/object", "bytes/plain"):
        server.ask("DELETE", f"secret/metadata/{path}")


def test_a_deleted_version_has_no_fields(server):
    """Its names stay, and its notes."""
    server.ask("POST", "secret/data/gone", {"data": {"lostfield": 1}})
    assert search(server, "lostfield") == {"gone": ["keys"]}
    server.ask("DELETE", "secret/data/gone")
    assert search(server, "lostfield") == {}
    assert search(server, "gone") == {"gone": ["name"]}
    server.ask("DELETE", "secret/metadata/gone")
    assert search(server, "gone") == {}


# ── rights ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_search_takes_a_right_of_its_own(server, as_user):
    """Who may read everything may not search; who may search below a folder may not search above it."""
    token = as_user('path "secret/data/*" { capabilities = ["read"] }')
    assert server.ask("GET", "secret/search?query=db", token=token).status == 403
    token = as_user(
        'path "secret/search/team-a" { capabilities = ["read"] }\npath "secret/data/*" { capabilities = ["read"] }',
    )
    assert search(server, "db", "/team-a", token) == {"team-a/db": ["name"]}
    assert server.ask("GET", "secret/search?query=db", token=token).status == 403


@pytest.mark.parametrize(
    ("rule", "query", "wanted"),
    [
        ("", "e", {}),
        (
            'path "secret/data/team-a/*" { capabilities = ["read"] }',
            "e",
            {"team-a/db": ["name", "metadata", "keys"], "team-a/web": ["name", "keys"]},
        ),
        (
            'path "secret/data/team-a/*" { capabilities = ["update"] }',
            "e",
            {"team-a/db": ["name"], "team-a/web": ["name"]},
        ),
        (
            'path "secret/metadata/team-a/*" { capabilities = ["read"] }',
            "e",
            {"team-a/db": ["name", "metadata"], "team-a/web": ["name"]},
        ),
        (
            'path "secret/subkeys/team-a/*" { capabilities = ["read"] }',
            "e",
            {"team-a/db": ["keys"], "team-a/web": ["keys"]},
        ),
        (
            'path "secret/metadata/team-a" { capabilities = ["list"] }',
            "e",
            {"team-a/db": ["name"], "team-a/web": ["name"]},
        ),
        ('path "secret/metadata" { capabilities = ["list"] }', "e", {"needle-box": ["name"]}),
        (
            'path "secret/metadata" { capabilities = ["scan"] }',
            "b",
            {"needle-box": ["name"], "team-a/db": ["name"], "team-a/web": ["name"], "team-b/db": ["name"]},
        ),
        (
            'path "secret/data/team-a/*" { capabilities = ["read"]\n min_wrapping_ttl = "1s" }',
            "e",
            {"team-a/db": ["name"], "team-a/web": ["name"]},
        ),
        (
            'path "secret/data/+/db" { capabilities = ["read"] }\npath "secret/data/team-b/*" { capabilities = ["deny"] }',
            "password",
            {"team-a/db": ["keys"]},
        ),
    ],
)
def test_only_what_the_caller_could_see_is_found(server, rule, query, wanted, as_user):
    """Names by the rights to use or to list, notes and fields by the right to read them."""
    assert search(server, query, token=as_user(SEARCH + rule)) == wanted


def test_where_lists_are_filtered_a_right_to_list_finds_nothing(filtered, as_user):
    """As it lists nothing."""
    wide = SEARCH + 'path "secret/metadata*" { capabilities = ["list", "scan"] }\n'
    assert search(filtered, "e", token=as_user(wide)) == {}
    token = as_user(wide + 'path "secret/data/team-b/*" { capabilities = ["create"] }')
    assert search(filtered, "e", token=token) == {"team-b/db": ["name"]}


def test_a_search_is_no_oracle(server, monkeypatch, as_user):
    """Whatever is asked for, whoever may see nothing gets the same answers, cursors aside, as if nothing were there."""
    token = as_user(SEARCH + 'path "secret/data/+/none" { capabilities = ["read"] }')
    monkeypatch.setattr(pages.Walk.__init__, "__kwdefaults__", {"depth": 0, "looks": 3})
    queries = ["password", "needle", "team", "*", "owner=ada", "zzz"]
    seen = set()
    for query, place in itertools.product(queries, ["name", "keys", "metadata"]):
        answer = server.ask("GET", f"secret/search?query={query}&in={place}", token=token)
        data = answer.data
        seen.add((answer.status, json.dumps(data["keys"]), len(data["next"])))
        for text in ("needle-box", "team-a", "team-b", "plain"):
            assert text.encode() not in answer.body
    assert len(seen) == 1


def test_the_audit_log_shows_no_query(server):
    """What somebody looks for is hashed, as other values are."""
    [operation] = [o for o in server.house._engines["kv-v2"].operations if o.template == "search"]
    assert not operation.plain & {"query", "cursor"}
