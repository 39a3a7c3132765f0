"""KV version 2: data/<path>."""

import json

import pytest
from msgspec.structs import replace

from ml_secrets.contract import Request, Verb
from ml_secrets.domain import version as model
from ml_secrets.domain.value import LARGEST
from ml_secrets.domain.version import Kind
from ml_secrets.engines.kv import rows
from ml_secrets.errors import TamperFault

FIRST = {
    "created_time": "2023-11-14T22:13:20Z",
    "custom_metadata": None,
    "deletion_time": "",
    "destroyed": False,
    "version": 1,
}


def put(mounted, path, data, **options):
    body = {"data": data} | ({"options": options} if options else {})
    return mounted.ask("POST", f"data/{path}", body)


def change(mounted, path, work):
    """Change the stored secret as another dialect would."""
    with mounted.storage.begin(write=True) as tx:
        context = mounted.context(tx, None)
        rows.keep(
            context.store, context.opaque, path, work(context, rows.find(context.store, path)), context.now
        )


def test_a_write_answers_with_the_new_version(kv2):
    """Number, creation time, and that nothing has happened to it yet."""
    answer = put(kv2, "app/db", {"password": "hunter2-fake"})
    assert (answer.status, answer.data) == (200, FIRST)
    kv2.now += 0.25
    assert put(kv2, "app/db", {}).data == FIRST | {"version": 2, "created_time": "2023-11-14T22:13:20.25Z"}


def test_a_read_gives_back_the_bytes_that_were_written(kv2):
    """Digits, escapes, order and inner white space; the peers change a big number."""
    sent = b'{"n": 9007199254740993, "e":"\\u00e9\\/", "price":1.50, "z":1, "a":[ ]}'
    kv2.ask("POST", "data/app", b'{"data":' + sent + b"}")
    answer = kv2.ask("GET", "data/app")
    assert answer.status == 200
    assert b'"data":{"data":' + sent + b',"metadata":' in answer.body
    assert answer.data["metadata"] == FIRST
    assert answer.json["lease_duration"] == 0


def test_reading_versions(kv2):
    """0, negative and absent mean the current one; one that never was is an empty 404."""
    for n in range(3):
        put(kv2, "app", {"n": n})
    assert [
        kv2.ask("GET", "data/app", query=q).data["data"]["n"]
        for q in ("", "version=0", "version=-1", "version=1")
    ] == [2, 2, 2, 0]
    for query in ("version=4", "version=9999999"):
        answer = kv2.ask("GET", "data/app", query=query)
        assert (answer.status, answer.json) == (404, {"errors": []})
    assert kv2.ask("GET", "data/nothing").json == {"errors": []}
    assert kv2.ask("GET", "data/app", query="version=1_0").status == 400
    assert kv2.ask("GET", "data/app", query="version=%EF%BC%91").status == 400


def test_null_and_empty_data_are_versions(kv2):
    """As with the peers: `null` is kept as null, no data at all is refused."""
    assert put(kv2, "app", None).data["version"] == 1
    assert kv2.ask("GET", "data/app").data["data"] is None
    assert put(kv2, "app", {}).data["version"] == 2
    assert kv2.ask("GET", "data/app").data["data"] == {}
    for body in ({}, None, {"options": {}}):
        answer = kv2.ask("POST", "data/app", body)
        assert (answer.status, answer.errors) == (400, ["no data provided"])


@pytest.mark.parametrize("data", ["text", 1, [1], True, [{"a": 1}]])
def test_data_is_an_object(kv2, data):
    """Anything else is refused, and nothing is stored."""
    assert put(kv2, "app", data).status == 400
    assert kv2.rows() == {}


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"a":1e999}',
        b'{"a":' + b"[" * 200 + b"]" * 200 + b"}",
    ],
    ids=range(6),
)
def test_hostile_json_is_refused_and_leaves_no_trace(kv2, raw):
    """400, not a silently changed secret; by write and by patch."""
    put(kv2, "app", {"a": 0})
    before = kv2.rows()
    for method in ("POST", "PATCH"):
        assert kv2.ask(method, "data/app", b'{"data":' + raw + b"}").status == 400
    assert kv2.rows() == before


