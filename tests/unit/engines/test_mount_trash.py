"""sys/: mounts that cannot be disabled, and disabled mounts that can be restored."""

import pytest

from ml_secrets.testing.whole import Whole
from ml_secrets.upkeep import tidy, unmount

DAY = 86_400
TRASH = "sys/mounts-trash"


@pytest.fixture
def server():
    """An open server with a mount `team/` that is kept for a day, a secret in it."""
    whole = Whole()
    whole.ask("POST", "sys/mounts/team", {"type": "kv-v2", "config": {"trash_retention": "1d"}})
    whole.ask("POST", "team/data/app", {"data": {"n": 1}})
    yield whole
    whole.close()


def removed(server):
    answer = server.ask("GET", f"{TRASH}?list=true")
    return {} if answer.status == 404 else answer.data["key_info"]


def rows_of(server, uuid):
    return server.rows(f"mount/{uuid}/") + server.rows(f"open/mount/{uuid}/")


def upkeep(server):
    while tidy.run_once(server.house, server.now):
        pass
    while unmount.run_once(server.house):
        pass


def test_a_disabled_mount_is_out_of_reach_and_comes_back(server):
    """Same secrets, same accessor, same settings; its path was free meanwhile."""
    before = server.ask("GET", "sys/mounts/team").data
    assert before["config"]["trash_retention"] == DAY
    assert server.ask("DELETE", "sys/mounts/team").status == 204
    assert server.ask("GET", "team/data/app").status == 404
    assert "team/" not in server.ask("GET", "sys/mounts").data
    [(name, shown)] = removed(server).items()
    assert (shown["path"], shown["type"], shown["uuid"]) == ("team/", "kv", before["uuid"])
    assert (shown["removed_time"], shown["purge_time"]) == ("2023-11-14T22:13:20Z", "2023-11-15T22:13:20Z")
    server.now += DAY - 1
    upkeep(server)
    assert server.ask("POST", f"{TRASH}/{name}/restore").data == {"path": "team/"}
    assert server.ask("GET", "sys/mounts/team").data == before
    assert server.ask("GET", "team/data/app").data["data"] == {"n": 1}
    assert removed(server) == {}
    assert server.ask("POST", f"{TRASH}/{name}/restore").status == 404


def test_restoring_elsewhere_where_the_path_is_taken(server):
    """Nothing is overwritten; another path will do, of the same kind."""
    server.ask("DELETE", "sys/mounts/team")
    server.ask("POST", "sys/mounts/team", {"type": "kv-v1"})
    [name] = removed(server)
    assert server.ask("POST", f"{TRASH}/{name}/restore").errors == ["path is already in use at team/"]
    for path in ("sys/x", "auth/x", "cubbyhole/x", "team/x", "a/../b"):
        assert server.ask("POST", f"{TRASH}/{name}/restore", {"path": path}).status == 400
    assert server.ask("POST", f"{TRASH}/{name}/restore", {"path": "old/team/"}).data == {"path": "old/team/"}
    assert server.ask("GET", "old/team/data/app").data["data"] == {"n": 1}


def test_without_retention_a_mount_is_removed_at_once(server):
    """As in Vault; and a retention can be taken off again."""
    uuid = server.ask("GET", "sys/mounts/team").data["uuid"]
    server.ask("POST", "sys/mounts/team/tune", {"trash_retention": "0"})
    assert "trash_retention" not in server.ask("GET", "sys/mounts/team").data["config"]
    server.ask("DELETE", "sys/mounts/team")
    assert removed(server) == {}
    upkeep(server)
    assert rows_of(server, uuid) == []


@pytest.mark.parametrize("now", [True, False])
def test_a_purged_mount_leaves_no_row(server, now):
    """Purged by hand, or by upkeep when it is due; from that moment on it counts as gone."""
    uuid = server.ask("GET", "sys/mounts/team").data["uuid"]
    server.ask("DELETE", "sys/mounts/team")
    [name] = removed(server)
    upkeep(server)
    assert rows_of(server, uuid)
    if now:
        assert server.ask("DELETE", f"{TRASH}/{name}").status == 204
    else:
        server.now += DAY
    assert removed(server) == {}
    assert server.ask("POST", f"{TRASH}/{name}/restore").status == 404
    upkeep(server)
    assert rows_of(server, uuid) == []
    assert not [row for row in server.rows("open/") if "mount-trash" in row]
    assert server.ask("DELETE", f"{TRASH}/{name}").status == 204


