"""KV version 2: move/<path> and copy/<path>, on a whole server, since they ask for rights on several paths."""

import pytest

from ml_secrets.engines.kv import transfer
from ml_secrets.testing.whole import Whole

POLICY = """
path "secret/move/a/*" { capabilities = ["update"] }
path "secret/copy/a/*" { capabilities = ["update"] }
path "secret/metadata/a/*" { capabilities = ["delete", "scan"] }
path "secret/data/b/*" { capabilities = ["create"] }
path "secret/metadata/b/*" { capabilities = ["create"] }
"""


@pytest.fixture
def server():
    """An open server with `secret/` and a second KV version 2 mount `team/`."""
    whole = Whole()
    whole.ask("POST", "sys/mounts/team", {"type": "kv-v2"})
    yield whole
    whole.close()


@pytest.fixture
def history(server):
    """A secret with a deleted, a destroyed and two live versions, notes and rules."""
    for number in range(4):
        server.ask("POST", "secret/data/a/db", {"data": {"n": number}})
        server.now += 10
    server.ask("POST", "secret/delete/a/db", {"versions": [2]})
    server.ask("POST", "secret/destroy/a/db", {"versions": [1]})
    server.ask("POST", "secret/metadata/a/db", {"max_versions": 7, "custom_metadata": {"owner": "ada"}})
    server.now += 10
    return server.ask("GET", "secret/metadata/a/db").data


@pytest.mark.parametrize("mount", ["secret", "team"])
def test_a_move_takes_everything_along(server, history, mount):
    """Numbers, times, deleted and destroyed versions, notes, rules: all as it was, and the old place is empty."""
    body = {"to": "b/db", "mount": mount}
    assert server.ask("POST", "secret/move/a/db", body).data == {"secrets": 1, "versions": 4}
    assert server.ask("GET", f"{mount}/metadata/b/db").data == history
    assert server.ask("GET", "secret/metadata/a/db").status == 404
    assert server.ask("GET", "secret/metadata?list=true").json.get("data") == (
        {"keys": ["b/"]} if mount == "secret" else None
    )
    assert server.ask("GET", f"{mount}/data/b/db").data["data"] == {"n": 3}
    assert server.ask("GET", f"{mount}/data/b/db?version=2").status == 404
    server.ask("POST", f"{mount}/undelete/b/db", {"versions": [2]})
    assert server.ask("GET", f"{mount}/data/b/db?version=2").data["data"] == {"n": 1}
    assert server.ask("POST", f"{mount}/data/b/db", {"data": {}}).data["version"] == 5


@pytest.mark.parametrize("mount", ["secret", "team"])
def test_a_copy_is_a_secret_of_its_own(server, history, mount):
    """The same history at first; what is then done to one is not done to the other."""
    assert server.ask("POST", "secret/copy/a/db", {"to": "b/db", "mount": mount}).status == 200
    assert server.ask("GET", f"{mount}/metadata/b/db").data == history
    assert server.ask("DELETE", "secret/metadata/a/db").status == 204
    assert server.ask("GET", f"{mount}/data/b/db?version=3").data["data"] == {"n": 2}
    assert server.ask("GET", "secret/data/a/db").status == 404


def test_a_move_to_another_mount_leaves_no_content_behind(server, history):
    """Every row of the old mount is gone, but for its settings."""
    uuid = server.ask("GET", "sys/mounts/secret").data["uuid"]
    assert any("/v/" in name for name in server.rows(f"open/mount/{uuid}/"))
    server.ask("POST", "secret/move/a/db", {"to": "db", "mount": "team"})
    assert server.rows(f"open/mount/{uuid}/") == server.rows(f"mount/{uuid}/") == []


def test_a_read_that_is_answered_from_memory_follows_a_move(server, history):
    """Read often enough to be remembered, then moved, removed and put back: each read tells what is there now."""
    server.ask("POST", "secret/config", {"trash_retention": "1h"})

    def reads(path):
        return {server.ask("GET", f"secret/data/{path}").status for _ in range(3)}

    assert (reads("a/db"), reads("b/db")) == ({200}, {404})
    server.ask("POST", "secret/move/a/db", {"to": "b/db"})
    assert (reads("a/db"), reads("b/db")) == ({404}, {200})
    server.ask("DELETE", "secret/metadata/b/db")
    assert reads("b/db") == {404}
    server.ask("POST", "secret/restore/b/db")
    assert reads("b/db") == {200}


