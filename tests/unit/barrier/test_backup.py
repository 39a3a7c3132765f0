"""Backups: what is in one, what is refused, and what a restored store is."""

import os
import stat
import struct
import threading
import zlib
from random import Random

import msgspec
import pytest

from ml_secrets.barrier import backup
from ml_secrets.barrier.backup_file import _FRAME as FRAME
from ml_secrets.barrier.backup_file import MAGIC, Manifest, frame
from ml_secrets.barrier.barrier import Barrier
from ml_secrets.barrier.integrity import mac_of, walk
from ml_secrets.barrier.seals import locks, shamir
from ml_secrets.barrier.seals.keyfile import KeyFile
from ml_secrets.errors import Invalid, StoreFault, TamperFault
from ml_secrets.storage.memory import MemoryStorage
from ml_secrets.storage.sqlite import SqliteStorage

NOW = 1_700_000_000.0
CANARY = b"a secret value that must not be in a backup"


class Store:
    """A store with some rows, under a key file, with shares for people."""

    def __init__(self, storage, tmp_path):
        self.storage = storage
        self.auto = KeyFile(tmp_path / "keys" / "key", tmp_path / "store")
        people, root_key = os.urandom(32), os.urandom(32)
        self.shares = [share.hex() for share in shamir.split(people, 3, 2, os.urandom)]
        key, parameters = self.auto.fresh(os.urandom)
        config = locks.SealConfig(
            kind="keyfile",
            shares=3,
            threshold=2,
            people=locks.close(people, root_key, locks.PEOPLE, os.urandom),
            machine=locks.close(key, root_key, locks.MACHINE, os.urandom),
            parameters=parameters,
        )
        self.barrier = Barrier(storage, os.urandom)
        self.barrier.initialize(root_key, locks.encode(config))
        self.fill(range(40))

    def fill(self, numbers):
        with self.barrier.begin(write=True) as tx:
            for number in numbers:
                tx.put(f"mount/team/secret-{number}", CANARY + str(number).encode())
                tx.put(f"open/token/id/{number:04x}", b"entry")

    def backup(self, path):
        """As a request does it, outside of any transaction."""
        backup.save(path, backup.snapshot(self.storage, self.barrier, now=NOW))
        return path


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    storage = MemoryStorage() if request.param == "memory" else SqliteStorage(tmp_path / "store")
    yield Store(storage, tmp_path)
    storage.close()


@pytest.fixture
def file(store, tmp_path):
    return store.backup(tmp_path / "backup")


@pytest.fixture
def unlock(store):
    return backup.by_seal(store.auto)


def opened(folder, unlock):
    barrier = Barrier(SqliteStorage(folder), os.urandom)
    barrier.unseal(unlock(locks.decode(barrier.seal_config)))
    return barrier


def names(folder):
    return sorted(found.name for found in folder.iterdir())


# ── whole backups ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_backup_is_private_and_holds_no_secret(file):
    """Mode 0600; neither values nor the names that people chose are in it."""
    content = file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert CANARY not in content
    assert b"secret-7" not in content
    assert content.startswith(b"ml-secrets backup 1\n")


def test_a_restored_store_holds_what_the_store_held(store, file, unlock, tmp_path):
    """Every row, byte by byte, in a folder that only its owner may enter; the manifest tells how much it is."""
    manifest = backup.restore(file, tmp_path / "new" / "store", unlock, os.urandom)
    assert manifest.cluster_id == store.barrier.cluster_id
    assert manifest.commit_seq == store.barrier.commit_seq
    assert manifest.created == NOW
    barrier = opened(tmp_path / "new" / "store", unlock)
    with barrier.begin(write=False) as tx:
        assert len(tx.list("mount/team/")) == 40
        assert tx.get("mount/team/secret-7") == CANARY + b"7"
    assert barrier.verify().clean
    barrier.close()
    assert stat.S_IMODE((tmp_path / "new" / "store").stat().st_mode) == 0o700
    assert names(tmp_path / "new") == ["store"]


def test_a_restored_store_knows_no_token_of_before(store, file, unlock, tmp_path):
    """The key of tokens is another, so what was revoked since cannot come back; other keys are as they were."""
    backup.restore(file, tmp_path / "new", unlock, os.urandom)
    barrier = opened(tmp_path / "new", unlock)
    for mortal in ("token", "batch-token"):
        assert barrier.subkey(mortal) != store.barrier.subkey(mortal)
    assert barrier.subkey("audit/file") == store.barrier.subkey("audit/file")
    barrier.close()


