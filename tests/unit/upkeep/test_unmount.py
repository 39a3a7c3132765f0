"""The data of a disabled mount: out of reach at once, removed in rounds."""

import pytest

from ml_secrets.testing.whole import Whole
from ml_secrets.upkeep import unmount

SECRETS = 40


@pytest.fixture
def whole():
    server = Whole()
    server.ask("POST", "sys/mounts/team", {"type": "kv", "options": {"version": "2"}})
    for number in range(SECRETS):
        server.ask("POST", f"team/data/folder/s{number}", {"data": {"value": f"fake-{number}"}})
    return server


def data_rows(whole):
    return [row for row in whole.rows() if "/mount/" in f"/{row}"]


def test_a_disabled_mount_is_out_of_reach_at_once_and_then_gone(whole):
    """A new mount at the same path sees nothing of it; after the rounds no row is left, and no mark."""
    before = len(data_rows(whole))
    assert whole.ask("DELETE", "sys/mounts/team").status == 204
    whole.ask("POST", "sys/mounts/team", {"type": "kv", "options": {"version": "2"}})
    assert whole.ask("GET", "team/data/folder/s1").status == 404
    rounds = 0
    while unmount.run_once(whole.house, limit=10):
        rounds += 1
    assert rounds > 2 * SECRETS // 10
    assert len(data_rows(whole)) <= before - 2 * SECRETS
    assert not [row for row in whole.rows("open/") if row.startswith("open/doomed/")]


def test_other_mounts_keep_their_data(whole):
    """Only what was disabled goes."""
    whole.ask("POST", "secret/data/kept", {"data": {"value": "fake-kept"}})
    whole.ask("DELETE", "sys/mounts/team")
    while unmount.run_once(whole.house):
        pass
    assert whole.ask("GET", "secret/data/kept").status == 200


def test_a_restart_goes_on_where_it_stopped(tmp_path):
    """The mark is in the store, so the rest goes after a restart."""
    whole = Whole(tmp_path / "store")
    whole.ask("POST", "sys/mounts/team", {"type": "kv", "options": {"version": "2"}})
    for number in range(10):
        whole.ask("POST", f"team/data/s{number}", {"data": {"value": "fake"}})
    whole.ask("DELETE", "sys/mounts/team")
    assert unmount.run_once(whole.house, limit=5)
    whole.reopen()
    while unmount.run_once(whole.house, limit=5):
        pass
    assert not whole.house.units.read(whole.house.has_doomed_mounts)
    assert not [row for row in data_rows(whole) if row.startswith("mount/")]


def test_nothing_to_do_writes_nothing(whole):
    """An idle server does not commit for this."""
    commits = whole.server.barrier.commit_seq
    assert unmount.run_once(whole.house) is False
    assert whole.server.barrier.commit_seq == commits
