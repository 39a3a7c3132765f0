"""The anchor by itself: what it compares, and how it is written. With a store: tests/unit/pipeline/opening/test_rollback.py."""

import os
import stat

import msgspec
import pytest

from ml_secrets.barrier.anchor import Anchor, Position
from ml_secrets.barrier.barrier import Barrier
from ml_secrets.errors import StoreFault, TamperFault
from ml_secrets.storage.memory import MemoryStorage

HERE = Position(7, "aa", "head")


@pytest.fixture
def barrier():
    made = Barrier(MemoryStorage(), os.urandom)
    made.initialize(os.urandom(32), b"")
    return made


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "anchor"


@pytest.fixture
def anchor(path, barrier):
    made = Anchor(path)
    made.write(barrier, HERE)
    return made


@pytest.mark.parametrize(
    "found", [HERE, Position(8, "bb"), Position(7, "aa", "another head"), Position(10**12, "aa")]
)
def test_a_store_that_is_there_or_ahead_passes(anchor, barrier, found):
    """Equal, or with more commits; the audit log may have gone on without commits."""
    anchor.check(barrier, found, expected=True)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (Position(6, "aa"), "rolled back: it is at commit 6, and was at 7"),
        (Position(0, "bb"), "rolled back"),
        (Position(7, "bb"), "its state differs"),
    ],
)
def test_a_store_behind_or_beside_does_not(anchor, barrier, found, problem):
    """The refusal says which, and what to do."""
    with pytest.raises(TamperFault, match=problem) as caught:
        anchor.check(barrier, found, expected=True)
    assert "--accept-rollback" in caught.value.hint


@pytest.mark.parametrize("name", ["commit_seq", "state_digest", "audit_head", "cluster_id", "format", "mac"])
def test_an_edited_anchor_is_noticed(anchor, barrier, path, name):
    """Every field is under the MAC."""
    content = msgspec.json.decode(path.read_bytes())
    content[name] = content[name] - 1 if isinstance(content[name], int) else content[name] + "0"
    path.write_bytes(msgspec.json.encode(content))
    with pytest.raises(TamperFault, match="of another store, or was edited"):
        anchor.check(barrier, HERE, expected=True)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"{}", b"\xff", b'{"format":1,"mac":"\\u00e9"}', b'{"mac":"\xff"}', b'{"x":' + b"[" * 60_000],
)
def test_a_damaged_anchor_is_noticed(anchor, barrier, path, raw):
    """Half a file, or something else."""
    path.write_bytes(raw)
    with pytest.raises(TamperFault, match="edited"):
        anchor.check(barrier, HERE, expected=True)


def test_the_anchor_of_another_store_is_noticed(anchor, path):
    """Its MAC is under another key."""
    other = Barrier(MemoryStorage(), os.urandom)
    other.initialize(os.urandom(32), b"")
    with pytest.raises(TamperFault, match="of another store"):
        anchor.check(other, HERE, expected=True)


def test_a_missing_anchor_matters_only_where_there_was_one(path, barrier):
    """A store that never had one passes."""
    Anchor(path).check(barrier, HERE, expected=False)
    with pytest.raises(TamperFault, match="is missing"):
        Anchor(path).check(barrier, HERE, expected=True)


def test_accepting_a_rollback_passes_and_shouts(anchor, path, barrier, caplog):
    """The log has a critical line with the reason, also for a damaged anchor."""
    accepting = Anchor(path, accept_rollback=True)
    accepting.check(barrier, HERE, expected=True)
    assert not caplog.records
    accepting.check(barrier, Position(3, "aa"), expected=True)
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    assert "at commit 3" in caplog.text
    path.write_bytes(b"{")
    accepting.check(barrier, HERE, expected=True)
    assert len(caplog.records) == 2


def test_what_the_audit_logs_lack_counts_like_a_rollback(anchor, barrier, path, caplog):
    """They are asked with the head that the anchor knows, if it is to be trusted; accepting it says what is lost."""
    asked = []

    def lacking(head):
        asked.append(head)
        return "the audit log was cut back"

    anchor.check(barrier, HERE, expected=True, lacking=lambda _: "")
    with pytest.raises(TamperFault, match="was cut back") as caught:
        anchor.check(barrier, HERE, expected=True, lacking=lacking)
    assert "put the log back" in caught.value.hint
    with pytest.raises(TamperFault, match="rolled back"):
        anchor.check(barrier, Position(6, "aa"), expected=True, lacking=lacking)
    Anchor(path, accept_rollback=True).check(barrier, HERE, expected=True, lacking=lacking)
    assert asked == ["head", "head"]
    assert "was cut back. What was recorded there is lost" in caplog.text
    path.unlink()
    anchor.check(barrier, HERE, expected=False, lacking=lacking)
    assert len(asked) == 2


def test_an_anchor_that_cannot_be_read_is_a_fault(path, barrier):
    """Not taken for a missing one."""
    path.mkdir(parents=True)
    with pytest.raises(StoreFault, match="cannot read the anchor"):
        Anchor(path).check(barrier, HERE, expected=False)


def test_the_file_is_private_whole_and_says_nothing_secret(anchor, path, barrier):
    """Mode 0600, nothing left beside it, the known fields only."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["anchor"]
    content = msgspec.json.decode(path.read_bytes())
    assert content.keys() == {"format", "cluster_id", "commit_seq", "state_digest", "audit_head", "mac"}
    assert (content["cluster_id"], content["commit_seq"]) == (barrier.cluster_id, 7)


def test_an_unmoved_store_is_not_written_again(anchor, path, barrier):
    """The file is replaced only for another position."""
    before = path.stat().st_ino
    anchor.write(barrier, HERE)
    assert path.stat().st_ino == before
    anchor.write(barrier, Position(8, "bb"))
    assert path.stat().st_ino != before


def test_a_write_that_fails_leaves_the_old_anchor(anchor, path, barrier, monkeypatch):
    """A full disk: the old file stays whole, and no part of a new one is left."""
    before = path.read_bytes()

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        anchor.write(barrier, Position(8, "bb"))
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["anchor"]


def test_it_is_due_once_in_an_interval(path):
    """At first, and then not before the interval is over."""
    anchor = Anchor(path, interval=10)
    assert [anchor.due(now) for now in (100.0, 100.0, 109.9, 110.0, 111.0, 120.0)] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]
