"""KV version 1, and how its mount becomes a version 2 mount."""

import pytest
from msgspec.structs import replace

from ml_secrets.barrier.view import View
from ml_secrets.engines.kv import KV1, KV2
from ml_secrets.engines.kv.upgrade import upgrade
from ml_secrets.testing.mounted import DEFAULT_TTL, Mounted


def test_write_read_replace_delete(kv1):
    """204, the fields, all of them replaced, gone; deleting nothing is fine."""
    assert kv1.ask("POST", "app", {"user": "ada", "password": "fake"}).status == 204
    answer = kv1.ask("GET", "app")
    assert (answer.data, answer.json["lease_duration"], answer.json["lease_id"]) == (
        {"user": "ada", "password": "fake"},
        DEFAULT_TTL,
        "",
    )
    kv1.ask("PUT", "app", {"user": "bob"})
    assert kv1.ask("GET", "app").data == {"user": "bob"}
    for _ in range(2):
        assert kv1.ask("DELETE", "app").status == 204
    answer = kv1.ask("GET", "app")
    assert (answer.status, answer.json) == (404, {"errors": []})


def test_fields_keep_their_bytes_and_order(kv1):
    """Digits, escapes and inner white space of every field."""
    kv1.ask("POST", "app", b'{"z": 9007199254740993, "e":"\\u00e9", "in": { "x" : 1.50 }, "a":null}')
    assert (
        b'"data":{"z":9007199254740993,"e":"\\u00e9","in":{ "x" : 1.50 },"a":null}'
        in kv1.ask("GET", "app").body
    )


@pytest.mark.parametrize("body", [None, {}, b"null", b" "])
def test_no_fields_is_refused(kv1, body):
    """As the peers say it."""
    answer = kv1.ask("POST", "app", body)
    assert (answer.status, answer.errors) == (400, ["missing data fields"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"a":1e999}',
        b'{"a":' + b"[" * 150 + b"]" * 150 + b"}",
        b"[1]",
        b'"x"',
    ],
    ids=range(8),
)
def test_hostile_fields_are_refused(kv1, body):
    """400, and nothing is stored."""
    assert kv1.ask("POST", "app", body).status == 400
    assert kv1.rows() == {}


def test_size_limit(kv1):
    """One byte too many is a 413."""
    assert kv1.ask("POST", "app", {"a": "x" * (1 << 20)}).status == 413


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"ttl": "1h"}, 3600),
        ({"lease": "90"}, 90),
        ({"ttl": 30}, 30),
        ({"ttl": "5", "lease": "9"}, 5),
        ({"ttl": "0"}, 0),
        ({"ttl": "bogus"}, DEFAULT_TTL),
        ({"ttl": "bogus", "lease": "9"}, 9),
        ({"ttl": True}, DEFAULT_TTL),
        ({"ttl": None}, DEFAULT_TTL),
        ({"ttl": {"a": 1}}, DEFAULT_TTL),
        ({"ttl": "-5"}, DEFAULT_TTL),
        ({"ttl": "9999999h"}, DEFAULT_TTL),
    ],
)
def test_lease_duration_is_the_secrets_own_hint(kv1, fields, seconds):
    """`ttl`, then `lease`, never above the mount's maximum; what is no duration counts for nothing."""
    kv1.ask("POST", "app", fields)
    answer = kv1.ask("GET", "app")
    assert (answer.json["lease_duration"], answer.data) == (seconds, fields)


def test_lease_duration_of_a_tuned_mount(kv1):
    """Without a hint, the mount's default."""
    kv1.mount = replace(kv1.mount, default_lease_ttl=300)
    kv1.ask("POST", "app", {"a": 1})
    assert kv1.ask("GET", "app").json["lease_duration"] == 300


def test_patch_changes_what_it_names(kv1):
    """Null removes, objects merge, what is left out keeps its bytes; the answer is empty, as a write's."""
    kv1.ask("POST", "app", b'{"a":1.50,"b":{"c":9007199254740993,"d":[1, 2]},"e":"x"}')
    answer = kv1.ask("PATCH", "app", b'{"b":{"c":null,"f":1e2},"e":null,"g":{"h":null}}')
    assert (answer.status, answer.body) == (204, b"")
    assert b'"data":{"a":1.50,"b":{"d":[1, 2],"f":1e2},"g":{}}' in kv1.ask("GET", "app").body


def test_a_patch_that_makes_no_secret_is_refused(kv1):
    """Nothing sent, nothing there, nothing left, or what would not come back: and then all is as before."""
    assert kv1.ask("PATCH", "app", {"a": 1}).status == 404
    kv1.ask("POST", "app", {"a": 1})
    for body in ({}, None, {"a": None}):
        assert kv1.ask("PATCH", "app", body).errors == ["missing data fields"]
    assert kv1.ask("PATCH", "app", b'{"b":{"x":1,"x":2}}').status == 400
    assert kv1.ask("PATCH", "app", {"b": 2}, media_type="application/json").status == 415
    assert kv1.ask("GET", "app").data == {"a": 1}


def test_create_or_update_for_policies(kv1):
    """By whether the secret is there."""
    assert not kv1.exists("app")
    kv1.ask("POST", "app", {"a": 1})
    assert kv1.exists("app")
    kv1.ask("DELETE", "app")
    assert not kv1.exists("app")


def upgraded(kv1):
    with kv1.storage.begin(write=True) as tx:
        upgrade(
            View(tx, "mount/mount-under-test/"), View(tx, "open/mount/mount-under-test/"), kv1.now, kv1.random
        )
    kv1.engine = KV2
    return kv1


def test_upgrade_makes_each_secret_its_first_version(kv1):
    """Same bytes, version 1, oldest 1, and no row of the old layout left."""
    secrets = {"app": b'{"n":9007199254740993,"e":"\\u00e9"}', "app/db": b'{"a":1.0}', "x/y/z": b'{"b":null}'}
    for path, body in secrets.items():
        kv1.ask("POST", path, body)
    kv1.now += 1
    kv2 = upgraded(kv1)
    for path, body in secrets.items():
        assert b'"data":{"data":' + body in kv2.ask("GET", f"data/{path}").body
    shown = kv2.ask("GET", "metadata/app").data
    assert (shown["current_version"], shown["oldest_version"], shown["created_time"]) == (
        1,
        1,
        "2023-11-14T22:13:21Z",
    )
    assert kv2.ask("SCAN", "metadata").data["keys"] == ["app", "app/db", "x/y/z"]
    assert not any(name.startswith("secret/") for name in kv2.rows())
    assert kv2.ask("POST", "data/app", {"data": {"n": 2}, "options": {"cas": 1}}).data["version"] == 2


def test_upgrade_of_an_empty_mount():
    """Nothing to do."""
    assert upgraded(Mounted(KV1)).rows() == {}


def test_the_version_2_engine_names_its_upgrade():
    """`sys/mounts/<path>/tune` finds it there."""
    assert KV2.upgrade is upgrade
    assert KV1.upgrade is None


def test_upgrade_is_all_or_nothing(kv1):
    """A failure in the middle leaves version 1 as it was."""
    for n in range(5):
        kv1.ask("POST", f"app{n}", {"n": n})
    before = kv1.rows()
    counter = iter(range(3))

    def failing(size):
        return next(counter).to_bytes(size, "big")

    with pytest.raises(StopIteration), kv1.storage.begin(write=True) as tx:
        upgrade(
            View(tx, "mount/mount-under-test/"), View(tx, "open/mount/mount-under-test/"), kv1.now, failing
        )
    assert kv1.rows() == before
