import time

import pytest
from tests.unit.barrier.stores import ROOT, below, edit, filled, get, put, reopened

from ml_secrets.barrier import header
from ml_secrets.barrier.survey import START
from ml_secrets.crypto.aead import epoch_of
from ml_secrets.errors import Invalid, TamperFault


def epochs(storage):
    return {
        epoch_of(row)
        for key, row in below(storage).items()
        if not key.startswith(("barrier/header", "barrier/keyring"))
    }


def test_rotation_seals_new_rows_under_a_new_key():
    """Old rows stay readable, the term grows, and the status tells time and count."""
    barrier, storage, rows = filled(10)
    assert barrier.key_status()["term"] == 1
    barrier.rotate(1_700_000_000.0)
    assert barrier.key_status() == {"term": 2, "install_time": "2023-11-14T22:13:20Z", "encryptions": 1}
    put(barrier, {"open/fresh": b"1"})
    assert barrier.key_status()["encryptions"] == 3
    assert (epoch_of(below(storage)["open/fresh"]), epochs(storage)) == (2, {1, 2})
    assert all(get(reopened(storage), key) == value for key, value in rows.items())


def test_resealing_goes_on_where_it_was_and_drops_old_keys():
    """A few rows at a time; the number left falls to 0, then the old key is gone from memory and from the store."""
    barrier, storage, rows = filled(40)
    barrier.rotate(1.0)
    barrier.rotate(2.0)
    left = [barrier.reseal(limit=25)]
    while left[-1]:
        left.append(barrier.reseal(limit=25))
    assert left == sorted(left, reverse=True)
    assert len(left) >= len(rows) // 25
    assert epochs(storage) == {3}
    assert list(barrier._opened.keyring.epochs) == [3]
    again = reopened(storage)
    assert list(again._opened.keyring.epochs) == [3]
    assert all(get(again, key) == value for key, value in rows.items())
    assert again.verify().clean
    assert again.reseal(limit=25) == 0


def test_resealing_without_need_writes_nothing():
    """It is asked every few seconds."""
    barrier, storage, _ = filled(3)
    before = storage.revision
    assert barrier.reseal(limit=100) == 0
    assert storage.revision == before


def test_resealing_leaves_damaged_rows_to_verify():
    """It neither stops at them nor loses the key they need."""
    barrier, storage, _ = filled(5)
    row = below(storage)["open/token/id/0002"]
    edit(storage, {"open/token/id/0002": row[:-1] + bytes([row[-1] ^ 1])})
    barrier.rotate(1.0)
    for _ in range(3):
        left = barrier.reseal(limit=1000)
    assert left == 1
    assert barrier._cursor == START
    assert barrier.verify().damaged == ("open/token/id/0002",)
    edit(storage, {"open/token/id/0002": row})
    assert barrier.reseal(limit=1000) == 0
    assert barrier.verify().clean


def test_rekey_changes_the_root_key():
    """The new one opens, the old one does not, the old keyring is gone, and rotation goes on under the new one."""
    barrier, storage, rows = filled(5)
    for number in range(3):
        barrier.rewrap(bytes([number]) * 32, b"config %d" % number)
        assert [key for key in below(storage) if key.startswith("barrier/keyring/")] == [
            f"barrier/keyring/{'ba'[number % 2]}"
        ]
    barrier.rotate(1.0)
    assert barrier.seal_config == b"config 2"
    for old in (ROOT, bytes([1]) * 32):
        with pytest.raises(Invalid):
            reopened(storage, old)
    again = reopened(storage, bytes([2]) * 32)
    assert all(get(again, key) == value for key, value in rows.items())


def test_a_crash_between_the_two_steps_leaves_the_old_keys():
    """The new keyring is in the free slot, the header was not switched: the old root key opens, and a rekey works again."""
    barrier, storage, rows = filled(5)
    before = below(storage)
    barrier.rewrap(bytes(32), b"new")
    after = below(storage)
    edit(storage, dict.fromkeys(after) | before | {"barrier/keyring/b": after["barrier/keyring/b"]})
    again = reopened(storage)
    assert (again.seal_config, again.verify().clean) == (b"config", True)
    again.rewrap(bytes(32), b"newer")
    assert all(get(reopened(storage, bytes(32)), key) == value for key, value in rows.items())


def test_a_new_keyring_that_does_not_read_back_is_not_switched_to(monkeypatch):
    """What was written is unwrapped before the header names it."""
    barrier, storage, _ = filled(3)
    real = header.write_slot
    monkeypatch.setattr(
        header,
        "write_slot",
        lambda tx, name, slot: real(
            tx, name, header.Slot(slot.generation, slot.seal_config, slot.check, slot.wrapped[:-1] + b"?")
        ),
    )
    with pytest.raises(TamperFault):
        barrier.rewrap(bytes(32), b"new")
    with pytest.raises(TamperFault):
        barrier.rotate(time.time())
    assert barrier.key_status()["term"] == 1
    assert reopened(storage).verify().clean


def test_an_older_keyring_cannot_be_put_back():
    """Not even with its own root key: the state names the generation that belongs to it."""
    barrier, storage, _ = filled(3)
    old = {
        key: value
        for key, value in below(storage).items()
        if key.startswith(("barrier/header", "barrier/keyring"))
    }
    barrier.rewrap(bytes(32), b"new")
    edit(storage, old)
    with pytest.raises(TamperFault, match="not the one its state belongs to"):
        reopened(storage)