def test_an_auth_method_comes_back_without_its_tokens(server):
    """Users and their passwords do; who was logged in logs in again."""
    server.ask("POST", "sys/auth/people", {"type": "userpass", "config": {"trash_retention": 60}})
    server.ask("POST", "auth/people/users/ada", {"password": "fake-password"})
    login = server.ask("POST", "auth/people/login/ada", {"password": "fake-password"}, token=None)
    token = login.json["auth"]["client_token"]
    server.ask("DELETE", "sys/auth/people")
    assert server.ask("GET", "auth/token/lookup-self", token=token).status == 403
    [name] = removed(server)
    assert server.ask("POST", f"{TRASH}/{name}/restore", {"path": "people"}).status == 400
    assert server.ask("POST", f"{TRASH}/{name}/restore").data == {"path": "auth/people/"}
    assert server.ask("GET", "auth/token/lookup-self", token=token).status == 403
    again = server.ask("POST", "auth/people/login/ada", {"password": "fake-password"}, token=None)
    assert again.status == 200


@pytest.mark.parametrize("kind", ["mounts/team", "auth/people"])
def test_a_protected_mount_cannot_be_disabled(server, kind):
    """Until the protection is taken off by who may tune it; the tokens of a method live on."""
    server.ask("POST", "sys/auth/people", {"type": "userpass"})
    assert server.ask("POST", f"sys/{kind}/tune", {"deletion_protected": "true"}).status == 204
    assert server.ask("GET", f"sys/{kind}/tune").data["deletion_protected"] is True
    answer = server.ask("DELETE", f"sys/{kind}")
    assert answer.status == 400
    assert "protected from deletion" in answer.errors[0]
    assert server.ask("GET", f"sys/{kind}").status == 200
    server.ask("POST", f"sys/{kind}/tune", {"deletion_protected": False})
    assert server.ask("DELETE", f"sys/{kind}").status == 204
    assert server.ask("GET", f"sys/{kind}").status == 400


def test_protection_needs_the_right_to_tune(server, as_user):
    """A right to disable is none to take the protection off."""
    server.ask("POST", "sys/mounts/team/tune", {"deletion_protected": True})
    token = as_user('path "sys/mounts/team" { capabilities = ["delete"] }')
    assert server.ask("DELETE", "sys/mounts/team", token=token).status == 400
    assert (
        server.ask("POST", "sys/mounts/team/tune", {"deletion_protected": False}, token=token).status == 403
    )


@pytest.mark.parametrize("rights", ['"list", "update", "delete"', '"list", "update", "delete", "sudo"'])
def test_the_trash_of_mounts_needs_sudo(server, rights, as_user):
    """To see it, to restore from it, to purge it."""
    server.ask("DELETE", "sys/mounts/team")
    [name] = removed(server)
    token = as_user(f'path "sys/mounts-trash*" {{ capabilities = [{rights}] }}')
    allowed = "sudo" in rights
    assert (server.ask("GET", f"{TRASH}?list=true", token=token).status == 200) is allowed
    assert (server.ask("POST", f"{TRASH}/{name}/restore", token=token).status == 200) is allowed
    server.ask("DELETE", "sys/mounts/team")
    names = list(removed(server))
    for each in names:
        assert (server.ask("DELETE", f"{TRASH}/{each}", token=token).status == 204) is allowed


@pytest.mark.parametrize(
    "config", [{"trash_retention": -1}, {"trash_retention": "x"}, {"deletion_protected": "x"}]
)
def test_settings_that_make_no_sense_are_refused(server, config):
    """Nothing is guessed."""
    assert server.ask("POST", "sys/mounts/team/tune", config).status == 400


def test_two_mounts_of_one_path_lie_side_by_side(server):
    """Each by its own name, in the order of their purging; a bounded round takes them one after another."""
    server.ask("DELETE", "sys/mounts/team")
    server.now += 1
    server.ask("POST", "sys/mounts/team", {"type": "kv-v2", "config": {"trash_retention": "1d"}})
    server.ask("DELETE", "sys/mounts/team")
    assert [shown["path"] for shown in removed(server).values()] == ["team/", "team/"]
    server.now += DAY
    assert tidy.run_once(server.house, server.now, limit=1)
    assert tidy.run_once(server.house, server.now, limit=1)
    assert not tidy.run_once(server.house, server.now, limit=1)
