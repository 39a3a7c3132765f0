"""KV version 2: the trash of a mount with `trash_retention`."""

import pytest

from ml_secrets.domain import version as model
from ml_secrets.engines.kv import pages, rows, trash
from ml_secrets.errors import TamperFault
from ml_secrets.testing.whole import Whole
from ml_secrets.upkeep import tidy

DAY = 86_400


@pytest.fixture
def server():
    """An open server whose mount `secret/` keeps removed secrets for a day."""
    whole = Whole()
    whole.ask("POST", "secret/config", {"trash_retention": "1d"})
    yield whole
    whole.close()


def write(server, path, count=1):
    for number in range(count):
        server.ask("POST", f"secret/data/{path}", {"data": {"n": number}})


def remove(server, path):
    assert server.ask("DELETE", f"secret/metadata/{path}").status == 204


def removed(server, path="", query=""):
    answer = server.ask("GET", f"secret/trash{path}?scan=true{query}")
    return (
        [] if answer.status == 404 else [answer.data["key_info"][key]["path"] for key in answer.data["keys"]]
    )


def content_rows(server):
    uuid = server.ask("GET", "sys/mounts/secret").data["uuid"]
    return [name for name in server.rows(f"open/mount/{uuid}/") if "/v/" in name or "/due/" in name]


def test_without_retention_nothing_is_kept(server):
    """As in Vault: gone for good at once."""
    server.ask("POST", "secret/config", {"trash_retention": 0})
    assert "trash_retention" not in server.ask("GET", "secret/config").data
    write(server, "app")
    remove(server, "app")
    assert removed(server) == content_rows(server) == []


def test_a_removed_secret_is_nowhere_but_in_the_trash(server):
    """No read, no list; the name is free, for cas=0 too."""
    assert server.ask("GET", "secret/config").data["trash_retention"] == "24h0m0s"
    write(server, "a/app", 2)
    remove(server, "a/app")
    assert server.ask("GET", "secret/data/a/app").status == 404
    assert server.ask("GET", "secret/metadata/a/app").status == 404
    assert server.ask("GET", "secret/metadata?list=true").status == 404
    assert server.ask("POST", "secret/data/a/app", {"data": {}, "options": {"cas": 0}}).data["version"] == 1
    assert removed(server) == removed(server, "/a") == removed(server, "/a/app") == ["a/app"]
    assert removed(server, "/b") == []


def test_restore_brings_all_of_it_back(server):
    """Versions, their numbers and times, soft deletes, notes and rules; the opaque ids too."""
    write(server, "app", 3)
    server.ask("POST", "secret/delete/app", {"versions": [2]})
    server.ask("POST", "secret/metadata/app", {"cas_required": True, "custom_metadata": {"owner": "ada"}})
    before = server.ask("GET", "secret/metadata/app").data
    etag = server.ask("GET", "secret/data/app").headers["etag"]
    remove(server, "app")
    server.now += DAY - 1
    assert server.ask("POST", "secret/restore/app").data["versions"] == 3
    assert server.ask("GET", "secret/metadata/app").data == before
    again = server.ask("GET", "secret/data/app")
    assert (again.data["data"], again.headers["etag"]) == ({"n": 2}, etag)
    assert removed(server) == []
    assert server.ask("POST", "secret/restore/app").status == 404


def test_what_is_due_is_gone_before_it_is_purged(server):
    """From the moment on; then upkeep takes every row away, and touches nothing else."""
    write(server, "other")
    rest = content_rows(server)
    write(server, "app", 3)
    remove(server, "app")
    server.now += DAY - 1
    assert not tidy.run_once(server.house, server.now)
    server.now += 1
    assert removed(server) == []
    assert server.ask("POST", "secret/restore/app").status == 404
    assert server.ask("GET", "secret/trash/app").status == 404
    assert len(content_rows(server)) == len(rest) + 4
    assert tidy.run_once(server.house, server.now)
    assert content_rows(server) == rest
    assert not tidy.run_once(server.house, server.now)


def test_upkeep_works_in_rounds(server):
    """However much is due, a round does a bounded part; all of it in the end, in every mount."""
    server.ask("POST", "sys/mounts/other", {"type": "kv-v2"})
    server.ask("POST", "other/config", {"trash_retention": 60})
    server.ask("POST", "other/data/x", {"data": {}})
    server.ask("DELETE", "other/metadata/x")
    for number in range(5):
        write(server, f"app{number}")
        remove(server, f"app{number}")
    server.now += DAY
    rounds = 0
    while tidy.run_once(server.house, server.now, limit=6):
        rounds += 1
    assert rounds == 3
    assert content_rows(server) == []
    uuid = server.ask("GET", "sys/mounts/other").data["uuid"]
    assert server.rows(f"mount/{uuid}/") == []


