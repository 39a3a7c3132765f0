"""KV: names, folder by folder and all below one, in pages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_secrets.engines.kv.listing import walk
from ml_secrets.storage.memory import MemoryStorage

PATHS = ("l/a", "l/b", "l/a/c", "l/a-b", "l/d/e/f", "l/z", "top")


@pytest.fixture
def full2(kv2):
    for path in PATHS:
        kv2.ask("POST", f"data/{path}", {"data": {"n": 1}})
    return kv2


@pytest.fixture
def full1(kv1):
    for path in PATHS:
        kv1.ask("POST", path, {"n": 1})
    return kv1


def test_list(full2, full1):
    """Folders end in a slash; a name can be a secret and a folder."""
    for mounted, root in ((full2, "metadata"), (full1, "")):
        slash = "/" if root else ""
        assert mounted.ask("LIST", f"{root}{slash}l").data == {"keys": ["a", "a-b", "a/", "b", "d/", "z"]}
        assert mounted.ask("LIST", f"{root}{slash}l/").data == {"keys": ["a", "a-b", "a/", "b", "d/", "z"]}
        assert mounted.ask("GET", f"{root}{slash}l", query="list=true").data["keys"][0] == "a"
        assert mounted.ask("LIST", root).data == {"keys": ["l/", "top"]}
        for path in ("top", "l/b", "none", "l/d/e/f"):
            answer = mounted.ask("LIST", f"{root}{slash}{path}")
            assert (answer.status, answer.json) == (404, {"errors": []})


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("limit=2", ["a", "a-b"]),
        ("after=a&limit=2", ["a-b", "a/"]),
        ("after=a/&limit=2", ["b", "d/"]),
        ("after=bb", ["d/", "z"]),
        ("limit=0", ["a", "a-b", "a/", "b", "d/", "z"]),
        ("limit=-1", ["a", "a-b", "a/", "b", "d/", "z"]),
        ("limit=1000000000", ["a", "a-b", "a/", "b", "d/", "z"]),
    ],
)
def test_list_in_pages(full2, full1, query, keys):
    """`after` need not exist; a limit of 0 or less means all."""
    assert full2.ask("LIST", "metadata/l", query=query).data["keys"] == keys
    assert full1.ask("LIST", "l", query=query).data["keys"] == keys


@pytest.mark.parametrize("limit", ["abc", "1_000", "%EF%BC%91", "1.5"])
def test_limit_is_a_number(full2, limit):
    """Nothing is guessed."""
    assert full2.ask("LIST", "metadata/l", query=f"limit={limit}").status == 400
    assert full2.ask("SCAN", "metadata/l", query=f"limit={limit}").status == 400


def test_past_the_end_there_is_nothing(full2):
    """As an empty folder: 404."""
    assert full2.ask("LIST", "metadata/l", query="after=zz").status == 404
    assert full2.ask("SCAN", "metadata/l", query="after=zz").status == 404


def test_scan(full2, full1):
    """Every secret below, in one order, in pages."""
    below = ["a", "a-b", "a/c", "b", "d/e/f", "z"]
    for mounted, root in ((full2, "metadata/"), (full1, "")):
        assert mounted.ask("SCAN", f"{root}l").data == {"keys": below}
        assert mounted.ask("GET", f"{root}l", query="scan=true").data == {"keys": below}
        assert mounted.ask("SCAN", root.rstrip("/")).data["keys"] == [*(f"l/{name}" for name in below), "top"]
        seen, after = [], ""
        while (answer := mounted.ask("SCAN", f"{root}l", query=f"after={after}&limit=2")).status == 200:
            seen += answer.data["keys"]
            after = seen[-1]
        assert seen == below


def test_detailed_metadata(full2):
    """Names with what `metadata/` shows of each; folders have nothing to show."""
    data = full2.ask("LIST", "detailed-metadata/l", query="limit=5").data
    assert data["keys"] == ["a", "a-b", "a/", "b", "d/"]
    assert data["key_info"]["a"] == full2.ask("GET", "metadata/l/a").data
    assert data["key_info"]["d/"] == {}
    assert full2.ask("LIST", "detailed-metadata").data["key_info"]["top"]["current_version"] == 1
    assert full2.ask("SCAN", "detailed-metadata").data["key_info"]["l/d/e/f"]["current_version"] == 1
    assert list(full2.ask("SCAN", "detailed-metadata/l").data["key_info"]) == [
        "a",
        "a-b",
        "a/c",
        "b",
        "d/e/f",
        "z",
    ]
    assert full2.ask("LIST", "detailed-metadata/none").status == 404


def test_deleted_secrets_stay_listed_until_their_metadata_goes(full2):
    """A folder goes with its last secret."""
    full2.ask("DELETE", "data/l/d/e/f")
    assert "d/" in full2.ask("LIST", "metadata/l").data["keys"]
    full2.ask("DELETE", "metadata/l/d/e/f")
    assert "d/" not in full2.ask("LIST", "metadata/l").data["keys"]


def test_many_names_in_pages():
    """More names than one page of the store are all found, once each."""
    storage = MemoryStorage()
    with storage.begin(write=True) as tx:
        for n in range(2500):
            tx.put(f"meta/f{n % 3}/{n:05}", b"")
        assert len(set(walk(tx, "meta/"))) == 2500
        assert list(walk(tx, "meta/f1/", "00004"))[:2] == ["00007", "00010"]


NAMES = st.lists(st.sampled_from(["a", "b", "a-", "a0", "\u00e9", "z"]), min_size=1, max_size=3).map("/".join)


@settings(max_examples=150, deadline=None)
@given(st.sets(NAMES, max_size=12), NAMES)
def test_walk_is_the_sorted_set_of_names(paths, after):
    """Byte order of the whole path, and `after` cuts it anywhere, exactly."""
    with MemoryStorage().begin(write=True) as tx:
        for path in paths:
            tx.put(f"meta/{path}", b"")
        ordered = sorted(paths, key=str.encode)
        assert list(walk(tx, "meta/")) == ordered
        assert list(walk(tx, "meta/", after)) == [path for path in ordered if path.encode() > after.encode()]
