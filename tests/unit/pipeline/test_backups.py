"""Backups that a server makes by itself: when, what counts as one, what goes, and what a failure does."""

import errno
import logging
import os
import resource
import signal
import threading

import pytest

from ml_secrets.barrier import backup, files
from ml_secrets.barrier.barrier import Barrier
from ml_secrets.barrier.seals import locks
from ml_secrets.domain.backup_plan import DAY, Plan
from ml_secrets.errors import Conflict, Fault, Invalid, Sealed, StoreFault, StoreFull
from ml_secrets.pipeline import backups
from ml_secrets.pipeline.backups import RETRY, Backups, NoBackups
from ml_secrets.storage.sqlite import SqliteStorage

NOON = 1_700_049_600.0
HOUR = 3600
ROOT_KEY = bytes(range(32))
SEAL = locks.encode(
    locks.SealConfig(
        kind="shamir",
        shares=1,
        threshold=1,
        people=locks.close(bytes(32), ROOT_KEY, locks.PEOPLE, os.urandom),
    )
)


class Kept:
    """A store with some rows, a folder for its backups, and a clock to turn."""

    def __init__(self, folder):
        self.now = NOON
        self.folder = folder / "backups"
        self.folder.mkdir()
        self.storage = SqliteStorage(folder / "store")
        self.barrier = Barrier(self.storage, os.urandom)
        self.barrier.initialize(ROOT_KEY, SEAL)
        self.put({f"mount/m/app-{number}": b"x" * 300 for number in range(50)})

    def put(self, rows):
        with self.barrier.begin(write=True) as tx:
            for key, value in rows.items():
                tx.put(key, value)

    def backups(self, **plan):
        return Backups(
            self.folder,
            Plan(**plan),
            storage=self.storage,
            barrier=self.barrier,
            clock=lambda: self.now,
            random=os.urandom,
        )

    def times(self):
        """The names' times that there are in the folder, and whatever else there is."""
        return sorted(path.name.split("-")[-1].removesuffix(".snapshot") for path in self.folder.iterdir())


@pytest.fixture
def kept(tmp_path):
    made = Kept(tmp_path)
    yield made
    made.storage.close()


# ── when ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_backup_is_made_when_it_is_due(kept):
    """At once where there is none, then at the interval, also after a restart; each is private and opens."""
    running = kept.backups(every=HOUR, keep=9)
    for passed, count in ((0, 1), (HOUR - 1, 1), (1, 2), (60, 2)):
        kept.now += passed
        assert running.run_if_due() is False
        assert len(kept.times()) == count
    again = kept.backups(every=HOUR, keep=9)
    again.run_if_due()
    assert kept.times() == ["20231115T120000Z", "20231115T130000Z"]
    kept.now += HOUR
    again.run_if_due()
    for path in kept.folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert backup.verify(path, lambda _: bytearray(ROOT_KEY), os.urandom).rows > 50


def test_a_clock_that_leaps_makes_one_backup_more(kept):
    """Not one for each interval that seems to have passed; time that stands still makes none."""
    running = kept.backups(every=HOUR, keep=9)
    running.run_if_due()
    kept.now += 365 * DAY
    for _ in range(5):
        running.run_if_due()
    assert len(kept.times()) == 2


# ── what counts, and what goes ──────────────────────────────────────────────────────────────────────────────────────


def test_older_ones_go_once_a_newer_one_is_verified(kept):
    """So many stay. What others keep in the folder is nobody's business here."""
    others = ("notes.txt", "ml-secrets-00000000-20200101T000000Z.snapshot", "ml-secrets-1.snapshot")
    for name in others:
        (kept.folder / name).touch()
    running = kept.backups(every=HOUR, keep=2)
    for _ in range(4):
        running.run_if_due()
        kept.now += HOUR
    assert [one["created_time"] for one in running.made()] == ["2023-11-15T14:00:00Z", "2023-11-15T15:00:00Z"]
    assert all((kept.folder / name).exists() for name in others)


