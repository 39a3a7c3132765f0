"""KV version 2: delete/, undelete/, destroy/, subkeys/, and versions that die by themselves."""

import pytest


def put(kv2, count=1, path="app", **fields):
    for n in range(count):
        kv2.ask("POST", f"data/{path}", {"data": {"n": n, **fields}})


def statuses(kv2, count, path="app"):
    return [kv2.ask("GET", f"data/{path}", query=f"version={n + 1}").status for n in range(count)]


@pytest.mark.parametrize("versions", [[1, 2], ["1", "2"], "1,2", ["1", 2, 99, -1]])
def test_versions_come_as_numbers_or_texts(kv2, versions):
    """The command line sends texts; unknown numbers are passed over."""
    put(kv2, 3)
    assert kv2.ask("POST", "delete/app", {"versions": versions}).status == 204
    assert statuses(kv2, 3) == [404, 404, 200]
    assert kv2.ask("PUT", "undelete/app", {"versions": versions}).status == 204
    assert statuses(kv2, 3) == [200, 200, 200]
    assert kv2.ask("POST", "destroy/app", {"versions": versions}).status == 204
    assert statuses(kv2, 3) == [404, 404, 200]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("delete", "No version number provided"),
        ("undelete", "No version number provided"),
        ("destroy", "no version number provided"),
    ],
)
def test_no_versions_is_refused(kv2, path, text):
    """As the peers say it."""
    put(kv2)
    for body in ({}, {"versions": []}, {"versions": None}, {"versions": ""}):
        answer = kv2.ask("POST", f"{path}/app", body)
        assert (answer.status, answer.errors) == (400, [text])


@pytest.mark.parametrize("versions", [["x"], [1.5], ["1_0"], ["\uff11"], [True], [[1]], {"1": 1}, ["1" * 30]])
def test_versions_are_whole_numbers(kv2, versions):
    """Digits outside ASCII, fractions and truths are refused."""
    put(kv2)
    for path in ("delete", "undelete", "destroy"):
        assert kv2.ask("POST", f"{path}/app", {"versions": versions}).status == 400


def test_nothing_there_is_fine(kv2):
    """204, and nothing is made."""
    for path in ("delete", "undelete", "destroy"):
        assert kv2.ask("POST", f"{path}/nothing", {"versions": [1]}).status == 204
    assert kv2.rows() == {}


def test_destroy_deletes_the_content_and_stays(kv2):
    """The row is gone; undelete does not bring it back; the number stays taken."""
    put(kv2, 2)
    kv2.ask("POST", "destroy/app", {"versions": [1, 2]})
    assert list(kv2.rows()) == ["meta/app"]
    kv2.ask("POST", "undelete/app", {"versions": [1, 2]})
    answer = kv2.ask("GET", "data/app")
    assert (answer.status, answer.data["metadata"]["destroyed"], answer.data["metadata"]["version"]) == (
        404,
        True,
        2,
    )
    put(kv2)
    assert kv2.ask("GET", "data/app").data["metadata"]["version"] == 3


def test_pruning_deletes_content(kv2):
    """At the limit, the oldest version's row goes with it."""
    put(kv2, 12)
    assert len([name for name in kv2.rows() if name.startswith("v/")]) == 10
    assert statuses(kv2, 12) == [404] * 2 + [200] * 10
    shown = kv2.ask("GET", "metadata/app").data
    assert (shown["oldest_version"], list(shown["versions"])) == (3, [str(n) for n in range(3, 13)])
    kv2.ask("POST", "metadata/app", {"max_versions": 4})
    assert len(kv2.ask("GET", "metadata/app").data["versions"]) == 10
    put(kv2)
    assert list(kv2.ask("GET", "metadata/app").data["versions"]) == ["10", "11", "12", "13"]
    assert len(kv2.rows()) == 5


