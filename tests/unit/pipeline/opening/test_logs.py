"""An audit log that no longer reaches as far as the anchor knows."""

import logging
import shutil

import msgspec
import pytest

from ml_secrets.domain.audit_chain import head_of
from ml_secrets.errors import TamperFault
from ml_secrets.server.assemble import assemble
from ml_secrets.server.config import Config


class Folder:
    """A store with an anchor and two audit logs, and a third device that keeps nothing. Every opening writes a line to each.

    The file of a device is its `file_path`, or its `path`.
    """

    def __init__(self, folder):
        self.folder = folder
        self.log, self.second, self.anchor = (folder / name for name in ("audit.log", "second.log", "anchor"))

    def server(self, **more):
        devices = [
            {"path": "file", "file_path": str(self.log)},
            {"path": "second", "options": {"path": str(self.second)}},
            {"path": "out", "file_path": "stdout"},
        ]
        config = Config(
            mode="local",
            path=self.folder / "store",
            seal="keyfile",
            key_file=self.folder / "key" / "unseal.key",
            anchor_file=self.anchor,
            audit=[{"kind": "file", **device} for device in devices],
        )
        return assemble(config, kv_at_secret=True, **more)

    def opens(self, **more):
        """Open and close once."""
        server = self.server(**more)
        try:
            server.opening.open_automatically(initialize={})
        finally:
            server.close()

    def anchored(self):
        return msgspec.json.decode(self.anchor.read_bytes())["audit_head"]


@pytest.fixture
def made(tmp_path):
    folder = Folder(tmp_path)
    for _ in range(4):
        folder.opens()
    return folder


def lines(path):
    return path.read_bytes().splitlines(keepends=True)


def test_the_anchor_knows_the_logs_from_the_opening_on(made):
    """Not only when it is written the next time: a server that is killed in between leaves no gap."""
    server = made.server()
    server.opening.open_automatically()
    head = head_of(lines(made.log)[-1].rstrip())
    assert f"file/{head.seq}:{head.hash}" in made.anchored()
    assert head.seq == 5
    server.close()


def test_a_log_that_was_cut_back_keeps_the_store_sealed(made, caplog):
    """Nothing is written to it; as it was, the store opens; so it does when that is accepted, loudly, and from then on."""
    for log in (made.second, made.log):
        whole = lines(log)
        log.write_bytes(b"".join(whole[:-1]))
        for _ in range(2):
            with pytest.raises(TamperFault, match="was cut back: it had reached record") as caught:
                made.opens()
            assert "--accept-rollback" in caught.value.hint
        assert lines(log) == whole[:-1]
        log.write_bytes(b"".join(whole))
        made.opens()
    made.log.write_bytes(b"".join(lines(made.log)[:2]))
    made.opens(accept_rollback=True)
    assert "ROLLBACK ACCEPTED" in caplog.text
    assert "recorded there is lost" in caplog.text
    made.opens()


def test_a_log_of_another_store_keeps_the_store_sealed(made, tmp_path):
    """As long as this one's, or longer."""
    (tmp_path / "other").mkdir()
    other = Folder(tmp_path / "other")
    for _ in range(6):
        other.opens()
    shutil.copy(other.log, made.log)
    with pytest.raises(TamperFault, match="record 4 is another"):
        made.opens()


def test_a_killed_server_leaves_logs_that_are_ahead(made, tmp_path):
    """The anchor is older than they are."""
    server = made.server()
    server.opening.open_automatically()
    anchor = made.anchor.read_bytes()
    server.opening.keep_anchor()
    server.close()
    made.opens()
    made.anchor.write_bytes(anchor)
    assert len(lines(made.log)) > 5
    made.opens()


def test_a_rotated_log_is_no_alarm(made, caplog):
    """While the server ran, or while none did; beside its file, or elsewhere, which is said loudly: so looks one that was taken away."""
    server = made.server()
    server.opening.open_automatically()
    made.log.rename(made.log.with_name("audit.log.1"))
    server.house.devices.reopen()
    server.close()
    made.log.with_name("audit.log.1").unlink()
    made.opens()
    made.log.rename(made.log.with_name("audit.log-20261130"))
    made.opens()
    assert not [record for record in caplog.records if record.levelno >= logging.CRITICAL]
    made.log.unlink()
    made.log.with_name("audit.log-20261130").unlink()
    made.opens()
    [record] = [record for record in caplog.records if record.levelno >= logging.CRITICAL]
    assert "audit.log does not exist" in record.getMessage()
    made.opens()


def test_a_rotated_log_that_follows_what_the_anchor_knows_is_no_alarm(made, caplog):
    """Its first line is held to its own device's key, and the older file is nowhere to be found."""
    server = made.server()
    server.opening.open_automatically()
    anchor = made.anchor.read_bytes()
    made.log.rename(made.log.with_name("audit.log.1"))
    server.house.devices.reopen()
    server.close()
    made.log.with_name("audit.log.1").unlink()
    made.anchor.write_bytes(anchor)
    made.opens()
    assert not [record for record in caplog.records if record.levelno >= logging.CRITICAL]


def test_each_log_is_looked_at_whatever_became_of_the_one_before(made):
    """Its device is no more, has recorded nothing, or has lost its file: the next one's log was cut back all the same."""
    server = made.server()
    server.opening.open_automatically()
    problem, somewhere = server.opening._anchor._logs.problem, "0" * 64
    made.log.unlink()
    for before in ("gone/1", "file/0", "file/1"):
        assert "second.log was cut back" in problem(f"{before}:{somewhere} second/99:{somewhere}")
    server.close()


def test_logs_are_durable_before_the_anchor_knows_them(made, monkeypatch):
    """A power cut takes the end of a log that was not: the anchor must not have known it."""
    synced = []
    monkeypatch.setattr("ml_secrets.audit.reach.sync", lambda path: synced.append((path, made.anchored())))
    before = made.anchored()
    server = made.server()
    server.opening.open_automatically()
    server.close()
    assert {(made.log, before), (made.second, before)} <= set(synced)


def test_a_device_that_is_no_more_is_not_asked_for(made):
    """Nor is one that has recorded nothing."""
    made.log.unlink()
    text = made.anchored().replace("file/", "gone/").replace(" out/", " out/0:")
    server = made.server()
    server.opening.open_automatically()
    logs = server.opening._anchor._logs
    assert logs.problem(text) == ""
    assert logs.problem("file/0:" + "0" * 64) == ""
    server.close()
