"""Lists with depth and filter, in pages of bounded work; and mounts whose lists show to each caller their own names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_secrets.engines.kv import pages, seen
from ml_secrets.engines.kv.pages import Walk, fill
from ml_secrets.storage.memory import MemoryStorage
from ml_secrets.testing.whole import Whole

PATHS = ("app", "app/db", "app/web/key", "team-a/db", "team-a/x/y/z", "team-b/db", "top")
WIDE = """
path "secret/metadata/*" { capabilities = ["list", "scan"] }
path "secret/metadata" { capabilities = ["list", "scan"] }
path "secret/detailed-metadata/*" { capabilities = ["list", "scan"] }
"""


@pytest.fixture(scope="module")
def server():
    """An open server with some secrets."""
    whole = Whole()
    for path in PATHS:
        whole.ask("POST", f"secret/data/{path}", {"data": {"n": 1}})
        whole.ask("POST", f"secret/metadata/{path}", {"custom_metadata": {"of": path}})
    yield whole
    whole.close()


@pytest.fixture
def few_looks(monkeypatch):
    """A walk that may look at three names in a request."""
    monkeypatch.setattr(pages.Walk.__init__, "__kwdefaults__", {"depth": 0, "looks": 3})


def names(server, path, query="", token=None):
    """All names that a list gives, page by page; and how many pages those were."""
    found, cursor, rounds = [], "", 0
    who = {} if token is None else {"token": token}
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        answer = server.ask("GET", f"{path}?{query}{more}", **who)
        if answer.status == 404:
            return found, rounds
        assert answer.status == 200, answer
        found += answer.data["keys"]
        cursor, rounds = answer.data.get("next"), rounds + 1
        if not cursor:
            return found, rounds


@pytest.mark.parametrize(
    ("path", "query", "wanted"),
    [
        ("metadata", "scan=true&depth=1", ["app", "app/", "team-a/", "team-b/", "top"]),
        (
            "metadata",
            "scan=true&depth=2",
            ["app", "app/db", "app/web/", "team-a/db", "team-a/x/", "team-b/db", "top"],
        ),
        ("metadata", "scan=true&depth=9", list(PATHS)),
        ("metadata/team-a", "scan=true&depth=2", ["db", "x/y/"]),
        ("metadata", "scan=true&filter=*db", ["app/db", "team-a/db", "team-b/db"]),
        ("metadata", "scan=true&filter=team-*", ["team-a/db", "team-a/x/y/z", "team-b/db"]),
        ("metadata", "scan=true&filter=top", ["top"]),
        ("metadata", "scan=true&filter=t*p", ["top"]),
        ("metadata", "scan=true&filter=none*", []),
        ("metadata", "scan=true&depth=1&filter=team*", ["team-a/", "team-b/"]),
        ("metadata", "list=true&filter=a*", ["app", "app/"]),
        ("metadata/app", "list=true&filter=*e*", ["web/"]),
    ],
)
@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("limit", ["", "&limit=1", "&limit=2"])
def test_depth_and_filter(server, path, query, wanted, looks, limit, request):
    """In one page or in many: the same names in the same order."""
    if looks:
        request.getfixturevalue("few_looks")
    assert names(server, f"secret/{path}", query + limit)[0] == wanted


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("depth=1&after=app", ["app/", "team-a/", "team-b/", "top"]),
        ("filter=*&after=team-a/x", ["team-a/x/y/z", "team-b/db", "top"]),
    ],
)
def test_a_first_page_may_begin_after_a_name(server, query, wanted):
    """As in a list without a filter."""
    assert names(server, "secret/metadata", f"scan=true&{query}")[0] == wanted


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_version_1_has_depth_and_filter_too(server, limit):
    """A mount of either version."""
    server.ask("POST", "sys/mounts/old", {"type": "kv-v1"})
    for path in PATHS:
        server.ask("POST", f"old/{path}", {"n": 1})
    assert names(server, "old", f"scan=true&filter=*db&limit={limit}")[0] == [
        "app/db",
        "team-a/db",
        "team-b/db",
    ]
    assert names(server, "old", f"scan=true&depth=1&limit={limit}")[0] == [
        "app",
        "app/",
        "team-a/",
        "team-b/",
        "top",
    ]


def test_details_go_with_the_page(server):
    """Names and metadata of the same secrets."""
    data = server.ask("GET", "secret/detailed-metadata?scan=true&filter=*db&limit=2").data
    assert data["keys"] == list(data["key_info"]) == ["app/db", "team-a/db"]
    assert data["key_info"]["team-a/db"]["custom_metadata"] == {"of": "team-a/db"}
    assert server.ask("GET", "secret/detailed-metadata?scan=true&depth=1").data["key_info"]["app/"] == {}


@pytest.mark.parametrize(
    "query",
    [
        "scan=true&cursor=x",
        "scan=true&depth=-1",
        "scan=true&depth=x",
        "scan=true&after=app&cursor=x",
        "scan=true&filter=" + "a" * 600,
    ],
)
def test_what_makes_no_sense_is_refused(server, query):
    """As a bad request."""
    assert server.ask("GET", f"secret/metadata?{query}").status == 400


def test_a_cursor_belongs_to_its_list(server):
    """Not to another folder, verb or mount."""
    server.ask("POST", "sys/mounts/other", {"type": "kv-v2"})
    cursor = server.ask("GET", "secret/metadata?scan=true&filter=*&limit=1").data["next"]
    assert server.ask("GET", f"secret/metadata?scan=true&cursor={cursor}").status == 200
    for path in ("secret/metadata/app?scan=true", "secret/metadata?list=true", "other/metadata?scan=true"):
        assert server.ask("GET", f"{path}&cursor={cursor}").status == 400


TREES = st.sets(
    st.lists(st.sampled_from(["a", "b", "a-"]), min_size=1, max_size=4).map("/".join), min_size=1, max_size=12
)


@settings(max_examples=150, deadline=None)
@given(
    TREES,
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(0, 3),
    st.sets(st.sampled_from(["a/", "b/", "a/a/"])),
)
def test_pages_lose_nothing_and_repeat_nothing(tree, limit, looks, depth, closed):
    """Whatever the tree, the size of a page, the work allowed, the depth and the folders that are left out."""
    storage = MemoryStorage()
    with storage.begin(write=True) as tx:
        for name in tree:
            tx.put(f"t/{name}", b"")

        def walk(looks):
            return Walk(tx, "t/", enter=lambda folder: folder not in closed, depth=depth, looks=looks)

        whole = list(walk(10_000).names())
        assert whole == sorted(whole)
        if not depth:
            assert set(whole) == {n for n in tree if not any(n.startswith(folder) for folder in closed)}
        found, place, rounds = [], "", 0
        while place is not None:
            page = fill(walk(looks), place, lambda _: True, limit)
            found, place, rounds = found + page.names, page.place, rounds + 1
            assert rounds < 200
        assert found == whole


def test_a_folder_of_many_names_is_gone_through_whole():
    """More than a walk asks the store for at a time."""
    storage = MemoryStorage()
    with storage.begin(write=True) as tx:
        names = sorted(f"{number:04d}" for number in range(600))
        for name in names:
            tx.put(f"t/a/{name}", b"")
        walk = Walk(tx, "t/", enter=lambda _: True)
        assert list(walk.names()) == [f"a/{name}" for name in names]
        assert not walk.spent


# ── rights ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ('path "secret/data/team-a/*" { capabilities = ["read"] }', ["team-a/db", "team-a/x/y/z"]),
        ('path "secret/metadata/team-a/db" { capabilities = ["read"] }', ["team-a/db"]),
        ('path "secret/data/+/db" { capabilities = ["create"] }', ["app/db", "team-a/db", "team-b/db"]),
        ('path "secret/data/*" { capabilities = ["patch"] }', list(PATHS)),
        (
            'path "secret/data/*" { capabilities = ["read"] }\npath "secret/data/app/*" { capabilities = ["deny"] }',
            ["app", "team-a/db", "team-a/x/y/z", "team-b/db", "top"],
        ),
        ('path "secret/data/app" { capabilities = ["read"]\n min_wrapping_ttl = "1s" }', ["app"]),
        ('path "secret/data/*" { capabilities = ["list", "scan"] }', []),
        ('path "other/data/*" { capabilities = ["read"] }', []),
    ],
)
@pytest.mark.parametrize("few", [False, True])
def test_each_sees_their_own_names(filtered, rule, wanted, few, request, as_user):
    """Under one wide right to list: secrets by their own rights, folders by what is in them."""
    if few:
        request.getfixturevalue("few_looks")
    token = as_user(WIDE + rule)
    assert names(filtered, "secret/metadata", "scan=true", token)[0] == wanted
    top = dict.fromkeys(name if "/" not in name else name.split("/")[0] + "/" for name in wanted)
    assert names(filtered, "secret/metadata", "list=true", token)[0] == sorted(top)
    assert names(filtered, "secret/metadata", "scan=true&depth=1", token)[0] == sorted(top)
    team = [name.removeprefix("team-a/") for name in wanted if name.startswith("team-a/")]
    assert names(filtered, "secret/detailed-metadata/team-a", "scan=true", token)[0] == team


def test_root_sees_all(filtered):
    """Filtering takes nothing from whom everything is allowed."""
    assert names(filtered, "secret/metadata", "scan=true")[0] == list(PATHS)
    assert filtered.ask("GET", "secret/config").data["filtered_lists"] is True


def test_a_folder_of_nothing_is_not_named(filtered, as_user):
    """A rule with + reaches into every folder, yet only those that hold something of it are shown."""
    token = as_user(WIDE + 'path "secret/data/+/web/key" { capabilities = ["read"] }')
    assert names(filtered, "secret/metadata", "list=true", token)[0] == ["app/"]
    assert filtered.ask("GET", "secret/metadata/team-a?list=true", token=token).status == 404


def test_looking_into_a_folder_has_an_end(filtered, monkeypatch, as_user):
    """What does not show early is not shown in a list; asked for by name, the folder is."""
    monkeypatch.setattr(seen, "_LOOKS", 2)
    token = as_user(WIDE + 'path "secret/data/+/x/y/z" { capabilities = ["read"] }')
    assert names(filtered, "secret/metadata", "list=true", token)[0] == []
    assert names(filtered, "secret/metadata/team-a/x/y", "list=true", token)[0] == ["z"]


def test_a_page_that_ends_among_others_names_tells_none_of_them(filtered, few_looks, as_user):
    """The cursor is sealed, and of one length; the answer holds no name that is not the caller's."""
    token = as_user(WIDE + 'path "secret/data/top" { capabilities = ["read"] }')
    answer = filtered.ask("GET", "secret/metadata?scan=true", token=token)
    assert (answer.data["keys"], len(answer.data["next"]) > 100) == ([], True)
    assert b"team" not in answer.body
    assert names(filtered, "secret/metadata", "scan=true", token)[0] == ["top"]


def test_filtered_lists_still_need_the_right_to_list(filtered, as_user):
    """They take away, they never give."""
    token = as_user('path "secret/data/*" { capabilities = ["read"] }')
    assert filtered.ask("GET", "secret/metadata?list=true", token=token).status == 403