def test_tokens_can_be_kept(store, file, unlock, tmp_path):
    """For a move to another machine."""
    backup.restore(file, tmp_path / "new", unlock, os.urandom, keep_tokens=True)
    barrier = opened(tmp_path / "new", unlock)
    assert barrier.subkey("token") == store.barrier.subkey("token")
    barrier.close()


def test_verify_restores_nothing(file, unlock, tmp_path):
    """It answers with the manifest, and leaves no trace."""
    before = names(tmp_path)
    assert backup.verify(file, unlock, os.urandom).rows > 80
    assert names(tmp_path) == before


def test_shares_open_a_backup_too(store, file):
    """Any two of them, in hex or base64, also with one given twice; one alone does not."""
    backup.verify(file, backup.by_shares(store.shares[1:]), os.urandom)
    with pytest.raises(Invalid, match="2 different key shares are needed, and 1 were given"):
        backup.verify(file, backup.by_shares([store.shares[0], store.shares[0]]), os.urandom)
    with pytest.raises(Invalid, match="invalid key"):
        backup.verify(file, backup.by_shares([store.shares[0], "ab" * 33]), os.urandom)


def test_the_wrong_key_file_is_refused(file, tmp_path):
    """Another store's key file opens nothing."""
    other = KeyFile(tmp_path / "other", None)
    other.fresh(os.urandom)
    with pytest.raises(Invalid, match="does not open"):
        backup.verify(file, backup.by_seal(other), os.urandom)


def test_a_shamir_store_asks_for_shares(tmp_path):
    """There is no key file that could open it."""
    people, root_key = os.urandom(32), os.urandom(32)
    barrier = Barrier(storage := MemoryStorage(), os.urandom)
    lock = locks.close(people, root_key, locks.PEOPLE, os.urandom)
    barrier.initialize(
        root_key, locks.encode(locks.SealConfig(kind="shamir", shares=1, threshold=1, people=lock))
    )
    backup.save(tmp_path / "backup", backup.snapshot(storage, barrier, now=NOW))
    with pytest.raises(Invalid, match="has a shamir seal"):
        backup.verify(tmp_path / "backup", backup.by_seal(KeyFile(tmp_path / "key", None)), os.urandom)
    backup.verify(tmp_path / "backup", backup.by_shares([people.hex()]), os.urandom)