def test_a_mount_that_is_disabled_while_upkeep_looks_is_left_alone(server, monkeypatch):
    """Its data goes with it; the round goes on with the others."""
    write(server, "app")
    remove(server, "app")
    server.now += DAY
    read = server.house.units.read

    def then_disable(work):
        found = read(work)
        server.ask("DELETE", "sys/mounts/secret")
        server.ask("POST", "sys/mounts/secret", {"type": "kv-v2"})
        return found

    with monkeypatch.context() as patch:
        patch.setattr(
            server.house.units,
            "read",
            lambda work: then_disable(work) if work.__name__ == "waiting" else read(work),
        )
        assert tidy.run_once(server.house, server.now)
    assert not tidy.run_once(server.house, server.now)
    assert content_rows(server) == []


def test_several_of_one_name(server):
    """The newest comes back first; an older one by its id, once the name is free."""
    for number in range(3):
        server.ask("POST", "secret/data/app", {"data": {"n": number}})
        remove(server, "app")
        server.now += 1
    shown = server.ask("GET", "secret/trash/app").data
    assert shown["path"] == "app"
    ids = [entry["id"] for entry in shown["removed"]]
    assert [entry["removed_time"] for entry in shown["removed"]] == [
        "2023-11-14T22:13:22Z",
        "2023-11-14T22:13:21Z",
        "2023-11-14T22:13:20Z",
    ]
    assert shown["removed"][0]["purge_time"] == "2023-11-15T22:13:22Z"
    assert server.ask("POST", "secret/restore/app").data == {"id": ids[0], "versions": 1}
    assert server.ask("GET", "secret/data/app").data["data"] == {"n": 2}
    answer = server.ask("POST", "secret/restore/app", {"id": ids[2]})
    assert answer.errors == ["there is a secret at secret/app already"]
    server.ask("POST", "secret/move/app", {"to": "newest"})
    assert server.ask("POST", "secret/restore/app", {"id": ids[2]}).status == 200
    assert server.ask("GET", "secret/data/app").data["data"] == {"n": 0}


def test_purge_now(server):
    """One by its id, or all of a name; others stay."""
    for path in ("app", "app", "app", "app/db"):
        write(server, path)
        remove(server, path)
        server.now += 1
    ids = [entry["id"] for entry in server.ask("GET", "secret/trash/app").data["removed"]]
    assert server.ask("DELETE", f"secret/trash/app?id={ids[1]}").data == {"purged": 1, "more": False}
    assert server.ask("DELETE", f"secret/trash/app?id={ids[1]}").data == {"purged": 0, "more": False}
    left = [entry["id"] for entry in server.ask("GET", "secret/trash/app").data["removed"]]
    assert left == [ids[0], ids[2]]
    assert server.ask("DELETE", "secret/trash/app").data == {"purged": 2, "more": False}
    assert removed(server) == ["app/db"]
    remaining = server.ask("GET", "secret/trash/app/db").data["removed"][0]["id"]
    assert server.ask("DELETE", "secret/trash/app/db").data["purged"] == 1
    assert content_rows(server) == []
    assert server.ask("POST", "secret/restore/app/db", {"id": remaining}).status == 404


def test_purging_all_is_bounded(server, monkeypatch):
    """And says that there is more."""
    monkeypatch.setattr(trash, "_MOST_PURGED", 2)
    for _ in range(3):
        write(server, "app")
        remove(server, "app")
        server.now += 1
    assert server.ask("DELETE", "secret/trash/app").data == {"purged": 2, "more": True}
    assert server.ask("DELETE", "secret/trash/app").data == {"purged": 1, "more": False}


@pytest.mark.parametrize("id_", ["x", "../x", "db/./{}", "./{}", "{}/", "", "0" * 600])
def test_an_id_names_nothing_but_one_of_that_name(server, id_):
    """No other name's, however it is spelt: a right on one path purges nothing of another."""
    for path in ("app/db", "other"):
        write(server, path)
        remove(server, path)
    theirs = server.ask("GET", "secret/trash/app/db").data["removed"][0]["id"]
    answer = server.ask("DELETE", "secret/trash/app", {"id": id_.replace("{}", theirs)})
    assert answer.data["purged"] == 0
    assert server.ask("POST", "secret/restore/app", {"id": id_.replace("{}", theirs)}).status == 404
    assert removed(server) == ["app/db", "other"]


