"""A backup's file as a storage: what is in it can be gone through and looked up, and nothing can be written."""

import bisect
import os
from random import Random

import pytest

from ml_secrets.barrier import backup
from ml_secrets.barrier.backup_file import BackupFile, opened
from ml_secrets.barrier.barrier import Barrier
from ml_secrets.errors import Invalid, StoreFault
from ml_secrets.storage.memory import MemoryStorage

ROWS = 300


@pytest.fixture
def rows():
    """Rows of all sizes, the largest beyond what is read at once."""
    dice = Random(3)
    sizes = [dice.choice((0, 10, 700)) for _ in range(ROWS)]
    sizes[ROWS // 2] = 100_000
    return {
        f"open/{'é' * (number % 2)}{number:04}": dice.randbytes(size) for number, size in enumerate(sizes)
    }


@pytest.fixture
def file(rows, tmp_path):
    storage = MemoryStorage()
    barrier = Barrier(storage, os.urandom)
    barrier.initialize(bytes(32), b"config")
    with storage.begin(write=True) as tx:
        for key, value in rows.items():
            tx.put(key, value)
    backup.save(tmp_path / "backup", backup.snapshot(storage, barrier, now=1.0))
    return tmp_path / "backup"


def test_rows_are_gone_through_and_found(file, rows):
    """In order, and by name wherever they lie; what is not there is None, before the first, between, after the last."""
    with opened(file) as found:
        stored = dict(found)
        assert {key: value for key, value in stored.items() if key.startswith("open/")} == rows
        assert list(stored) == sorted(stored)
        asked = Random(4).sample(sorted(stored), len(stored))
        assert found.look(asked) == [stored[key] for key in asked]
        assert found.look(["a", "open/0003!", "z"]) == [None, None, None]


def test_names_are_listed_as_a_storage_lists_them(file, rows):
    """Folders and names, from a name on, so many."""
    names = sorted(key.removeprefix("open/") for key in rows)
    with opened(file) as found, found.begin(write=False) as tx:
        assert tx.list("") == ["barrier/", "open/"]
        assert tx.list("open/") == names
        assert tx.list("open/", after="0100", limit=3) == names[bisect.bisect(names, "0100") :][:3]
        assert tx.list("sealed/") == []


def test_nothing_is_written_to_it(file):
    """Neither through the storage nor through what is to be read."""
    with opened(file) as found:
        found.close()
        with pytest.raises(StoreFault, match="not written to"):
            found.begin(write=True)
        with pytest.raises(RuntimeError):
            found.put("a", b"")


def test_a_file_that_shrinks_while_it_is_read_is_told(file):
    """Not served as fewer rows."""
    with file.open("rb") as handle:
        found = BackupFile(handle)
        os.truncate(file, file.stat().st_size // 2)
        with pytest.raises(Invalid, match="cut short while it was read"):
            list(found)


def test_a_check_that_fails_leaves_no_backup(tmp_path):
    """The name is given to what passed, and to nothing else."""
    storage = MemoryStorage()
    barrier = Barrier(storage, os.urandom)
    barrier.initialize(bytes(32), b"config")
    pieces = list(backup.snapshot(storage, barrier, now=1.0))

    def refuse(saved):
        assert saved.manifest.created == 1.0
        raise Invalid("no")

    with pytest.raises(Invalid):
        backup.save(tmp_path / "one", pieces, refuse)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Invalid, match="cut short"):
        backup.save(tmp_path / "one", pieces[:-1])
    assert list(tmp_path.iterdir()) == []
