import os
import random

import pytest
from tests.unit.barrier.stores import ROOT, below, edit, filled, get, names, opened, put, reopened

from ml_secrets.barrier import survey
from ml_secrets.errors import Sealed, TamperFault
from ml_secrets.storage.memory import MemoryStorage
from ml_secrets.storage.sqlite import SqliteStorage


def copy_of(rows):
    storage = MemoryStorage()
    edit(storage, rows)
    return storage


def test_a_sound_store_is_clean():
    """Every row counted."""
    barrier, storage, _ = filled(400)
    report = barrier.verify()
    assert (report.clean, report.rows) == (True, barrier.rows)
    assert (report.commit_seq, report.state_digest) == (barrier.commit_seq, barrier.state_digest)
    report.check()
    assert reopened(storage).verify() == report


def test_rows_in_each_others_place_do_not_open():
    """Across names, kinds and rooms: whichever pair of rows is swapped, neither opens. (134)"""
    barrier, storage, rows = filled(8)
    places = {key: barrier._opened.place(key)[0] for key in rows}
    sealed = below(storage)
    keys = sorted(rows)
    dice = random.Random(3)
    for _ in range(150):
        one, other = dice.sample(keys, 2)
        edit(storage, {places[one]: sealed[places[other]], places[other]: sealed[places[one]]})
        for key in (one, other):
            with pytest.raises(TamperFault):
                get(barrier, key)
        assert set(barrier.verify().damaged) >= {places[one], places[other]}
        edit(storage, {places[one]: sealed[places[one]], places[other]: sealed[places[other]]})
    assert barrier.verify().clean


def test_pages_and_state_do_not_pass_for_rows():
    """Nor rows for them."""
    barrier, storage, rows = filled(100)
    sealed = below(storage)
    page = next(key for key in sealed if key.startswith("names/"))
    place = barrier._opened.place(next(iter(rows)))[0]
    for wrong in (sealed[page], sealed["barrier/state"]):
        edit(storage, {place: wrong})
        with pytest.raises(TamperFault):
            get(barrier, next(iter(rows)))
    edit(storage, {page: sealed[place]})
    with pytest.raises(TamperFault):
        names(barrier, "mount/m1/team-1/")
    edit(storage, sealed | {"barrier/state": sealed[page]})
    with pytest.raises(TamperFault):
        reopened(storage)


def test_verify_tells_a_page_of_names_that_does_not_open():
    """The report names it, and says that there are rows without names. Whole again, the store is clean."""
    barrier, storage, _ = filled(100)
    sealed = below(storage)
    for page in [key for key in sealed if key.startswith("names/")]:
        edit(storage, {page: sealed[page][:-1] + bytes([sealed[page][-1] ^ 1])})
        report = barrier.verify()
        assert set(report.damaged) == {page, "sealed/"}
        edit(storage, {page: sealed[page]})
    assert barrier.verify().clean


def flip(count, seed):
    """Flip a bit somewhere in the store, open it and read everything: right values or errors, never wrong ones."""
    dice = random.Random(seed)
    _, storage, rows = filled(12)
    sealed = below(storage)
    keys = sorted(sealed)
    refused = 0
    for _ in range(count):
        key = dice.choice(keys)
        damaged = bytearray(sealed[key])
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        copy = copy_of(sealed | {key: bytes(damaged)})
        try:
            barrier = reopened(copy)
        except TamperFault:
            assert key.startswith("barrier/")
            refused += 1
            continue
        assert not barrier.verify().clean
        for name, value in rows.items():
            try:
                assert get(barrier, name) == value
            except TamperFault:
                refused += 1
        try:
            assert names(barrier, "mount/m1/") == [f"team-{number}/" for number in range(7)]
        except TamperFault:
            refused += 1
    assert refused >= count


def test_a_flipped_bit_never_gives_a_wrong_value():
    """200 flips anywhere: an error or the right value, and `verify` tells each time. (93)"""
    flip(200, seed=1)


@pytest.mark.long
def test_a_thousand_flipped_bits():
    """The same, often. (93)"""
    flip(1000, seed=2)


def test_verify_tells_a_deleted_row():
    """Of any kind: a value, one of ours, a page of names."""
    barrier, storage, rows = filled(100)
    sealed = below(storage)
    for key in (
        barrier._opened.place("mount/m1/team-1/app-1")[0],
        "open/token/id/0003",
        next(k for k in sealed if k.startswith("names/")),
    ):
        report = reopened(copy_of({k: v for k, v in sealed.items() if k != key})).verify()
        assert not report.accounted
        with pytest.raises(TamperFault):
            report.check()
    assert rows


def test_a_row_that_was_taken_away_is_damage_not_absence():
    """Reading it is an error, in transactions of both kinds; a name that never was has no row, and a row of ours may be gone. (93)"""
    barrier, storage, _ = filled(100)
    sealed = below(storage)
    gone = barrier._opened.place("mount/m1/team-1/app-1")[0]
    again = reopened(copy_of({key: row for key, row in sealed.items() if key != gone}))
    for write in (False, True):
        with pytest.raises(TamperFault, match="a row is missing"), again.begin(write=write) as tx:
            tx.get("mount/m1/team-1/app-1")
        with again.begin(write=write) as tx:
            assert tx.get("mount/m1/team-1/app-0") is None
            assert tx.get("open/token/id/none") is None


def test_verify_tells_a_row_that_came_back():
    """A deleted row (a revoked token, say) is put back as it was: it opens, and verify knows better."""
    barrier, storage, _ = filled(20)
    old = below(storage)
    with barrier.begin(write=True) as tx:
        tx.delete("open/token/id/0003")
        tx.delete("mount/m1/team-4/app-4")
    place = barrier._opened.place("mount/m1/team-4/app-4")[0]
    for key in ("open/token/id/0003", place):
        again = reopened(copy_of(below(storage) | {key: old[key]}))
        report = again.verify()
        assert not report.accounted
        assert not report.clean
    assert barrier.verify().clean