def test_many_names_below_hide_none_of_a_name(server, monkeypatch):
    """What is removed of a name is found, whatever is removed below it."""
    monkeypatch.setattr(trash, "_MOST", 2)
    for path in ("app", "app/!0", "app/!1", "app/!2", "app/-"):
        write(server, path)
        remove(server, path)
    assert server.ask("POST", "secret/restore/app").status == 200


def test_pages_of_the_trash(server, monkeypatch):
    """By limit, and by the work that a request may do; a filter goes by the path."""
    for path in ("a/1", "a/2", "b/1", "c"):
        write(server, path)
        remove(server, path)
    assert removed(server, query="&filter=*/1") == ["a/1", "b/1"]
    monkeypatch.setattr(pages.Walk.__init__, "__kwdefaults__", {"depth": 0, "looks": 13})
    for query in ("&limit=1", "&limit=3", ""):
        found, cursor, rounds = [], "", 0
        while rounds < 30:
            answer = server.ask("GET", f"secret/trash?scan=true{query}{cursor and f'&cursor={cursor}'}")
            found += [answer.data["key_info"][key]["path"] for key in answer.data["keys"]]
            cursor, rounds = answer.data.get("next", ""), rounds + 1
            if not cursor:
                break
        assert found == ["a/1", "a/2", "b/1", "c"]


def test_a_clock_that_is_far_off_breaks_no_order(server):
    """Removed at the end of time, and for longer than there is time."""
    server.ask("POST", "secret/config", {"trash_retention": 10**9})
    server.now = 10.0**12
    write(server, "app")
    remove(server, "app")
    assert server.ask("POST", "secret/restore/app").status == 200


def test_a_row_that_is_missing_is_said(server):
    """Somebody took a row out of the store: purging does not go over it in silence."""
    write(server, "app")
    remove(server, "app")
    with server.house.units.write() as unit:
        mount = server.house.mounts.table(unit).by_path["secret/"]
        store = server.house.store_of(unit, mount)
        [id_] = store.list("trash/app/./")
        store.delete(f"trash/app/./{id_}")
    with pytest.raises(TamperFault):
        tidy.run_once(server.house, server.now + DAY)


def test_a_tombstone_of_another_dialect_stays_where_it_is(server):
    """A secret removed in its place (for an AWS client, say) is none of this trash's, and its name is taken."""
    write(server, "app")
    with server.house.units.write() as unit:
        mount = server.house.mounts.table(unit).by_path["secret/"]
        store, opaque = server.house.store_of(unit, mount), server.house.opaque_of(unit, mount)
        rows.keep(store, opaque, "app", model.remove(rows.find(store, "app"), 1.0, 2.0), 1.0)
    remove(server, "app")
    assert removed(server) == []
    write(server, "b")
    remove(server, "b")
    assert server.ask("POST", "secret/move/b", {"to": "app"}).status == 404
    assert server.ask("POST", "secret/restore/app").status == 404


# ── rights ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_step_has_a_right_of_its_own(server, as_user):
    """Removing takes no right to purge; restoring takes `update` on restore/."""
    write(server, "app")
    token = as_user('path "secret/metadata/*" { capabilities = ["delete"] }')
    assert server.ask("DELETE", "secret/metadata/app", token=token).status == 204
    for method, path in (
        ("GET", "secret/trash?scan=true"),
        ("GET", "secret/trash/app"),
        ("POST", "secret/restore/app"),
        ("DELETE", "secret/trash/app"),
    ):
        assert server.ask(method, path, token=token).status == 403
    token = as_user('path "secret/restore/*" { capabilities = ["update"] }')
    assert server.ask("POST", "secret/restore/app", token=token).status == 200


def test_a_scan_shows_nothing_that_is_denied(server, as_user):
    """Under one wide right, a rule for a name alone counts; where lists are filtered, only one's own show."""
    for path in ("a/app", "b/app"):
        write(server, path)
        remove(server, path)
    wide = (
        'path "secret/trash" { capabilities = ["scan"] }\npath "secret/trash/*" { capabilities = ["scan"] }\n'
    )

    def seen(rule):
        answer = server.ask("GET", "secret/trash?scan=true", token=as_user(wide + rule))
        return [] if answer.status == 404 else [entry["path"] for entry in answer.data["key_info"].values()]

    assert seen("") == ["a/app", "b/app"]
    assert seen('path "secret/trash/a/*" { capabilities = ["deny"] }') == ["b/app"]
    server.ask("POST", "secret/config", {"filtered_lists": True})
    assert seen("") == []
    assert seen('path "secret/data/a/*" { capabilities = ["read"] }') == ["a/app"]
    assert seen('path "secret/restore/b/*" { capabilities = ["update"] }') == ["b/app"]
    assert seen('path "secret/trash/a/*" { capabilities = ["delete"] }') == ["a/app"]