def test_the_larger_of_both_limits_counts(kv2):
    """A mount and a secret both say how many versions to keep."""
    kv2.ask("POST", "config", {"max_versions": 3})
    put(kv2, 4)
    assert len(kv2.ask("GET", "metadata/app").data["versions"]) == 3
    kv2.ask("POST", "metadata/app", {"max_versions": 1})
    put(kv2)
    assert len(kv2.ask("GET", "metadata/app").data["versions"]) == 3
    kv2.ask("POST", "metadata/app", {"max_versions": 5})
    put(kv2, 3)
    assert len(kv2.ask("GET", "metadata/app").data["versions"]) == 5


@pytest.mark.parametrize(
    ("mount", "secret", "seconds"),
    [
        ("1h", "2h", 3600),
        ("1h", "30m", 1800),
        ("0s", "1h", 3600),
        ("1h", "0s", 3600),
        ("-1s", "1h", None),
        ("-7s", "0s", None),
        ("0s", "0s", None),
        (-1, 60, None),
        (60, "", 60),
    ],
)
def test_how_long_a_version_lives(kv2, mount, secret, seconds):
    """The shorter of both times; the mount can switch it off."""
    kv2.ask("POST", "config", {"delete_version_after": mount})
    kv2.ask("POST", "metadata/app", {"delete_version_after": secret})
    answer = kv2.ask("POST", "data/app", {"data": {"a": 1}})
    dies = answer.data["deletion_time"]
    assert dies == ("" if seconds is None else f"2023-11-1{'4T2' if seconds < 6000 else '5T0'}{dies[12:]}")
    kv2.now += (seconds or 10**9) - 1
    assert kv2.ask("GET", "data/app").status == 200
    kv2.now += 1
    assert kv2.ask("GET", "data/app").status == (200 if seconds is None else 404)


def test_a_dead_version_can_be_undeleted_and_dies_anew(kv2):
    """Undelete counts the time again from now."""
    kv2.ask("POST", "config", {"delete_version_after": "1m"})
    put(kv2)
    kv2.now += 61
    assert statuses(kv2, 1) == [404]
    kv2.ask("POST", "undelete/app", {"versions": [1]})
    assert kv2.ask("GET", "data/app").data["metadata"]["deletion_time"] == "2023-11-14T22:15:21Z"
    kv2.now += 60
    assert statuses(kv2, 1) == [404]


def test_a_change_of_times_leaves_versions_that_exist(kv2):
    """The moment was fixed when the version was made."""
    put(kv2)
    kv2.ask("POST", "config", {"delete_version_after": "1m"})
    kv2.now += 3600
    assert statuses(kv2, 1) == [200]


DEEP = {"a": {"b": {"c": 1}, "l": [1, {"z": 2}]}, "e": {}, "s": "x", "n": None}


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("", {"a": {"b": {"c": None}, "l": None}, "e": None, "s": None, "n": None}),
        ("depth=0", {"a": {"b": {"c": None}, "l": None}, "e": None, "s": None, "n": None}),
        ("depth=1", {"a": None, "e": None, "s": None, "n": None}),
        ("depth=2", {"a": {"b": None, "l": None}, "e": None, "s": None, "n": None}),
        ("depth=99&version=1", {"a": {"b": {"c": None}, "l": None}, "e": None, "s": None, "n": None}),
    ],
)
def test_subkeys_show_shape_without_values(kv2, query, keys):
    """Leaves are null; a list and an empty object are leaves."""
    kv2.ask("POST", "data/app", {"data": DEEP})
    answer = kv2.ask("GET", "subkeys/app", query=query)
    assert answer.data["subkeys"] == keys
    assert answer.data["metadata"]["version"] == 1


def test_subkeys_of_what_is_not_there(kv2):
    """Nothing, a version that never was, null data, a deleted version."""
    assert kv2.ask("GET", "subkeys/app").json == {"errors": []}
    put(kv2)
    assert kv2.ask("GET", "subkeys/app", query="version=9").status == 404
    kv2.ask("POST", "data/app", {"data": None})
    assert kv2.ask("GET", "subkeys/app").data["subkeys"] is None
    kv2.ask("DELETE", "data/app")
    answer = kv2.ask("GET", "subkeys/app")
    assert (answer.status, answer.data["subkeys"], answer.data["metadata"]["version"]) == (404, None, 2)