def test_size_limit_is_exact(kv2):
    """A value of the largest size is kept, one byte more is a 413."""
    fill = LARGEST - len(b'{"a":""}')
    assert kv2.ask("POST", "data/app", b'{"data":{"a":"' + b"x" * fill + b'"}}').status == 200
    assert kv2.ask("POST", "data/app", b'{"data":{"a":"' + b"x" * (fill + 1) + b'"}}').status == 413


def test_a_patch_cannot_grow_past_the_limit(kv2):
    """What is stored in the end counts, not what was sent."""
    half = "x" * (LARGEST // 2)
    put(kv2, "app", {"a": half})
    assert kv2.ask("PATCH", "data/app", {"data": {"b": half}}).status == 413
    assert kv2.ask("GET", "data/app").data["metadata"]["version"] == 1


@pytest.mark.parametrize(
    "cas",
    [
        '"0"',
        '"1"',
        "1.5",
        "1.0",
        "1e0",
        "-0",
        "true",
        "18446744073709551616",
        "9223372036854775808",
        "null",
        '""',
        "[]",
        "{}",
    ],
)
def test_cas_is_a_number_or_refused(kv2, cas):
    """A text, fraction, truth or null is not guessed at."""
    put(kv2, "app", {"n": 0})
    answer = kv2.ask("POST", "data/app", b'{"data":{},"options":{"cas":' + cas.encode() + b"}}")
    assert (answer.status, answer.errors) == (400, ["error parsing check-and-set parameter"])


@pytest.mark.parametrize("cas", [-1, -(10**30)])
def test_a_negative_cas_matches_no_version(kv2, cas):
    """A whole number that no version has is answered like any other wrong one."""
    put(kv2, "app", {"n": 0})
    answer = put(kv2, "app", {"n": 1}, cas=cas)
    assert (answer.status, answer.errors) == (
        400,
        ["check-and-set parameter did not match the current version"],
    )


def test_cas_zero_creates_only(kv2):
    """Of writers that all say 0, the first one wins."""
    assert put(kv2, "app", {"n": 1}, cas=0).status == 200
    answer = put(kv2, "app", {"n": 2}, cas=0)
    assert (answer.status, answer.errors) == (
        400,
        ["check-and-set parameter did not match the current version"],
    )
    assert put(kv2, "app", {"n": 2}, cas=1).data["version"] == 2
    assert put(kv2, "app", {"n": 3}, cas=9).status == 400
    assert kv2.ask("GET", "data/app").data["data"] == {"n": 2}


def test_cas_follows_the_pointer_even_over_a_deleted_version(kv2):
    """A soft-deleted current version is still the current one."""
    put(kv2, "app", {"n": 1})
    kv2.ask("DELETE", "data/app")
    assert put(kv2, "app", {"n": 2}, cas=0).status == 400
    assert put(kv2, "app", {"n": 2}, cas=1).status == 200


@pytest.mark.parametrize("options", ["5", '"cas=0"', "[]", "true"])
def test_options_are_an_object(kv2, options):
    """Anything but an object or null is refused."""
    assert kv2.ask("POST", "data/app", b'{"data":{},"options":' + options.encode() + b"}").status == 400
    assert kv2.ask("POST", "data/app", b'{"data":{},"options":{"cas":0,"cas":1}}').status == 400
    assert kv2.ask("POST", "data/app", b'{"data":{},"options":null}').status == 200
    assert kv2.ask("POST", "data/app", b'{"data":{},"options":{"other":1}}').status == 200


def test_unknown_fields_are_ignored_with_a_warning(kv2):
    """As with the peers."""
    answer = kv2.ask("POST", "data/app", {"data": {}, "cas": 0})
    assert answer.json["warnings"] == ["Endpoint ignored these unrecognized parameters: [cas]"]


def test_patch_merges(kv2):
    """Null removes, objects merge, what is left out keeps its bytes."""
    kv2.ask("POST", "data/app", b'{"data":{"x":1,"y":{"z":1.0,"q":2},"big":123456789012345678901}}')
    answer = kv2.ask("PATCH", "data/app", {"data": {"x": None, "y": {"w": 2, "q": None}}})
    assert answer.data == FIRST | {"version": 2}
    assert b'"data":{"y":{"z":1.0,"w":2},"big":123456789012345678901}' in kv2.ask("GET", "data/app").body


def test_patch_of_nothing_is_an_empty_404(kv2):
    """No secret, or one that has only metadata."""
    for path in ("data/nothing", "metadata/nothing"):
        answer = kv2.ask("PATCH", path, {"data": {"a": 1}})
        assert (answer.status, answer.body) == (404, b"")
    kv2.ask("POST", "metadata/app", {"max_versions": 3})
    assert kv2.ask("PATCH", "data/app", {"data": {"a": 1}}).body == b""


def test_patch_of_a_deleted_version_says_so(kv2):
    """404 with that version's metadata; nothing is resurrected."""
    put(kv2, "app", {"n": 1})
    kv2.ask("DELETE", "data/app")
    answer = kv2.ask("PATCH", "data/app", {"data": {"a": 1}})
    assert answer.status == 404
    assert answer.data == FIRST | {"deletion_time": "2023-11-14T22:13:20Z"}


def test_patch_with_null_and_onto_null(kv2):
    """A patch of null makes the secret null; a patch onto null starts from nothing (a peer fails with 500)."""
    put(kv2, "app", {"n": 1})
    assert kv2.ask("PATCH", "data/app", {"data": None}).data["version"] == 2
    assert kv2.ask("GET", "data/app").data["data"] is None
    assert kv2.ask("PATCH", "data/app", {"data": {"a": 1}}).data["version"] == 3
    assert kv2.ask("GET", "data/app").data["data"] == {"a": 1}
    assert kv2.ask("PATCH", "data/app", {}).errors == ["no data provided"]


def test_patch_and_cas(kv2):
    """A patch obeys check-and-set as a write does."""
    put(kv2, "app", {"n": 1})
    assert kv2.ask("PATCH", "data/app", {"data": {"a": 1}, "options": {"cas": 0}}).status == 400
    assert kv2.ask("PATCH", "data/app", {"data": {"a": 1}, "options": {"cas": 1}}).status == 200


def test_delete_hides_and_keeps(kv2):
    """204 and a 404 with metadata; the content is still there, for undelete."""
    put(kv2, "app", {"n": 1})
    kv2.now += 1
    assert kv2.ask("DELETE", "data/app").status == 204
    answer = kv2.ask("GET", "data/app")
    assert answer.status == 404
    assert answer.data == {"data": None, "metadata": FIRST | {"deletion_time": "2023-11-14T22:13:21Z"}}
    assert any(name.startswith("v/") for name in kv2.rows())
    assert kv2.ask("DELETE", "data/app").status == 204
    assert kv2.ask("DELETE", "data/nothing").status == 204


def test_create_or_update_for_policies(kv2):
    """A path exists while its metadata does, deleted versions included."""
    assert not kv2.exists("data/app")
    put(kv2, "app", {})
    kv2.ask("DELETE", "data/app")
    assert kv2.exists("data/app")
    assert kv2.exists("metadata/app")
    kv2.ask("DELETE", "metadata/app")
    assert not kv2.exists("data/app")


def test_a_secret_and_a_folder_of_one_name(kv2):
    """Both can be there, apart from each other."""
    put(kv2, "a", {"n": 1})
    put(kv2, "a/b", {"n": 2})
    assert kv2.ask("GET", "data/a").data["data"] == {"n": 1}
    assert kv2.ask("GET", "data/a/b").data["data"] == {"n": 2}


def test_a_name_used_again_starts_afresh(kv2):
    """After metadata is deleted, versions begin at 1 and the object's rows have other names."""
    put(kv2, "app", {"n": 1})
    old = set(kv2.rows())
    kv2.ask("DELETE", "metadata/app")
    assert kv2.rows() == {}
    assert put(kv2, "app", {"n": 2}).data["version"] == 1
    assert set(kv2.rows()) & old == {"meta/app"}


def test_etag_changes_with_everything_the_answer_shows(kv2):
    """Version, custom metadata, time of death. The state that the audit log goes by changes with it."""
    seen, states = set(), set()
    put(kv2, "app", {"n": 1})
    for method, path, body in (
        ("POST", "data/app", {"data": {"n": 1}}),
        ("POST", "metadata/app", {"custom_metadata": {"a": "b"}, "delete_version_after": "5m"}),
        ("POST", "undelete/app", {"versions": [2]}),
    ):
        assert kv2.ask(method, path, body).status in (200, 204)
        seen.add(kv2.ask("GET", "data/app").headers["etag"])
        states.add(kv2.call(Request("", Verb.READ, "secret/data/app")).state)
    assert (len(seen), len(states)) == (3, 3)


def test_a_version_made_of_bytes_is_read_as_json(kv2):
    """What another dialect wrote appears as `value`, can be patched, and its shape is shown."""
    put(kv2, "app", {})

    def write_bytes(context, secret):
        secret, number, _ = model.add(secret, model.Version(created=1.0, kind=Kind.BYTES), keep=9)
        rows.put_content(context.opaque, secret, number, b"s3cr3t-fake")
        return secret

    change(kv2, "app", write_bytes)
    assert kv2.ask("GET", "data/app").data["data"] == {"value": "s3cr3t-fake"}
    assert kv2.ask("GET", "subkeys/app").data["subkeys"] == {"value": None}
    kv2.ask("PATCH", "data/app", {"data": {"more": 1}})
    assert kv2.ask("GET", "data/app").data["data"] == {"value": "s3cr3t-fake", "more": 1}


def test_a_disabled_version_is_not_read_and_not_patched(kv2):
    """404 with metadata."""
    put(kv2, "app", {"n": 1})
    change(
        kv2,
        "app",
        lambda _, secret: replace(secret, versions={1: replace(secret.versions[1], disabled=True)}),
    )
    assert kv2.ask("GET", "data/app").data == {"data": None, "metadata": FIRST}
    assert kv2.ask("PATCH", "data/app", {"data": {"n": 2}}).status == 404


def test_a_moved_pointer_is_what_a_plain_read_follows(kv2):
    """Another dialect rolled back to version 1: reads, delete and check-and-set mean version 1; numbers go on."""
    for n in (1, 2):
        put(kv2, "app", {"n": n})
    change(kv2, "app", lambda _, secret: replace(secret, current=1))
    assert kv2.ask("GET", "data/app").data["data"] == {"n": 1}
    assert kv2.ask("GET", "metadata/app").data["current_version"] == 1
    assert put(kv2, "app", {"n": 3}, cas=2).status == 400
    assert put(kv2, "app", {"n": 3}, cas=1).data["version"] == 3


def test_a_removed_secret_is_not_there_and_its_name_is_taken(kv2):
    """A tombstone of another dialect: reads find nothing, writes are told why."""
    put(kv2, "app", {"n": 1})
    change(kv2, "app", lambda _, secret: model.remove(secret, 1.0, 2.0))
    assert kv2.ask("GET", "data/app").status == 404
    for path, body in (("data/app", {"data": {}}), ("metadata/app", {"max_versions": 1})):
        answer = kv2.ask("POST", path, body)
        assert answer.errors == ["the secret is scheduled for deletion"]


def test_missing_content_is_a_fault_not_an_absence(kv2):
    """Somebody removed a row from the store: that is damage, and it is said."""
    put(kv2, "app", {"n": 1})
    with kv2.storage.begin(write=True) as tx:
        context = kv2.context(tx, None)
        rows.drop_content(context.opaque, rows.find(context.store, "app"), (1,))
    with pytest.raises(TamperFault):
        kv2.ask("GET", "data/app")


def test_no_secret_in_an_error(kv2):
    """Refusals never quote what was sent."""
    for body in (
        b'{"data":{"k":"topsecret","k":1}}',
        b'{"data":"topsecret"}',
        b'{"data":{},"options":{"cas":"topsecret"}}',
        b'{"data":{"k":"topsecret\\ud800"}}',
    ):
        assert b"topsecret" not in kv2.ask("POST", "data/app", body).body


def test_wrong_verbs_and_paths(kv2):
    """405 where the path is known, 404 where it is not."""
    assert kv2.ask("LIST", "data/app").status == 405
    assert kv2.ask("GET", "delete/app").status == 405
    assert kv2.ask("GET", "app").status == 404
    assert kv2.ask("POST", "data").status == 404


def test_json_is_compact_or_not_as_it_was_written(kv2):
    """Pretty-printed secrets come back pretty-printed."""
    text = json.dumps({"a": {"b": [1, 2]}}, indent=2).encode()
    kv2.ask("POST", "data/app", b'{"data": ' + text + b" }")
    assert text in kv2.ask("GET", "data/app").body