def test_verify_tells_a_row_that_was_rolled_back():
    """An older value of the same row opens (it was ours), and verify knows better."""
    barrier, storage, _ = filled(20)
    old = below(storage)
    put(barrier, {"open/token/id/0003": b"newer", "mount/m1/team-4/app-4": b"newer"})
    for key in ("open/token/id/0003", barrier._opened.place("mount/m1/team-4/app-4")[0]):
        report = reopened(copy_of(below(storage) | {key: old[key]})).verify()
        assert (report.damaged, report.accounted) == ((), False)
        with pytest.raises(TamperFault, match="not those of the newest commit"):
            report.check()


def test_verify_tells_an_older_state_row():
    """Rolling back the account itself does not hide anything."""
    barrier, storage, _ = filled(20)
    old = below(storage)["barrier/state"]
    put(barrier, {"open/x": b"1"})
    assert not reopened(copy_of(below(storage) | {"barrier/state": old})).verify().accounted


def test_verify_tells_a_state_row_that_is_damaged_or_gone_while_the_store_is_open():
    """What is on the disk counts, not what is remembered."""
    barrier, storage, _ = filled(5)
    for damage, damaged in ((os.urandom(300), ("barrier/state",)), (None, ())):
        edit(storage, {"barrier/state": damage})
        report = barrier.verify()
        assert (report.damaged, report.accounted, report.clean) == (damaged, False, False)


def test_verify_is_of_one_moment_and_nobody_waits_for_it(tmp_path):
    """Commits that come while it walks, of all kinds of rows, neither wait nor show; the next one knows them. A rotation may run, too:
    the older key stays until the walk is over."""
    storage = SqliteStorage(tmp_path)
    barrier = opened(storage)
    put(barrier, {f"mount/m/app-{number}": b"x" for number in range(700)})
    before, freeze = (barrier.commit_seq, barrier.rows), storage.freeze

    def freeze_and_go_on(**how):
        """Writers that have their turn right after the moment, and again in the middle of the rows."""
        moment = freeze(**how)

        class GoingOn:
            look = staticmethod(moment.look)

            def __iter__(self):
                for number, row in enumerate(moment):
                    if number in (0, 600):
                        change(number)
                    yield row

        return GoingOn()

    def change(number):
        put(barrier, {f"mount/m/app-{number}": b"y", f"mount/m/new-{number}": b"z", "open/x": b"%d" % number})
        with barrier.begin(write=True) as tx:
            tx.delete(f"mount/m/app-{number + 1}")
        barrier.rotate(1.0)
        assert barrier.reseal(limit=10_000) == 0

    storage.freeze = freeze_and_go_on
    try:
        report = barrier.verify()
        assert (report.clean, report.commit_seq, report.rows) == (True, *before)
        assert len(barrier._opened.keyring.epochs) == 3
    finally:
        storage.freeze = freeze
    assert barrier.verify().clean
    barrier.reseal(limit=1)
    assert len(barrier._opened.keyring.epochs) == 1
    assert barrier.verify().clean
    barrier.close()


def test_verify_rests_after_every_few_rows(monkeypatch):
    """A large store is gone over in turns: requests that wait for the processor meanwhile wait for a few rows, not for milliseconds."""
    barrier = opened()
    put(barrier, {f"{kind}{number}": b"x" for kind in ("open/", "n/") for number in range(320)})
    rests = []
    monkeypatch.setattr(survey.time, "sleep", rests.append)
    assert barrier.verify().clean
    assert len(rests) >= 30  # 640 rows, those of people twice
    assert min(rests) > 0


def test_verify_ends_where_the_barrier_seals():
    """It is no damage that the keys went."""
    barrier, storage, _ = filled(5)
    rows = iter(storage.freeze())

    class Sealing:
        def __iter__(self):
            barrier.seal()
            return rows

    storage.freeze = lambda **_: Sealing()
    with pytest.raises(Sealed):
        barrier.verify()


def test_verify_tells_rows_that_nobody_wrote():
    """A stranger's row, in any room of the storage."""
    barrier, storage, _ = filled(5)
    sealed = below(storage)
    for key in ("open/new", "sealed/" + "0" * 48, "names/" + "1" * 32, "elsewhere/x"):
        report = reopened(copy_of(sealed | {key: sealed["open/token/id/0001"]})).verify()
        assert not report.clean
        assert report.damaged
    assert barrier.verify().clean


def test_the_digest_tells_states_apart():
    """An anchor outside compares it: it changes with every commit, and an older store gives its older one."""
    barrier, storage, _ = filled(5)
    old, before = below(storage), (barrier.commit_seq, barrier.state_digest)
    put(barrier, {"open/x": b"1"})
    assert barrier.commit_seq == before[0] + 1
    assert barrier.state_digest != before[1]
    again = reopened(copy_of(old))
    assert (again.commit_seq, again.state_digest) == before


def test_tampering_errors_tell_no_names_or_values():
    """Neither of the row nor of the key that was asked for."""
    storage = MemoryStorage()
    barrier = opened(storage, ROOT)
    put(barrier, {"mount/m/payroll": b"fake-value"})
    place = barrier._opened.place("mount/m/payroll")[0]
    edit(storage, {place: os.urandom(300)})
    with pytest.raises(TamperFault) as caught:
        get(barrier, "mount/m/payroll")
    assert "payroll" not in str(caught.value)
    assert "payroll" not in str(barrier.verify())