def test_there_and_back_again(server, history):
    """A secret that returns to its mount is the one it was."""
    etag = server.ask("GET", "secret/data/a/db").headers["etag"]
    server.ask("POST", "secret/move/a/db", {"to": "db", "mount": "team"})
    server.ask("POST", "team/move/db", {"to": "a/db", "mount": "secret"})
    assert server.ask("GET", "secret/metadata/a/db").data == history
    assert server.ask("GET", "secret/data/a/db").headers["etag"] == etag


@pytest.mark.parametrize("verb", ["move", "copy"])
@pytest.mark.parametrize("mount", ["secret", "team"])
def test_nothing_is_overwritten(server, history, verb, mount):
    """Neither a secret nor metadata alone; also not by itself. The source stays."""
    server.ask("POST", f"{mount}/metadata/b/db", {"max_versions": 2})
    answer = server.ask("POST", f"secret/{verb}/a/db", {"to": "b/db", "mount": mount})
    assert (answer.status, answer.errors) == (400, [f"there is a secret at {mount}/b/db already"])
    assert server.ask("POST", f"secret/{verb}/a/db", {"to": "a/db"}).status == 400
    assert server.ask("GET", "secret/metadata/a/db").data == history
    assert server.ask("GET", f"{mount}/metadata/b/db").data["max_versions"] == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"to": ""}, 400),
        ({"to": "/"}, 400),
        ({"to": "b/../c"}, 400),
        ({"to": "b//c"}, 400),
        ({"to": "b\u0000"}, 400),
        ({"to": "b" * 510}, 400),
        ({"to": "b", "mount": "none"}, 400),
        ({"to": "b", "mount": "sys"}, 400),
        ({"to": "b", "mount": "kv1"}, 400),
        ({"to": "b", "mount": "team/b"}, 400),
        ({"to": ["b"]}, 400),
    ],
)
def test_a_place_that_is_none_is_refused(server, history, body, status):
    """No name, a relative one, one too long to ask for; no mount, or none of KV version 2."""
    server.ask("POST", "sys/mounts/kv1", {"type": "kv-v1"})
    assert server.ask("POST", "secret/move/a/db", body).status == status
    assert server.ask("GET", "secret/metadata/a/db").data == history


def test_what_is_not_there_is_a_404(server):
    """A secret, and a folder."""
    assert server.ask("POST", "secret/move/a/db", {"to": "b"}).status == 404
    assert server.ask("POST", "secret/copy/a", {"to": "b", "recursive": True}).status == 404


def test_a_secret_too_large_for_one_request_is_refused_whole(server, history, monkeypatch):
    """The bound counts what is copied; a move within the mount copies nothing."""
    monkeypatch.setattr(transfer, "_ROW", transfer.MOST_BYTES)
    assert server.ask("POST", "secret/copy/a/db", {"to": "b"}).status == 413
    assert server.ask("POST", "secret/move/a/db", {"to": "b", "mount": "team"}).status == 413
    assert server.ask("POST", "secret/copy/a", {"to": "b", "recursive": True}).status == 413
    assert server.ask("GET", "secret/metadata?list=true").data["keys"] == ["a/"]
    assert server.ask("POST", "secret/move/a/db", {"to": "b"}).status == 200


# ── folders ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("verb", ["move", "copy"])
@pytest.mark.parametrize("mount", ["secret", "team"])
def test_a_folder_goes_in_pages(server, verb, mount):
    """Each page says where the next begins; the secret of the folder's own name is none of it."""
    names = ["x", "y/1", "y/2", "y/2/z", "zz"]
    for name in names:
        server.ask("POST", f"secret/data/a/{name}", {"data": {"is": name}})
    server.ask("POST", "secret/data/a", {"data": {}})
    after, counts = "", []
    while True:
        body = {"to": "b/c", "mount": mount, "recursive": True, "limit": 2, "after": after}
        page = server.ask("POST", f"secret/{verb}/a", body).data
        counts.append(page["secrets"])
        after = page["next"]
        if not after:
            break
    assert counts == [2, 2, 1]
    assert server.ask("GET", f"{mount}/metadata/b/c?scan=true").data["keys"] == names
    assert server.ask("GET", f"{mount}/data/b/c/y/2/z").data["data"] == {"is": "y/2/z"}
    left = server.ask("GET", "secret/metadata/a?scan=true").json.get("data")
    assert left == (None if verb == "move" else {"keys": names})
    assert server.ask("GET", "secret/data/a").status == 200


