"""KV version 2: metadata/<path> and config."""

import pytest

BLANK = {
    "cas_required": False,
    "created_time": "2023-11-14T22:13:20Z",
    "current_metadata_version": 0,
    "current_version": 0,
    "custom_metadata": None,
    "delete_version_after": "0s",
    "max_versions": 0,
    "metadata_cas_required": False,
    "oldest_version": 0,
    "updated_time": "2023-11-14T22:13:20Z",
    "versions": {},
}


def test_metadata_of_a_secret_that_was_only_written(kv2):
    """All fields, with the versions by number."""
    kv2.ask("POST", "data/app", {"data": {"a": 1}})
    kv2.now += 1
    kv2.ask("POST", "data/app", {"data": {"a": 2}})
    kv2.ask("DELETE", "data/app")
    assert kv2.ask("GET", "metadata/app").data == BLANK | {
        "current_version": 2,
        "updated_time": "2023-11-14T22:13:21Z",
        "versions": {
            "1": {"created_time": "2023-11-14T22:13:20Z", "deletion_time": "", "destroyed": False},
            "2": {
                "created_time": "2023-11-14T22:13:21Z",
                "deletion_time": "2023-11-14T22:13:21Z",
                "destroyed": False,
            },
        },
    }
    assert kv2.ask("GET", "metadata/nothing").json == {"errors": []}


def test_metadata_first_then_data(kv2):
    """Settings make the secret without a version, and hold for its first one."""
    body = {
        "max_versions": 3,
        "cas_required": True,
        "delete_version_after": "3h25m19s",
        "custom_metadata": {"owner": "ada"},
    }
    assert kv2.ask("POST", "metadata/app", body).status == 204
    assert kv2.ask("GET", "metadata/app").data == BLANK | body | {"current_metadata_version": 1}
    answer = kv2.ask("GET", "data/app")
    assert (answer.status, answer.json) == (404, {"errors": []})
    assert kv2.ask("DELETE", "data/app").status == 204
    assert kv2.ask("POST", "data/app", {"data": {}}).errors == [
        "check-and-set parameter required for this call"
    ]
    answer = kv2.ask("POST", "data/app", {"data": {}, "options": {"cas": 0}})
    assert answer.data["custom_metadata"] == {"owner": "ada"}
    assert answer.data["deletion_time"] == "2023-11-15T01:38:39Z"


def test_a_request_without_settings_changes_nothing(kv2):
    """204, no secret made, no metadata version spent."""
    for body in (None, {}, {"other": 1}, {"metadata_cas": 0}):
        assert kv2.ask("POST", "metadata/app", body).status == 204
    assert kv2.rows() == {}
    kv2.ask("POST", "metadata/app", {"max_versions": 1})
    for method in ("POST", "PATCH"):
        assert kv2.ask(method, "metadata/app", {"other": 1}).status == 204
    assert kv2.ask("GET", "metadata/app").data["current_metadata_version"] == 1


def test_post_leaves_out_and_replaces(kv2):
    """Absent settings stay; custom metadata is replaced as a whole."""
    kv2.ask("POST", "metadata/app", {"max_versions": 3, "custom_metadata": {"a": "1", "b": "2"}})
    kv2.ask("POST", "metadata/app", {"cas_required": "true", "custom_metadata": {"c": "3"}})
    shown = kv2.ask("GET", "metadata/app").data
    assert (shown["max_versions"], shown["cas_required"], shown["custom_metadata"]) == (3, True, {"c": "3"})
    kv2.ask("POST", "metadata/app", {"custom_metadata": None})
    assert kv2.ask("GET", "metadata/app").data["custom_metadata"] is None