def test_one_that_does_not_verify_is_none_and_nothing_older_goes(kept, caplog):
    """A store that was edited below the barrier: its backup is whole, and opens to something that nobody wrote."""
    running = kept.backups(every=HOUR, keep=1)
    running.run_if_due()
    with kept.storage.begin(write=True) as tx:
        tx.put("open/planted", b"a row that nobody wrote")
    kept.now += HOUR
    running.run_if_due()
    assert kept.times() == ["20231115T120000Z"]
    assert "no backup was made: the backup was not what it should be, and was removed" in caplog.text
    assert running.status()["failing"] is True


def test_an_old_one_that_cannot_be_removed_is_told(kept, caplog):
    """The new one counts all the same."""
    running = kept.backups(every=HOUR, keep=1)
    running.run_if_due()
    old = next(kept.folder.iterdir())
    old.unlink()
    old.mkdir()
    kept.now += HOUR
    running.run_if_due()
    assert f"the old backup {old.name} could not be removed: Is a directory" in caplog.text
    assert (running.status()["failing"], len(kept.times())) == (False, 2)


def test_an_old_one_that_somebody_else_removed_just_then_is_no_alarm(kept, caplog, monkeypatch):
    """It is gone, as it should be."""
    real = backups.surplus

    def removed(*given):
        for one in (gone := real(*given)):
            (kept.folder / one.name).unlink()
        return gone

    monkeypatch.setattr(backups, "surplus", removed)
    running = kept.backups(every=HOUR, keep=1)
    for _ in range(2):
        running.run_if_due()
        kept.now += HOUR
    assert kept.times() == ["20231115T130000Z"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_a_killed_round_left_goes_with_the_next(kept):
    """Of this store; a part of another store's backup may be in the making."""
    store = kept.barrier.cluster_id[:8]
    parts = [f".ml-secrets-{name}-20231115T110000Z.snapshot.{2**22 + 1}.part" for name in (store, "00000000")]
    for part in parts:
        (kept.folder / part).touch()
    kept.backups(keep=1).make()
    assert [(kept.folder / part).exists() for part in parts] == [False, True]


# ── failures ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_that_is_missing_is_told_and_tried_again(kept, caplog):
    """It is not made: a disk may not be mounted. Nobody else notices; once it is there, the next round finds it."""
    running = kept.backups(every=HOUR, keep=2)
    kept.folder.rmdir()
    assert (running.run_if_due(), running.run_if_due()) == (False, False)
    assert caplog.text.count("no backup was made: the folder of the backups: No such file or directory") == 1
    status = running.status()
    assert (status["failing"], status["failed_time"]) == (True, "2023-11-15T12:00:00Z")
    assert status["next_time"] == "2023-11-15T12:05:00Z"
    assert running.gauges() == {"backup_failing": 1}
    for ask in (running.made, running.make):
        with pytest.raises(Fault, match="No such file or directory"):
            ask()
    kept.folder.mkdir()
    kept.now += RETRY - 1
    running.run_if_due()
    assert kept.times() == []
    kept.now += 1
    running.run_if_due()
    assert kept.times() == ["20231115T120500Z"]
    assert (running.status()["failing"], running.status()["problem"]) == (False, "")


def test_a_folder_that_went_since_shows_in_the_status(kept):
    """Before the next round finds out."""
    running = kept.backups(keep=2)
    running.make()
    kept.folder.rename(kept.folder.with_name("unmounted"))
    status = running.status()
    assert (status["failing"], status["count"], status["newest_time"]) == (True, 0, "")
    assert "No such file" in status["problem"]


@pytest.fixture
def small_files():
    """No file may grow beyond some kilobytes: a write fails as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


def test_a_write_that_fails_half_way_leaves_nothing(kept, small_files):
    """The store goes on, and the older backups stay."""
    with pytest.raises(Fault, match=os.strerror(errno.EFBIG)):
        kept.backups(keep=1).make()
    assert kept.times() == []
    assert kept.barrier.verify().clean


def test_room_is_left_on_the_disk(kept, monkeypatch):
    """The store may lie on it too, and is to find room for its own writes."""
    monkeypatch.setattr(backups, "ROOM", 2**62)
    running = kept.backups(keep=1)
    with pytest.raises(StoreFull, match="MiB left"):
        running.make()
    assert (kept.times(), running.status()["failing"]) == ([], True)


def test_a_store_that_fails_is_told_as_that(kept):
    """It is no fault of the folder's."""
    kept.storage.close()
    with pytest.raises(StoreFault, match="the store has failed"):
        kept.backups(keep=1).make()


@pytest.mark.parametrize("at", ["snapshot", "opens"])
def test_a_store_that_seals_ends_the_round(kept, at, monkeypatch, caplog):
    """While it is written, or while it is verified: at once, with nothing left, and without an alarm."""
    real = getattr(backup, at)

    def sealing(*given, **how):
        made = real(*given, **how)
        if at == "snapshot":
            kept.barrier.seal()
            return made

        def check(saved):
            key = kept.barrier.reveal_root_key()
            monkeypatch.setattr(kept.barrier, "reveal_root_key", lambda: key)
            kept.barrier.seal()
            made(saved)

        return check

    monkeypatch.setattr(backup, at, sealing)
    kept.barrier.cluster_id  # noqa: B018 - remembered
    with pytest.raises(Sealed):
        kept.backups(keep=1).run_if_due()
    assert kept.times() == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# ── beside others ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_at_a_time(kept, monkeypatch):
    """Whoever asks meanwhile is told so; the schedule lets it pass."""
    begun, go_on = threading.Event(), threading.Event()
    durable = files.make_durable

    def slow(file):
        begun.set()
        assert go_on.wait(30)
        durable(file)

    monkeypatch.setattr(backup, "make_durable", slow)
    running = kept.backups(keep=5)
    made = []
    thread = threading.Thread(target=lambda: made.append(running.make()))
    thread.start()
    assert begun.wait(30)
    assert running.status()["running"] is True
    with pytest.raises(Conflict, match="being made"):
        running.make()
    running.run_if_due()
    kept.put({"mount/m/meanwhile": b"writers go on"})
    go_on.set()
    thread.join()
    assert made[0]["name"] == next(kept.folder.iterdir()).name
    assert (running.status()["failing"], running.status()["running"]) == (False, False)


def test_a_rekey_meanwhile_is_noticed(kept, monkeypatch):
    """A backup that the new shares would not open is none."""
    real = backup.opens

    def rekeyed(*given):
        kept.barrier.rewrap(bytes(32), SEAL)
        return real(*given)

    pieces = list(backup.snapshot(kept.storage, kept.barrier, now=NOON))
    monkeypatch.setattr(backup, "snapshot", lambda *_, **__: iter(pieces))
    monkeypatch.setattr(backup, "opens", rekeyed)
    with pytest.raises(Fault, match="not what it should be"):
        kept.backups(keep=1).make()
    assert kept.times() == []


def test_the_status_tells_plan_and_state(kept):
    """Of an interval and a count, and of a time of the day and an age."""
    running = kept.backups(every=HOUR, keep=2)
    made = running.make()
    assert made["rows"] > 50
    assert made["commits"] == kept.barrier.commit_seq
    assert running.status()["newest_time"] == "2023-11-15T12:00:00Z"
    kept.now += 60
    assert running.status() == {
        "enabled": True,
        "folder": str(kept.folder),
        "every": HOUR,
        "at": "",
        "keep": 2,
        "keep_for": 0,
        "running": False,
        "count": 1,
        "newest_time": "2023-11-15T12:00:00Z",
        "next_time": "2023-11-15T13:00:00Z",
        "failing": False,
        "problem": "",
        "failed_time": "",
    }
    assert running.gauges() == {"backup_failing": 0, "backup_age_seconds": 60}
    daily = kept.backups(every=0, at=3 * HOUR + 300, keep_for=DAY).status()
    assert (daily["at"], daily["keep_for"], daily["next_time"]) == ("03:05", DAY, "2023-11-16T03:05:00Z")
    assert kept.backups(every=0, at=20 * HOUR).status()["at"] == "20:00"


def test_before_the_first_there_is_no_age(kept):
    """The first is due now."""
    running = kept.backups(keep=1)
    assert running.gauges() == {"backup_failing": 0}
    assert running.status()["next_time"] == "2023-11-15T12:00:00Z"


def test_a_server_without_a_plan_makes_none():
    """And says how it would."""
    none = NoBackups()
    assert (none.run_if_due(), none.status(), none.gauges()) == (False, {"enabled": False}, {})
    for ask in (none.make, none.made):
        with pytest.raises(Invalid, match="makes no backups by itself") as caught:
            ask()
        assert "[backup]" in caught.value.hint