def test_a_folder_to_the_root_of_a_mount(server):
    """An empty name is the root."""
    server.ask("POST", "secret/data/a/x", {"data": {}})
    assert server.ask("POST", "secret/move/a", {"to": "", "mount": "team", "recursive": True}).status == 200
    assert server.ask("GET", "team/metadata?list=true").data["keys"] == ["x"]


@pytest.mark.parametrize(("path", "to"), [("a", "a"), ("a", "a/b"), ("a/b", "a")])
def test_a_folder_is_not_put_into_itself(server, path, to):
    """Also not where only one of its secrets would land in it; nothing has moved then."""
    for name in ("a/b/b/x", "a/b/y"):
        server.ask("POST", f"secret/data/{name}", {"data": {}})
    assert server.ask("POST", f"secret/move/{path}", {"to": to, "recursive": True}).status == 400
    assert server.ask("GET", "secret/metadata?scan=true").data["keys"] == ["a/b/b/x", "a/b/y"]


def test_a_page_is_done_whole_or_not_at_all(server):
    """One name that is taken keeps the others where they are."""
    for name in ("a/x", "a/y", "b/y"):
        server.ask("POST", f"secret/data/{name}", {"data": {}})
    assert server.ask("POST", "secret/move/a", {"to": "b", "recursive": True}).status == 400
    assert server.ask("GET", "secret/metadata?scan=true").data["keys"] == ["a/x", "a/y", "b/y"]
    assert server.ask("POST", "secret/move/a", {"to": "c", "recursive": True, "limit": 0}).status == 400


# ── rights ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_move_needs_no_right_to_read(server, history, as_user):
    """The right to move, to delete at the old place and to create at the new one are enough."""
    token = as_user(POLICY)
    assert server.ask("POST", "secret/move/a/db", {"to": "b/db"}, token=token).status == 200
    assert server.ask("GET", "secret/metadata/b/db").data == history


@pytest.mark.parametrize(
    "lacking",
    [
        'path "secret/move/a/*" { capabilities = ["update"] }',
        '"delete", ',
        'path "secret/data/b/*" { capabilities = ["create"] }',
        'path "secret/metadata/b/*" { capabilities = ["create"] }',
    ],
)
def test_each_right_is_needed(server, history, lacking, as_user):
    """Without any one of them: 403, and nothing has changed."""
    assert lacking in POLICY
    token = as_user(POLICY.replace(lacking, ""))
    assert server.ask("POST", "secret/move/a/db", {"to": "b/db"}, token=token).status == 403
    assert server.ask("GET", "secret/metadata/a/db").data == history


GAINS = [
    'path "secret/data/b/*" { capabilities = ["create", "read"] }',
    'path "secret/data/b/+" { capabilities = ["create", "read"] }',
    'path "secret/data/b/db" { capabilities = ["create", "read"]\n min_wrapping_ttl = "1s" }',
    'path "secret/data/b/db" { capabilities = ["create", "read"]\n allowed_parameters = { "version" = ["1"] } }',
    'path "secret/subkeys/b/*" { capabilities = ["read"] }',
    'path "secret/undelete/b/*" { capabilities = ["update"] }',
    'path "secret/metadata/b/*" { capabilities = ["read"] }',
    'path "secret/detailed-metadata/b" { capabilities = ["list"] }',
    'path "secret/detailed-metadata/b/*" { capabilities = ["scan"] }',
]


@pytest.mark.parametrize("gain", GAINS)
def test_nobody_sees_more_for_having_moved_a_secret(server, history, gain, as_user):
    """A right to see at the new place that does not hold at the old one refuses the move, whatever its conditions."""
    token = as_user(POLICY + gain)
    answer = server.ask("POST", "secret/move/a/db", {"to": "b/db"}, token=token)
    assert answer.status == 403
    assert server.ask("GET", "secret/metadata/a/db").data == history