def test_patch_changes_and_removes(kv2):
    """A null removes a text or resets a setting."""
    kv2.ask(
        "POST",
        "metadata/app",
        {
            "max_versions": 3,
            "cas_required": True,
            "delete_version_after": 90,
            "custom_metadata": {"a": "1", "b": "2"},
        },
    )
    assert kv2.ask("PATCH", "metadata/app", {"custom_metadata": {"a": None, "c": "3"}}).status == 204
    shown = kv2.ask("GET", "metadata/app").data
    assert (shown["custom_metadata"], shown["max_versions"], shown["delete_version_after"]) == (
        {"b": "2", "c": "3"},
        3,
        "1m30s",
    )
    kv2.ask(
        "PATCH",
        "metadata/app",
        {"max_versions": None, "cas_required": None, "delete_version_after": None, "custom_metadata": None},
    )
    assert kv2.ask("GET", "metadata/app").data == BLANK | {"current_metadata_version": 3}
    kv2.ask("PATCH", "metadata/app", {"metadata_cas_required": True})
    assert kv2.ask("GET", "metadata/app").data["metadata_cas_required"] is True


@pytest.mark.parametrize("custom", ["x", 5, [], {"a": 1}, {"a": True}, {"a": {"b": "c"}}])
def test_custom_metadata_is_text_by_text(kv2, custom):
    """Anything else is refused rather than turned into text."""
    kv2.ask("POST", "metadata/app", {"max_versions": 3})
    assert kv2.ask("PATCH", "metadata/app", {"custom_metadata": custom}).status == 400
    if custom != []:
        assert kv2.ask("POST", "metadata/app", {"custom_metadata": custom}).status == 400


@pytest.mark.parametrize(
    ("custom", "said"),
    [
        ({"": "b"}, ['length of key "" is 0 but must be 0 < len(key) <= 128']),
        ({"k": ""}, ['length of value for key "k" is 0 but must be 0 < len(value) <= 512']),
        ({"k" * 129: "x"}, [f'length of key "{"k" * 129}" is 129 but must be 0 < len(key) <= 128']),
        ({"k": "v" * 513}, ['length of value for key "k" is 513 but must be 0 < len(value) <= 512']),
        ({"k": "\u00e9" * 257}, ['length of value for key "k" is 514 but must be 0 < len(value) <= 512']),
        ({"k\x01": "x"}, ["key 'k\\x01' contains unprintable characters"]),
        ({"k": "x\x01"}, ['value for key "k" contains unprintable characters']),
        ({f"k{n}": "v" for n in range(65)}, ["payload must contain at most 64 keys, provided 65"]),
        (
            {"": ""},
            [
                'length of key "" is 0 but must be 0 < len(key) <= 128',
                'length of value for key "" is 0 but must be 0 < len(value) <= 512',
            ],
        ),
    ],
    ids=range(9),
)
def test_custom_metadata_limits(kv2, custom, said):
    """As the peers count and say it, all at once."""
    head = "1 error occurred:\n" if len(said) == 1 else f"{len(said)} errors occurred:\n"
    text = head + "".join(f"\t* custom_metadata validation failed: {line}\n" for line in said) + "\n"
    answer = kv2.ask("POST", "metadata/app", {"custom_metadata": custom})
    assert (answer.status, answer.errors) == (400, [text])


def test_custom_metadata_at_its_limits(kv2):
    """The limits themselves are inside."""
    custom = {f"{n:02}" + "k" * 126: "v" * 512 for n in range(64)}
    assert kv2.ask("POST", "metadata/app", {"custom_metadata": custom}).status == 204
    assert kv2.ask("GET", "metadata/app").data["custom_metadata"] == custom


@pytest.mark.parametrize(
    "body",
    [{"max_versions": -1}, {"max_versions": 2**32}, {"max_versions": 1.5}, {"max_versions": "x"}, {"max_versions": True}, {"cas_required": "maybe"},
     {"delete_version_after": "-1s"}, {"delete_version_after": -5}, {"delete_version_after": "soon"}, {"metadata_cas": "x", "max_versions": 1}],
)  # fmt: skip
def test_settings_out_of_bounds(kv2, body):
    """Refused, and nothing is stored; a peer takes -1 for 4294967295."""
    assert kv2.ask("POST", "metadata/app", body).status == 400
    assert kv2.rows() == {}


