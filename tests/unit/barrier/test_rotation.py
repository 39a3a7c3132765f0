import threading
import time
from contextlib import contextmanager

import pytest
from tests.unit.barrier.stores import ROOT, below, edit, filled, get, opened, put, reopened

from ml_secrets.barrier import header
from ml_secrets.crypto.aead import epoch_of
from ml_secrets.errors import Invalid, StoreFull, TamperFault
from ml_secrets.storage.memory import MemoryStorage


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


def pass_of(barrier, limit=25):
    """Re-sealing until it has nothing more to do; how many rounds that took."""
    rounds = 1
    while barrier.reseal(limit=limit):
        rounds += 1
    return rounds


def damage(storage, place):
    """One bit of that row; returns the row as it was."""
    row = below(storage)[place]
    edit(storage, {place: row[:-1] + bytes([row[-1] ^ 1])})
    return row


def test_resealing_leaves_damaged_rows_to_verify(caplog):
    """It neither stops at them, nor loses the key they need, nor goes over the store again and again: it says so once."""
    barrier, storage, rows = filled(5)
    row = damage(storage, "open/token/id/0002")
    barrier.rotate(1.0)
    pass_of(barrier)
    assert epochs(storage) == {1, 2}
    before = storage.revision
    assert barrier.reseal(limit=1000) == 0
    assert storage.revision == before
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "1 rows are damaged" in caplog.text
    assert barrier.verify().damaged == ("open/token/id/0002",)
    edit(storage, {"open/token/id/0002": row})
    assert get(barrier, "open/token/id/0002") == rows["open/token/id/0002"]
    barrier.rotate(2.0)
    pass_of(barrier)
    assert (epochs(storage), barrier.verify().clean) == ({3}, True)


@pytest.mark.parametrize("change", ["flipped", "gone"])
def test_resealing_passes_over_a_damaged_page_of_names(change):
    """The rows that only that page names stay as they are; all others move, in rounds of any size. Whole again, so do those."""
    for limit in (7, 1000):
        barrier, storage, _ = filled(200)
        pages = [key for key in below(storage) if key.startswith("names/") and not key.endswith("0" * 32)]
        row = below(storage)[pages[0]]
        damage(storage, pages[0]) if change == "flipped" else edit(storage, {pages[0]: None})
        barrier._opened.page.cache_clear()
        barrier.rotate(1.0)
        pass_of(barrier, limit)
        old = [key for key, value in below(storage).items() if key[:8] != "barrier/" and epoch_of(value) == 1]
        named = len(barrier._opened.open_page(row, pages[0]).keys)
        assert len([key for key in old if key.startswith("sealed/")]) == named
        assert len(old) == named + (change == "flipped")
        assert {pages[0], "sealed/"} <= set(barrier.verify().damaged)
        edit(storage, {pages[0]: row})
        barrier = reopened(storage)
        pass_of(barrier, limit)
        assert (epochs(storage), barrier.verify().clean) == ({2}, True)


def test_a_round_of_resealing_that_failed_is_done_again():
    """The disk was full: the rows of that round are not passed over, and the old key goes in the end."""
    storage = FailingSecond()
    barrier = opened(storage)
    put(barrier, {f"a/{number}": b"1" for number in range(30)})
    barrier.rotate(1.0)
    storage.left = 1
    with pytest.raises(StoreFull):
        barrier.reseal(limit=10)
    pass_of(barrier, 10)
    assert epochs(storage) == {2}


def test_a_rotation_during_resealing_begins_it_anew():
    """Rows that were visited under the key before are old again."""
    barrier, storage, _ = filled(20)
    barrier.rotate(1.0)
    assert barrier.reseal(limit=30)
    barrier.rotate(2.0)
    pass_of(barrier, 30)
    assert epochs(storage) == {3}


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


class FailingSecond(MemoryStorage):
    """The second write transaction from `arm` on does not commit."""

    left = -1

    @contextmanager
    def _write(self):
        with super()._write() as tx:
            yield tx
            self.left -= 1
            if not self.left:
                raise StoreFull("the disk is full")


@pytest.mark.parametrize("change", ["rotate", "rewrap"])
def test_a_switch_that_fails_leaves_the_old_keys(change):
    """The disk fills up between the two steps: the change is refused, everything goes on as before, and can be done later."""
    storage = FailingSecond()
    barrier = opened(storage)
    put(barrier, {"a": b"1"})
    changes = {"rotate": lambda: barrier.rotate(1.0), "rewrap": lambda: barrier.rewrap(bytes(32), b"new")}
    storage.left = 2
    with pytest.raises(StoreFull):
        changes[change]()
    assert (barrier.key_status()["term"], barrier.seal_config) == (1, b"config")
    put(barrier, {"b": b"2"})
    assert get(reopened(storage), "b") == b"2"
    changes[change]()
    assert barrier.verify().clean
    assert get(reopened(storage, ROOT if change == "rotate" else bytes(32)), "b") == b"2"


def test_keys_do_not_change_without_a_header():
    """Somebody took it away while the store was open: damage, and nothing is written."""
    barrier, storage, _ = filled(3)
    edit(storage, {"barrier/header": None})
    before = below(storage)
    with pytest.raises(TamperFault):
        barrier.rewrap(bytes(32), b"new")
    assert below(storage) == before


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


class Overtaken(MemoryStorage):
    """Somebody rekeys right after the next read transaction, if they are let: `rekey` is their thread."""

    def __init__(self):
        super().__init__()
        self.rekey = None

    @contextmanager
    def _reading(self):
        with super().begin(write=False) as tx:
            yield tx
        rekey, self.rekey = self.rekey, None
        if rekey is not None:
            rekey.start()
            rekey.join(0.3)

    def begin(self, *, write):
        return super().begin(write=True) if write else self._reading()


@pytest.mark.parametrize("change", ["rotate", "reseal"])
def test_a_rekey_beside_a_rotation_keeps_its_locks(change):
    """Whichever comes first, the seal configuration of the rekey stays: with the one before, nobody could open the store."""
    storage = Overtaken()
    barrier = opened(storage)
    put(barrier, {"a": b"1"})
    if change == "reseal":
        barrier.rotate(1.0)
    rekey = storage.rekey = threading.Thread(target=lambda: barrier.rewrap(bytes(32), b"new"))
    barrier.rotate(2.0) if change == "rotate" else barrier.reseal(limit=100)
    rekey.join()
    assert barrier.seal_config == b"new"
    assert get(reopened(storage, bytes(32)), "a") == b"1"


def test_a_folder_with_more_rows_than_are_listed_at_once_is_resealed():
    """Whatever a round's limit: each goes on where the one before ended."""
    storage = MemoryStorage()
    barrier = opened(storage)
    put(barrier, {f"open/lease/{number:04}": b"x" for number in range(1100)})
    barrier.rotate(1.0)
    while barrier.reseal(limit=700):
        pass
    assert (epochs(storage), barrier.verify().clean) == ({2}, True)