def test_who_sees_the_same_at_both_places_may_move(server, history, as_user):
    """A right to read at the old place, without conditions, allows one at the new place."""
    for rule in ("secret/*", "secret/detailed-metadata"):
        token = as_user(POLICY + f'path "{rule}" {{ capabilities = ["scan"] }}')
        assert server.ask("POST", "secret/copy/a/db", {"to": "b/db"}, token=token).status == 403
        assert server.ask("POST", "secret/move/a/db", {"to": "b/db"}, token=token).status == 200
        server.ask("POST", "secret/move/b/db", {"to": "a/db"})
    gain = 'path "secret/data/b/*" { capabilities = ["create", "read"] }\n'
    held = 'path "secret/data/a/*" { capabilities = ["read"]'
    for rule, status in ((held + "\n min_wrapping_ttl = 1 }", 403), (held + " }", 200)):
        token = as_user(POLICY + gain + rule)
        assert server.ask("POST", "secret/move/a/db", {"to": "b/db"}, token=token).status == status


def test_a_detour_gains_nothing(server, history, as_user):
    """By a place where one reads nothing to one where one reads: the second step is refused."""
    token = as_user(
        POLICY
        + """
        path "secret/move/b/*" { capabilities = ["update"] }
        path "secret/copy/b/*" { capabilities = ["update"] }
        path "secret/metadata/b/*" { capabilities = ["create", "delete"] }
        path "secret/data/mine/*" { capabilities = ["create", "read"] }
        path "secret/metadata/mine/*" { capabilities = ["create"] }
        """,
    )
    assert server.ask("POST", "secret/move/a/db", {"to": "mine/db"}, token=token).status == 403
    assert server.ask("POST", "secret/move/a/db", {"to": "b/db"}, token=token).status == 200
    for verb in ("move", "copy"):
        assert server.ask("POST", f"secret/{verb}/b/db", {"to": "mine/db"}, token=token).status == 403


def test_a_right_to_write_that_has_conditions_is_none_to_move(server, history, as_user):
    """What a rule allows or denies in a body cannot be looked at here."""
    rule = 'path "secret/data/b/*" { capabilities = ["create"]\n denied_parameters = { "x" = [] } }'
    policy = POLICY.replace('path "secret/data/b/*" { capabilities = ["create"] }', rule)
    answer = server.ask("POST", "secret/move/a/db", {"to": "b/db"}, token=as_user(policy))
    assert answer.status == 403
    assert "hangs on parameters" in answer.json["hint"]


def test_a_copy_needs_the_right_to_read(server, history, as_user):
    """Who may move blindly may not copy blindly."""
    assert server.ask("POST", "secret/copy/a/db", {"to": "b/db"}, token=as_user(POLICY)).status == 403
    held = POLICY + 'path "secret/data/a/*" { capabilities = ["read"] }'
    assert server.ask("POST", "secret/copy/a/db", {"to": "b/db"}, token=as_user(held)).status == 200
    gain = held + 'path "secret/undelete/b/*" { capabilities = ["update"] }'
    answer = server.ask("POST", "secret/copy/a/db", {"to": "b/db2"}, token=as_user(gain))
    assert answer.status == 403
    assert "deleted versions" in answer.json["hint"]


def test_a_mount_out_of_reach_is_refused_whether_it_is_there_or_not(server, history, as_user):
    """So the refusal tells nobody which mounts there are."""
    token = as_user(POLICY)
    texts = {
        server.ask("POST", "secret/move/a/db", {"to": "b/db", "mount": mount}, token=token).status
        for mount in ("team", "none", "sys", "cubbyhole")
    }
    assert texts == {403}


def test_a_folder_asks_for_each_secret(server, as_user):
    """One that may not be moved keeps all where they are; without the right to scan nothing is even looked at."""
    for name in ("x", "y", "z"):
        server.ask("POST", f"secret/data/a/{name}", {"data": {}})
    body = {"to": "b", "recursive": True}
    rights = POLICY + 'path "secret/move/a" { capabilities = ["update"] }'
    for rule in ("secret/move/a/y", "secret/metadata/a/y"):
        token = as_user(rights + f'path "{rule}" {{ capabilities = ["deny"] }}')
        assert server.ask("POST", "secret/move/a", body, token=token).status == 403
    token = as_user(rights.replace(', "scan"', ""))
    assert server.ask("POST", "secret/move/a", body, token=token).status == 403
    assert server.ask("GET", "secret/metadata/a?list=true").data["keys"] == ["x", "y", "z"]
    assert server.ask("POST", "secret/move/a", body, token=as_user(rights)).data["secrets"] == 3