def test_a_backup_under_load_is_one_moment(store, unlock, tmp_path):
    """While writers go on, every backup is whole and verifies: pairs that are written together are there together."""
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            with store.barrier.begin(write=True) as tx:
                tx.put("pair/left", str(number).encode())
                tx.put("pair/right", str(number).encode())

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        files = [store.backup(tmp_path / f"backup-{number}") for number in range(3)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    for number, file in enumerate(files):
        backup.restore(file, tmp_path / f"new-{number}", unlock, os.urandom)
        barrier = opened(tmp_path / f"new-{number}", unlock)
        with barrier.begin(write=False) as tx:
            assert tx.get("pair/left") == tx.get("pair/right")
        barrier.close()


def test_nobody_waits_for_a_backup(store, unlock, tmp_path):
    """Between any two pieces everything goes on: commits, a rotation, the end of the old key. It is of the moment before."""
    before, content = store.barrier.commit_seq, []
    for number, piece in enumerate(backup.snapshot(store.storage, store.barrier, now=NOW)):
        content.append(piece)
        if number % 3 == 0:
            store.fill(range(100 + number, 103 + number))
            with store.barrier.begin(write=True) as tx:
                tx.delete(f"mount/team/secret-{number // 3}")
        if number == 30:
            store.barrier.rotate(NOW)
            while store.barrier.reseal(limit=100):
                pass
    backup.save(tmp_path / "backup", content)
    assert store.barrier.commit_seq > before
    manifest = backup.restore(tmp_path / "backup", tmp_path / "new", unlock, os.urandom)
    assert manifest.commit_seq == before
    barrier = opened(tmp_path / "new", unlock)
    with barrier.begin(write=False) as tx:
        assert sorted(tx.list("mount/team/")) == sorted(f"secret-{number}" for number in range(40))
    barrier.close()


def test_many_rows_are_put_in_piece_by_piece(file, unlock, tmp_path, monkeypatch):
    """As a large store's are."""
    monkeypatch.setattr(backup, "_ROWS_AT_ONCE", 7)
    manifest = backup.restore(file, tmp_path / "new", unlock, os.urandom)
    barrier = opened(tmp_path / "new", unlock)
    with barrier.begin(write=False) as tx:
        assert len(tx.list("open/token/id/")) == 40
    barrier.close()
    assert manifest.rows > 80


def test_a_rotated_store_restores(store, unlock, tmp_path):
    """Rows under several keys come back."""
    store.barrier.rotate(NOW)
    store.fill(range(40, 60))
    backup.restore(store.backup(tmp_path / "backup"), tmp_path / "new", unlock, os.urandom)
    barrier = opened(tmp_path / "new", unlock)
    with barrier.begin(write=False) as tx:
        assert tx.get("mount/team/secret-1") == CANARY + b"1"
        assert tx.get("mount/team/secret-59") == CANARY + b"59"
    barrier.close()


# ── where to ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_with_something_in_it_is_refused(file, unlock, tmp_path):
    """A store that is there is never touched; an empty folder will do."""
    (tmp_path / "new").mkdir()
    backup.restore(file, tmp_path / "new", unlock, os.urandom)
    with pytest.raises(Invalid, match="is not empty"):
        backup.restore(file, tmp_path / "new", unlock, os.urandom)


def test_a_restore_that_fails_leaves_nothing(file, unlock, tmp_path):
    """Neither a store nor a part of one; what a killed restore left is cleared away."""
    damaged = tmp_path / "damaged"
    damaged.write_bytes(file.read_bytes()[:-1])
    (tmp_path / ".new.restoring").mkdir()
    (tmp_path / ".new.restoring" / "half").write_text("")
    before = [name for name in names(tmp_path) if name != ".new.restoring"]
    with pytest.raises(Invalid):
        backup.restore(damaged, tmp_path / "new", unlock, os.urandom)
    assert names(tmp_path) == before


def test_a_backup_that_cannot_be_finished_leaves_nothing(store, tmp_path):
    """An error half way: the file of before stays, and no part is left beside it."""
    file = tmp_path / "backup"
    file.write_text("the backup of yesterday")

    def pieces():
        yield b"half"
        raise StoreFault("the disk")

    with pytest.raises(StoreFault):
        backup.save(file, pieces())
    assert file.read_text() == "the backup of yesterday"
    assert not [name for name in names(tmp_path) if name.endswith(".part")]


# ── broken backups ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_file_is_told(tmp_path, unlock):
    """Not by a traceback."""
    with pytest.raises(StoreFault, match="cannot read"):
        backup.verify(tmp_path / "nowhere", unlock, os.urandom)


@pytest.mark.parametrize(
    "content", [b"", b"ml-secrets", b"PK\x03\x04" + bytes(100), b"ml-secrets backup 2\n" + bytes(100)]
)
def test_a_file_that_is_no_backup_is_told(tmp_path, unlock, content):
    """Empty, cut in its first line, of another kind, of a newer version."""
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(Invalid, match=r"cut short|no backup of ours"):
        backup.verify(tmp_path / "other", unlock, os.urandom)


def test_a_truncated_backup_is_told_wherever_it_ends(file, unlock, tmp_path):
    """At 60 places, and at the last byte: never a restore of a part."""
    content, cut = file.read_bytes(), tmp_path / "cut"
    for size in [*range(0, len(content), len(content) // 60), len(content) - 1]:
        cut.write_bytes(content[:size])
        with pytest.raises(Invalid, match="cut short"):
            backup.verify(cut, unlock, os.urandom)


def test_a_flipped_byte_is_told(file, unlock, tmp_path):
    """At 100 places: something is named as damaged, edited or cut, and nothing is restored."""
    content, place, flipped = file.read_bytes(), Random(5), tmp_path / "flipped"
    for _ in range(100):
        at = place.randrange(len(content))
        flipped.write_bytes(
            content[:at] + bytes([content[at] ^ (1 << place.randrange(8))]) + content[at + 1 :]
        )
        with pytest.raises((Invalid, TamperFault)) as caught:
            backup.verify(flipped, unlock, os.urandom)
        assert caught.value.message


def test_bytes_after_the_end_are_told(file, unlock):
    """Nothing follows the manifest."""
    with file.open("ab") as end:
        end.write(b"more")
    with pytest.raises(Invalid, match="4 bytes follow its end"):
        backup.verify(file, unlock, os.urandom)


# ── forged backups: checksums put right by somebody who has no key ──────────────────────────────────────────────────


def frames(content):
    found, at = [], len(MAGIC)
    while at < len(content):
        kind, first, second, _ = FRAME.unpack_from(content, at)
        at += FRAME.size
        found.append((kind, content[at : at + first], content[at + first : at + first + second]))
        at += first + second
    return found


def forge(file, rows, *, commit_seq=None, name="forged"):
    """A backup of other rows with every checksum right; only the MAC cannot be."""
    import hashlib

    body = MAGIC + b"".join(frame(1, key, value) for key, value in rows)
    old = msgspec.json.decode(frames(file.read_bytes())[-1][1], type=Manifest)
    new = msgspec.structs.replace(
        old, rows=len(rows), sha256=hashlib.sha256(body).hexdigest(), commit_seq=commit_seq or old.commit_seq
    )
    path = file.with_name(name)
    path.write_bytes(body + frame(2, msgspec.json.encode(new), b""))
    return path


def rows_of(file):
    return [(key, value) for kind, key, value in frames(file.read_bytes()) if kind == 1]


def test_rows_put_in_or_taken_out_are_told(file, unlock):
    """Without the checksum put right, the count or the checksum tells; with it, the MAC does."""
    rows = rows_of(file)
    manifest = frames(file.read_bytes())[-1][1]
    path = file.with_name("short")
    path.write_bytes(MAGIC + b"".join(frame(1, *row) for row in rows[1:]) + frame(2, manifest, b""))
    with pytest.raises(Invalid, match="rows were taken out or put in"):
        backup.verify(path, unlock, os.urandom)
    path.write_bytes(
        MAGIC + b"".join(frame(1, *row) for row in [*rows[1:], rows[1]]) + frame(2, manifest, b"")
    )
    with pytest.raises(Invalid, match="its rows were edited"):
        backup.verify(path, unlock, os.urandom)
    token = next(number for number, (key, _) in enumerate(rows) if key.startswith(b"open/token/"))
    added = sorted([*rows, (b"open/token/id/ffff", rows[token][1])])
    for forged in (rows[:token] + rows[token + 1 :], added):
        with pytest.raises(TamperFault, match="MAC does not fit"):
            backup.verify(forge(file, forged), unlock, os.urandom)


def test_rows_out_of_order_or_twice_are_told(file, unlock):
    """With every checksum right: one could not be found where it should lie, or there would be two."""
    rows = rows_of(file)
    for forged in ([*rows[1:], rows[0]], [rows[0], *rows]):
        with pytest.raises(Invalid, match="not in order"):
            backup.verify(forge(file, forged), unlock, os.urandom)


def test_an_edited_manifest_is_told(file, unlock):
    """A backup that says it is newer than it is."""
    with pytest.raises(TamperFault, match="MAC does not fit"):
        backup.verify(forge(file, rows_of(file), commit_seq=10**6), unlock, os.urandom)


def test_a_backup_without_a_header_is_told(file, unlock):
    """Rows, but no store."""
    rows = [row for row in rows_of(file) if not row[0].startswith(b"barrier/header")]
    with pytest.raises(Invalid, match="holds no store"):
        backup.verify(forge(file, rows), unlock, os.urandom)


@pytest.mark.parametrize("raw", [b"{}", b"", b"\xff", b'{"mac":"\xff"}', b'{"x":' + b"[" * 60_000])
def test_an_unreadable_manifest_is_told(file, unlock, raw):
    """With its checksum right."""
    file.write_bytes(MAGIC + frame(2, raw, b""))
    with pytest.raises(Invalid, match="manifest is not readable"):
        backup.verify(file, unlock, os.urandom)


def test_a_name_that_is_no_text_is_told(file, unlock):
    """With its checksum right."""
    file.write_bytes(MAGIC + frame(1, b"\xff", b"x"))
    with pytest.raises(Invalid, match="row 1 has a name that is not UTF-8"):
        backup.verify(file, unlock, os.urandom)


def test_a_frame_of_an_unknown_kind_is_told(file, unlock):
    """As damage, with its place."""
    file.write_bytes(MAGIC + struct.pack(">BIII", 9, 0, 0, zlib.crc32(b"")))
    with pytest.raises(Invalid, match="row 1 is damaged"):
        backup.verify(file, unlock, os.urandom)


def test_rows_that_their_own_manifest_does_not_fit_are_told(store, tmp_path, unlock):
    """Somebody with the keys backs up a store that was edited below the barrier: the walk over all rows tells."""
    with store.storage.begin(write=True) as tx:
        key = next(walk(tx, "open/token/"))
        tx.delete(key)
    with pytest.raises(TamperFault, match="not what was written"):
        backup.verify(store.backup(tmp_path / "edited"), unlock, os.urandom)


def test_a_manifest_of_another_moment_is_told(store, file, unlock):
    """A right MAC over a sequence that the rows do not have."""
    content = msgspec.json.decode(frames(file.read_bytes())[-1][1], type=Manifest)
    other = msgspec.structs.replace(content, commit_seq=content.commit_seq + 1)
    signed = msgspec.structs.replace(other, mac=mac_of(store.barrier.subkey("backup"), other))
    body = MAGIC + b"".join(frame(1, *row) for row in rows_of(file))
    file.write_bytes(body + frame(2, msgspec.json.encode(signed), b""))
    with pytest.raises(TamperFault, match="not those that its manifest is about"):
        backup.verify(file, unlock, os.urandom)
