import gc
import itertools
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import apsw
import pytest
from tests.unit.storage.exercise import MODEL, Against, Exercise, Freezing, put, run_all
from tests.unit.storage.files import FailingFiles, PowerFiles

from ml_secrets.errors import StoreFault, StoreFull
from ml_secrets.storage import sqlite
from ml_secrets.storage.frozen import ROUND
from ml_secrets.storage.sqlite import FILE_NAME, FORMAT, SqliteStorage, safe_build

NAMES = (f"test-{number}" for number in itertools.count())


@pytest.fixture
def open_store():
    """Opens stores, and closes them in the end."""
    stores = []

    def opening(folder, **options):
        stores.append(SqliteStorage(folder, **options))
        return stores[-1]

    def close_all():
        for store in stores:
            store.close()

    opening.close_all = close_all
    yield opening
    close_all()


def get(storage, key):
    with storage.begin(write=False) as tx:
        return tx.get(key)


def run(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


class TestSqlite(Exercise, Freezing):
    """The contract, in a file."""

    @pytest.fixture
    def storage(self, tmp_path, open_store):
        return open_store(tmp_path)


class SqliteAgainstDictionary(Against):
    def open(self):
        self.folder = tempfile.TemporaryDirectory()
        return SqliteStorage(Path(self.folder.name))

    def teardown(self):
        self.storage.close()
        reopened = SqliteStorage(Path(self.folder.name))
        with reopened.begin(write=False) as tx:
            assert {key: tx.get(key) for key in self.rows} == self.rows
        reopened.close()
        self.folder.cleanup()


TestSqliteModel = SqliteAgainstDictionary.TestCase
TestSqliteModel.settings = MODEL


# ── the file ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_settings_are_the_durable_ones(tmp_path, open_store):
    """WAL, synchronous FULL, exclusive, the three for defence; asked of the connection itself."""
    db = open_store(tmp_path)._file._db
    names = (
        "journal_mode",
        "synchronous",
        "locking_mode",
        "trusted_schema",
        "cell_size_check",
        "secure_delete",
    )
    assert [db.pragma(name) for name in names] == ["wal", 2, "exclusive", 0, 1, 1]


def test_files_are_for_us_alone(tmp_path, open_store):
    """Folder 0700, files 0600, whatever the umask says."""
    before = os.umask(0)
    try:
        put(open_store(tmp_path / "new"), {"a": b"1"})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    assert modes == {FILE_NAME: 0o600, f"{FILE_NAME}-wal": 0o600, "ballast": 0o600}


def test_a_link_is_not_followed(tmp_path):
    """A store file that is a symbolic link is refused."""
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreFault):
        SqliteStorage(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_link_put_in_the_place_of_a_store_is_not_followed(tmp_path):
    """The same where there was a store, and so is ballast to give up."""
    SqliteStorage(tmp_path / "there").close()
    SqliteStorage(tmp_path / "here").close()
    (tmp_path / "here" / FILE_NAME).unlink()
    (tmp_path / "here" / FILE_NAME).symlink_to(tmp_path / "there" / FILE_NAME)
    with pytest.raises(StoreFault, match="cannot open the store"):
        SqliteStorage(tmp_path / "here")


def test_a_place_that_is_no_folder_is_refused_in_plain_words(tmp_path):
    """What the system said, and what to name instead."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFault, match=r"file: File exists \(name a folder"):
        SqliteStorage(tmp_path / "file")


def test_a_file_of_something_else_is_refused(tmp_path):
    """Garbage is not opened, and not overwritten."""
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreFault, match="cannot open the store"):
        SqliteStorage(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == b"not a database" * 1000


def test_a_newer_format_is_refused(tmp_path):
    """An older program leaves a newer store alone, and says what to do. (140)"""
    SqliteStorage(tmp_path).close()
    db = apsw.Connection(str(tmp_path / FILE_NAME))
    db.pragma("user_version", FORMAT + 1)
    db.close()
    with pytest.raises(StoreFault, match=r"newer than this program's.*upgrade ml-secrets"):
        SqliteStorage(tmp_path)


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ("3.40.1", False), ("3.44.5", False), ("3.44.6", True), ("3.44.7", True), ("3.45.0", False),
        ("3.50.6", False), ("3.50.7", True), ("3.51.2", False), ("3.51.3", True), ("3.52.0", False),
        ("3.53.0", True), ("3.54.1", True), ("4.0.0", True),
    ],
)  # fmt: skip
def test_builds_with_the_wal_reset_bug_are_known(version, safe):
    """Fixed in 3.51.3, in 3.50.7 and 3.44.6 of their lines; 3.52.0 was withdrawn."""
    assert safe_build(version) is safe


def test_an_affected_build_does_not_start(tmp_path, monkeypatch):
    """It says which, and what to install; nothing is made. (95)"""
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.1")
    with pytest.raises(StoreFault, match=r"SQLite 3\.51\.1 can corrupt a store \(install apsw"):
        SqliteStorage(tmp_path / "new")
    assert not (tmp_path / "new").exists()


# ── one owner ───────────────────────────────────────────────────────────────────────────────────────────────────────

OWNER = """
import sys, time
from pathlib import Path
from ml_secrets.storage.sqlite import SqliteStorage
store = SqliteStorage(Path(sys.argv[1]))
with store.begin(write=True) as tx:
    tx.put("from", b"the first")
print("open", flush=True)
time.sleep(60)
"""


def test_a_second_owner_is_refused(tmp_path, open_store):
    """In this process and in another, with a text that says who and what; and it works right after kill -9. (96)"""
    first = run(OWNER, tmp_path)
    assert first.stdout.readline() == "open\n"
    with pytest.raises(StoreFault, match=r"another process has the store in .*one server owns a store"):
        SqliteStorage(tmp_path)
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    first.stdout.close()
    store = open_store(tmp_path)
    assert get(store, "from") == b"the first"
    with pytest.raises(StoreFault, match="another process has the store"):
        SqliteStorage(tmp_path)


FORKER = """
import os, signal, sys
from pathlib import Path
from ml_secrets.storage.sqlite import SqliteStorage
store = SqliteStorage(Path(sys.argv[1]))
def put(name):
    with store.begin(write=True) as tx:
        tx.put(name, b"x")
put("before")
if os.fork() == 0:
    try:
        put("child")
    except Exception as error:
        print(error, flush=True)
    sys.exit(0)
os.wait()
put("after")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_forked_child_does_not_take_the_newest_commits_with_it(tmp_path, open_store):
    """It has no part in the store, and its end closes nothing: what the parent committed since is there after a kill."""
    with run(FORKER, tmp_path) as forker:
        assert "belongs to the process that forked" in forker.communicate(timeout=60)[0]
    store = open_store(tmp_path)
    assert [get(store, name) for name in ("before", "after", "child")] == [b"x", b"x", None]


def test_frozen_rows_end_with_the_store(tmp_path, open_store):
    """Closed in between, or no longer readable, it is an error, and never fewer rows than there were."""
    put(open_store(tmp_path), {f"{number:05}": b"x" * 500 for number in range(4 * ROUND)})
    open_store.close_all()
    with FailingFiles(next(NAMES)) as files:
        store = open_store(tmp_path, vfs=files.name)
        rows = iter(store.freeze())
        assert next(rows) == ("00000", b"x" * 500)
        files.unreadable = True
        with pytest.raises(StoreFault, match="the store has failed"):
            list(rows)
        store.close()
    store = open_store(tmp_path)
    rows = iter(store.freeze())
    next(rows)
    store.close()
    with pytest.raises(StoreFault, match="closed"):
        list(rows)


def test_frozen_rows_keep_only_what_changes(tmp_path, open_store):
    """Nothing is remembered once they were read, or are not wanted any more."""
    store = open_store(tmp_path)
    put(store, {f"{number:05}": b"1" for number in range(2 * ROUND)})
    frozen, forgotten = store.freeze(), store.freeze()
    put(store, {"00001": b"2", "00003": b"2"})
    put(store, {"00001": b"3"})
    assert frozen._kept == {"00001": b"1", "00003": b"1"}
    assert len(list(frozen)) == 2 * ROUND
    put(store, {"00002": b"4"})
    assert frozen._kept == {}
    del forgotten
    assert len(store._file._frozen) == 1


def test_close_gives_the_store_up(tmp_path, open_store):
    """Another may have it at once; the closed one reads and writes no more, not even from memory."""
    store = open_store(tmp_path)
    put(store, {"a": b"1"})
    store.close()
    store.close()
    for use in (lambda: get(store, "a"), lambda: put(store, {"a": b"2"})):
        with pytest.raises(StoreFault, match="closed"):
            use()
    assert get(open_store(tmp_path), "a") == b"1"


def test_a_store_that_nobody_holds_any_more_is_given_up(tmp_path, open_store):
    """At once, and not when the collector comes: whoever was interrupted while it opened tries again."""
    gc.disable()
    try:
        SqliteStorage(tmp_path)
        open_store(tmp_path)
    finally:
        gc.enable()


# ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────────────

PAGES = 40


@pytest.fixture
def short_log(monkeypatch):
    """A log that is full after a few commits. `fill(store)` makes the next commit one that has to move pages."""
    monkeypatch.setattr("ml_secrets.storage.sqlite._MOST_LOGGED", PAGES)

    def fill(store):
        for number in range(PAGES):
            if store.overdue:
                return number
            put(store, {f"k{number}": b"x" * 4000})
        return None

    return fill


def logged(folder):
    """Bytes in the log that are of use: a log that was emptied is written again from its beginning."""
    return (folder / f"{FILE_NAME}-wal").stat().st_size


def test_it_is_known_ahead_which_commit_moves_pages(tmp_path, open_store, short_log):
    """The one after the log was found full, and no other: from then on the log is written again from its beginning."""
    store = open_store(tmp_path)
    assert short_log(store) > 5
    full = logged(tmp_path)
    assert full > PAGES * 4096
    assert (tmp_path / FILE_NAME).stat().st_size < full // 4
    put(store, {"a": b"1"})
    assert not store.overdue
    assert (tmp_path / FILE_NAME).stat().st_size > full // 4
    assert short_log(store) > 5
    assert logged(tmp_path) < full * 2


def test_the_log_stays_within_the_ballast():
    """What a full disk may owe it is there."""
    assert sqlite._MOST_LOGGED * 4096 <= sqlite._BALLAST_SIZE


def test_a_full_disk_puts_the_move_off(tmp_path, open_store, short_log):
    """The commit before it is kept, and told so; the next ones try again."""
    with FailingFiles(next(NAMES)) as files:
        store = open_store(tmp_path, vfs=files.name)
        short_log(store)
        files.full_but_log = True
        put(store, {"a": b"1"})
        assert store.overdue
        files.full_but_log = False
        put(store, {"b": b"2"})
        assert not store.overdue
        store.close()
    store = open_store(tmp_path)
    assert (get(store, "a"), get(store, "b")) == (b"1", b"2")


def test_a_move_that_fails_is_told_to_whoever_comes_next(tmp_path, open_store, short_log):
    """The commit before it is durable, and so it is acknowledged; then the store has failed."""
    with FailingFiles(next(NAMES)) as files:
        store = open_store(tmp_path, vfs=files.name)
        short_log(store)
        files.broken_but_log = True
        put(store, {"a": b"1"})
        for use in (lambda: get(store, "a"), lambda: put(store, {"b": b"2"})):
            with pytest.raises(StoreFault, match="the store has failed"):
                use()
        store.close()
    assert get(open_store(tmp_path), "a") == b"1"


# ── disks that fail ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_after_a_failed_sync_nothing_goes_on(tmp_path, open_store):
    """SQLite would carry on; we do not, not even with reads from memory. Opened again, the store is whole."""
    with FailingFiles(next(NAMES)) as files:
        store = open_store(tmp_path, vfs=files.name)
        put(store, {"a": b"1"})
        files.broken = True
        with pytest.raises(StoreFault, match="the store has failed"):
            put(store, {"b": b"2"})
        files.broken = False
        for use in (lambda: get(store, "a"), lambda: put(store, {"b": b"2"}), lambda: list_all(store)):
            with pytest.raises(StoreFault, match="the store has failed"):
                use()
        store.close()
    assert get(open_store(tmp_path), "a") == b"1"


def test_after_a_commit_that_was_interrupted_nothing_goes_on(tmp_path, open_store):
    """It may be kept: here it is. Nobody above knows, so none may read or write on what was before. Opened again, the store is whole."""
    store = open_store(tmp_path)
    put(store, {"a": b"1"})

    def interrupt(*_):
        raise KeyboardInterrupt

    store._file._db.set_wal_hook(interrupt)  # SQLite calls it once the commit is durable
    with pytest.raises(KeyboardInterrupt):
        put(store, {"a": b"2"})
    for use in (lambda: get(store, "a"), lambda: put(store, {"b": b"2"}), lambda: list_all(store)):
        with pytest.raises(StoreFault, match="the store has failed"):
            use()
    store.close()
    assert get(open_store(tmp_path), "a") == b"2"


def list_all(store):
    with store.begin(write=False) as tx:
        return tx.list("")


def test_a_full_disk_refuses_writes_and_nothing_else(tmp_path, open_store):
    """Nothing of the transaction is there, reads go on, and writes do once there is space, without a restart. (92)"""
    with FailingFiles(next(NAMES)) as files:
        store = open_store(tmp_path, vfs=files.name)
        put(store, {"a": b"1", "b": b"1"})
        files.full = True
        for _ in range(3):
            with pytest.raises(StoreFull, match="the disk is full: nothing was written"):
                put(store, {"a": b"2", "c": b"3" * 100_000})
            assert (get(store, "a"), get(store, "b"), get(store, "c")) == (b"1", b"1", None)
        files.full = False
        put(store, {"c": b"3"})
        assert (get(store, "a"), get(store, "c"), list_all(store)) == (b"1", b"3", ["a", "b", "c"])
        store.close()


def test_after_a_failed_read_nothing_goes_on(tmp_path, open_store):
    """A sector that cannot be read ends it, for rows in memory too."""
    put(open_store(tmp_path / "s"), {f"k{number:04}": b"x" * 500 for number in range(1000)})
    open_store.close_all()
    with FailingFiles(next(NAMES)) as files:
        store = open_store(tmp_path / "s", vfs=files.name)
        assert get(store, "k0000") == b"x" * 500
        files.unreadable = True
        with pytest.raises(StoreFault, match="the store has failed"):
            get(store, "k0900")
        files.unreadable = False
        with pytest.raises(StoreFault, match="the store has failed"):
            get(store, "k0000")
        store.close()


def test_a_store_works_without_room_for_ballast(tmp_path, open_store, monkeypatch):
    """It is a precaution, no condition."""

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    put(open_store(tmp_path), {"a": b"1"})
    assert not (tmp_path / "ballast").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("mounting a small file system takes root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_real_full_disk(small_disk, open_store):
    """The same on a file system without space; then the store opens again, at the cost of the ballast. (92)"""
    folder = small_disk / "store"
    store = open_store(folder)
    put(store, {"a": b"1"})
    fill(small_disk / "filler")
    with pytest.raises(StoreFull):
        put_many(store)
    assert get(store, "a") == b"1"
    (small_disk / "filler").unlink()
    put(store, {"b": b"2"})
    store.close()
    fill(small_disk / "filler")
    store = open_store(folder)
    assert (get(store, "a"), get(store, "b")) == (b"1", b"2")
    store.close()


def put_many(store):
    for number in range(1000):
        put(store, {f"big/{number}": os.urandom(100_000)})


def fill(path):
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            while True:
                try:
                    file.write(bytes(size))
                except OSError:
                    break


def test_the_ballast_lets_a_store_open(tmp_path, open_store, monkeypatch):
    """When opening finds the disk full, the ballast goes, and it is tried once more."""
    open_store(tmp_path).close()
    assert (tmp_path / "ballast").stat().st_size == 16 * 1024 * 1024
    real, calls = apsw.Connection, []

    def connection(*arguments, **options):
        calls.append((tmp_path / "ballast").exists())
        if len(calls) == 1:
            raise apsw.FullError
        return real(*arguments, **options)

    monkeypatch.setattr(apsw, "Connection", connection)
    open_store(tmp_path).close()
    assert calls == [True, False]
    assert (tmp_path / "ballast").exists()  # there was space after all


def test_without_ballast_a_full_disk_is_said(tmp_path, monkeypatch):
    """The text asks the right question."""
    SqliteStorage(tmp_path).close()
    (tmp_path / "ballast").unlink()

    def connection(*_arguments, **_options):
        raise apsw.FullError

    monkeypatch.setattr(apsw, "Connection", connection)
    with pytest.raises(StoreFault, match="is the disk full"):
        SqliteStorage(tmp_path)


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_remembered_rows_stay_within_bounds(tmp_path, open_store, monkeypatch):
    """The oldest go first, and what is counted is what is there."""
    monkeypatch.setattr("ml_secrets.storage.sqlite._CACHE_BYTES", 10_000)
    store = open_store(tmp_path)
    put(store, {f"k{number:03}": b"x" * 100 for number in range(200)})
    for number in range(200):
        assert get(store, f"k{number:03}") == b"x" * 100
    cache = store._file._cache
    assert len(cache) == 10_000 // 350
    assert store._file._cached == sum(len(value) + 250 for value in cache.values())


def test_reading_and_writing_at_once_keeps_memory_and_file_alike(tmp_path, open_store, monkeypatch):
    """Threads read rows into a small memory while others change them: in the end all agree."""
    monkeypatch.setattr("ml_secrets.storage.sqlite._CACHE_BYTES", 5_000)
    store = open_store(tmp_path)
    keys = [f"k{number}" for number in range(40)]

    def write(seed):
        dice = random.Random(seed)
        for _ in range(40):
            with store.begin(write=True) as tx:
                for key in dice.sample(keys, 5):
                    tx.delete(key) if dice.random() < 0.3 else tx.put(key, b"%d" % dice.randrange(10**6))

    def read(seed):
        dice = random.Random(seed)
        for _ in range(800):
            store._rows.get(dice.choice(keys))

    run_all([lambda: write(1), lambda: write(2), lambda: read(3), lambda: read(4)])
    known = dict(store._file._cache)
    assert store._file._cached == sum(len(value) + 250 for value in known.values())
    store.close()
    reopened = open_store(tmp_path)
    assert {key: get(reopened, key) for key in known} == known


# ── power ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def cut_power(folder, seed):
    """Commit for a while, cut the power ahead of some write to a file, and look what came back."""
    dice = random.Random(seed)
    acknowledged, writing, cuts = {}, {}, []
    left = dice.randrange(20, 300)

    def before_write():
        nonlocal left
        left -= 1
        if not left:
            files.cut(folder / "store", folder / "after")
            cuts.append((dict(acknowledged), dict(writing)))

    with PowerFiles(next(NAMES), seed) as files:
        store = SqliteStorage(folder / "store", vfs=files.name)
        files.before_write = before_write
        for number in range(1000):
            writing = {
                f"k{dice.randrange(20)}": b"%d," % number * dice.randrange(1, 400)
                for _ in range(dice.randrange(1, 4))
            }
            put(store, writing)
            acknowledged |= writing
            if cuts:
                break
        store.close()
    before, unanswered = cuts[0]
    after = SqliteStorage(folder / "after")
    found = {key: get(after, key) for key in before | unanswered}
    after.close()
    assert found in (before | dict.fromkeys(unanswered.keys() - before.keys()), before | unanswered)


def test_a_power_cut_loses_no_acknowledged_commit(tmp_path):
    """Unsynced sectors are lost at random: what was acknowledged is there, the last transaction whole or not at all. (90)"""
    for seed in range(15):
        (tmp_path / str(seed)).mkdir()
        cut_power(tmp_path / str(seed), seed)


@pytest.mark.long
def test_a_thousand_power_cuts(tmp_path):
    """The same, often."""
    for seed in range(1000):
        (tmp_path / str(seed)).mkdir()
        cut_power(tmp_path / str(seed), seed)
        for path in (tmp_path / str(seed)).rglob("ballast"):
            path.unlink()