def test_metadata_check_and_set(kv2):
    """Required by the mount or the secret, or just sent."""
    kv2.ask("POST", "config", {"metadata_cas_required": True})
    required = ["metadata check-and-set parameter required for this call"]
    mismatch = ["metadata check-and-set parameter does not match the current version"]
    assert kv2.ask("POST", "metadata/app", {"max_versions": 3}).errors == required
    assert kv2.ask("POST", "metadata/app", {"max_versions": 3, "metadata_cas": 0}).status == 204
    assert kv2.ask("POST", "metadata/app", {"max_versions": 3, "metadata_cas": 0}).errors == mismatch
    assert kv2.ask("PATCH", "metadata/app", {"max_versions": 4}).errors == required
    assert kv2.ask("PATCH", "metadata/app", {"max_versions": 4, "metadata_cas": 1}).status == 204
    assert kv2.ask("POST", "metadata/app", {"max_versions": 4, "metadata_cas": -1}).errors == mismatch
    kv2.ask("POST", "config", {"metadata_cas_required": False})
    assert kv2.ask("POST", "metadata/app", {"metadata_cas_required": True}).status == 204
    assert kv2.ask("POST", "metadata/app", {"max_versions": 4}).errors == required
    assert kv2.ask("POST", "metadata/app", {"max_versions": 4, "metadata_cas": "3"}).status == 204
    assert kv2.ask("POST", "data/app", {"data": {}}).status == 200
    assert kv2.ask("GET", "metadata/app").data["current_metadata_version"] == 4


def test_a_mount_that_insists_is_not_overruled(kv2):
    """A secret's `false` is stored, warned about and without effect."""
    kv2.ask("POST", "config", {"cas_required": True, "metadata_cas_required": True})
    for method in ("POST", "PATCH"):
        answer = kv2.ask(
            method,
            "metadata/app",
            {
                "cas_required": False,
                "metadata_cas_required": False,
                "metadata_cas": 0 if method == "POST" else 1,
            },
        )
        assert answer.status == 200
        assert answer.json["warnings"] == [
            '"cas_required" set to false, but is mandated by backend config. This value will be ignored.',
            '"metadata_cas_required" set to false, but is mandated by backend config. This value will be ignored.',
        ]
    assert kv2.ask("POST", "data/app", {"data": {}}).status == 400


def test_delete_metadata_leaves_nothing(kv2):
    """All versions and settings are gone from the store; again is fine."""
    for n in range(3):
        kv2.ask("POST", "data/app", {"data": {"n": n}})
    kv2.ask("POST", "destroy/app", {"versions": [2]})
    for _ in range(2):
        assert kv2.ask("DELETE", "metadata/app").status == 204
        assert kv2.rows() == {}
    assert kv2.ask("GET", "data/app").status == 404


def test_config(kv2):
    """Settings of the mount: shown, changed one by one, reset."""
    blank = {
        "cas_required": False,
        "delete_version_after": "0s",
        "max_versions": 0,
        "metadata_cas_required": False,
    }
    assert kv2.ask("GET", "config").data == blank
    assert kv2.ask("POST", "config", {"max_versions": "5", "delete_version_after": "1h"}).status == 204
    kv2.ask("POST", "config", {"cas_required": True})
    kv2.ask("POST", "config", {})
    assert kv2.ask("GET", "config").data == blank | {
        "max_versions": 5,
        "delete_version_after": "1h0m0s",
        "cas_required": True,
    }
    kv2.ask("POST", "config", {"delete_version_after": "-7s"})
    assert kv2.ask("GET", "config").data["delete_version_after"] == "-1s"
    kv2.ask("POST", "config", {"delete_version_after": 0, "max_versions": 0, "cas_required": "false"})
    assert kv2.ask("GET", "config").data == blank
    for body in (
        {"max_versions": -1},
        {"delete_version_after": "-x"},
        {"delete_version_after": True},
        {"delete_version_after": [1]},
    ):
        assert kv2.ask("POST", "config", body).status == 400


def test_a_lone_minus_is_no_time_to_live(kv2):
    """It is refused, instead of read as "never"."""
    assert kv2.ask("POST", "config", {"delete_version_after": "-"}).status == 400
    assert kv2.ask("POST", "config", {"delete_version_after": "-1s"}).status == 204
