import hashlib
import os
import threading
import time
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule
from tests.unit.barrier.stores import ROOT, below, edit, filled, get, names, opened, put, reopened
from tests.unit.storage.exercise import MODEL, Against, Exercise, run_all

from ml_secrets.barrier import header
from ml_secrets.barrier.barrier import Barrier
from ml_secrets.crypto.aead import Cipher
from ml_secrets.crypto.memory import KeyMemory
from ml_secrets.errors import Invalid, Sealed, StoreFault, TamperFault
from ml_secrets.storage.interface import Moved
from ml_secrets.storage.memory import MemoryStorage
from ml_secrets.storage.sqlite import SqliteStorage


class TestOverMemory(Exercise):
    """A barrier is a storage."""

    @pytest.fixture
    def storage(self):
        return opened()


class TestOverSqlite(Exercise):
    """Over a file as well."""

    @pytest.fixture
    def storage(self, tmp_path):
        barrier = opened(SqliteStorage(tmp_path))
        yield barrier
        barrier.close()


class BarrierAgainstDictionary(Against):
    """Whatever is done to its keys, it holds what the dictionary holds, and accounts for it."""

    def open(self):
        self.root = ROOT
        self.below = MemoryStorage()
        return opened(self.below)

    @rule()
    def rotate(self):
        self.storage.rotate(time.time())

    @rule(limit=st.integers(1, 20))
    def reseal(self, limit):
        left = self.storage.reseal(limit=limit)
        assert (left == 0) == (len(self.storage._opened.keyring.epochs) == 1)

    @rule()
    def rekey(self):
        self.root = os.urandom(32)
        self.storage.rewrap(self.root, b"config")

    @rule()
    def reopen(self):
        self.storage.seal()
        self.storage = reopened(self.below, self.root)

    @rule()
    def verify(self):
        report = self.storage.verify()
        assert report.clean
        assert report.rows == len([key for key in below(self.below) if not key.startswith("barrier/")])


TestBarrierModel = BarrierAgainstDictionary.TestCase
TestBarrierModel.settings = MODEL


# ── opening and sealing ─────────────────────────────────────────────────────────────────────────────────────────────


def test_before_it_is_initialised():
    """Sealed, nameless, and nothing goes through."""
    barrier = Barrier(MemoryStorage(), os.urandom)
    assert (barrier.initialized, barrier.sealed, barrier.cluster_id, barrier.seal_config) == (
        False,
        True,
        "",
        b"",
    )
    with pytest.raises(Invalid, match="not initialized"):
        barrier.unseal(ROOT)
    with pytest.raises(Sealed):
        barrier.begin(write=False)


def test_initialise_once():
    """It is open then, keeps its name and configuration, and is not initialised again."""
    barrier = opened()
    assert (barrier.initialized, barrier.sealed, barrier.seal_config) == (True, False, b"config")
    assert len(barrier.cluster_id) == 36
    with pytest.raises(Invalid, match="already initialized"):
        barrier.initialize(ROOT, b"other")
    assert barrier.seal_config == b"config"


def test_only_its_root_key_opens_it():
    """Any other, and any that is no key, is Invalid with one text for all wrong keys; then the right one opens it."""
    barrier, storage, rows = filled(5)
    barrier.seal()
    texts = set()
    for key in (bytes(32), os.urandom(32), ROOT[:-1] + b"\0"):
        with pytest.raises(Invalid) as caught:
            barrier.unseal(key)
        texts.add(str(caught.value))
    assert len(texts) == 1
    with pytest.raises(Invalid, match="32 bytes"):
        barrier.unseal(b"short")
    assert barrier.sealed
    barrier.unseal(ROOT)
    assert all(get(barrier, key) == value for key, value in rows.items())
    assert get(reopened(storage), next(iter(rows))) == next(iter(rows.values()))


def test_unseal_of_an_open_barrier_checks_the_key():
    """A wrong one is refused, the right one changes nothing."""
    barrier = opened()
    put(barrier, {"a": b"1"})
    with pytest.raises(Invalid):
        barrier.unseal(bytes(32))
    barrier.unseal(bytearray(ROOT))
    assert get(barrier, "a") == b"1"


@pytest.mark.parametrize(
    ("row", "damage"),
    [
        (row, damage)
        for row in ("barrier/header", "barrier/keyring/a", "barrier/state")
        for damage in ("flip", "cut")
    ]
    + [
        ("barrier/keyring/a", "gone"),
        ("barrier/state", "gone"),
    ],  # without a header a store is not initialised at all
)
def test_a_damaged_header_is_told_from_a_wrong_key(row, damage):
    """TamperFault even with the right key; never an answer."""
    barrier, storage, _ = filled(3)
    barrier.seal()
    value = below(storage)[row]
    changed = {"flip": value[:-3] + bytes([value[-3] ^ 1]) + value[-2:], "cut": value[:-1], "gone": None}[
        damage
    ]
    edit(storage, {row: changed})
    with pytest.raises(TamperFault):
        reopened(storage)


@pytest.mark.parametrize("content", [b"\x92\xa1\xff\xa1a", b"\x91" * 60_000])
def test_a_forged_header_is_damage(content):
    """Its checksum is right, and its text is no UTF-8, or endlessly nested."""
    storage = filled(1)[1]
    edit(storage, {"barrier/header": hashlib.sha256(content).digest() + content})
    with pytest.raises(TamperFault, match="header is damaged"):
        reopened(storage)


def test_a_swapped_seal_configuration_does_not_open():
    """It is bound into the wrapped keyring: whoever edits it, checksum and all, gets a store that does not open."""
    barrier, storage, _ = filled(3)
    from ml_secrets.barrier import header

    with storage.begin(write=True) as tx:
        slot = header.read_slot(tx, "a")
        header.write_slot(tx, "a", header.Slot(slot.generation, b"weaker", slot.check, slot.wrapped))
    assert barrier.seal_config == b"weaker"
    with pytest.raises(TamperFault):
        reopened(storage)


def test_a_header_that_is_whole_but_not_ours_is_damage():
    """Its checksum fits, its content is no header; or the keyring holds no keys."""
    from ml_secrets.barrier import header, keyring

    barrier, storage, _ = filled(3)
    sound = below(storage)
    content = b"\x93nonsense"
    edit(storage, {"barrier/header": hashlib.sha256(content).digest() + content})
    with pytest.raises(TamperFault):
        reopened(storage)
    edit(storage, sound)
    with storage.begin(write=True) as tx:
        slot = header.read_slot(tx, "a")
        wrapped = Cipher(ROOT, os.urandom).seal(bytes(40), keyring._binding(barrier.cluster_id, slot))
        header.write_slot(tx, "a", header.Slot(slot.generation, slot.seal_config, slot.check, wrapped))
    with pytest.raises(TamperFault):
        reopened(storage)


def test_reading_the_header_goes_on_where_a_writer_overtook_it():
    """Its readers (health checks, seal status) never see Moved."""
    barrier, storage, _ = filled(1)

    class Overtaken(MemoryStorage):
        times = 3

        def begin(self, *, write):
            if self.times:
                self.times -= 1
                raise Moved
            return storage.begin(write=write)

    other = Barrier(Overtaken(), os.urandom)
    assert (other.cluster_id, other.seal_config) == (barrier.cluster_id, b"config")


def test_a_newer_format_is_refused():
    """An older program leaves it alone. (140)"""
    from ml_secrets.barrier import header

    barrier, storage, _ = filled(3)
    with storage.begin(write=True) as tx:
        header.write_header(tx, header.Header(barrier.cluster_id, "a", header.FORMAT + 1))
    with pytest.raises(StoreFault, match="upgrade ml-secrets"):
        reopened(storage)


def test_sealed_means_sealed():
    """Every use raises Sealed; only name and configuration still show."""
    barrier = opened()
    put(barrier, {"a": b"1"})
    cluster_id = barrier.cluster_id
    barrier.seal()
    barrier.seal()
    uses = [
        lambda: barrier.begin(write=False),
        lambda: put(barrier, {"a": b"1"}),
        lambda: barrier.subkey("token"),
        lambda: barrier.rotate(0),
        lambda: barrier.rewrap(bytes(32), b""),
        lambda: barrier.reseal(limit=1),
        barrier.verify,
        barrier.key_status,
        barrier.bump_incarnation,
        lambda: barrier.commit_seq,
        lambda: barrier.state_digest,
    ]
    for use in uses:
        with pytest.raises(Sealed):
            use()
    assert (barrier.sealed, barrier.initialized, barrier.cluster_id, barrier.seal_config) == (
        True,
        True,
        cluster_id,
        b"config",
    )


def test_transactions_from_before_end_with_the_seal():
    """A read that began before gets Sealed, even if it is open again; a write is not committed."""
    barrier = opened()
    put(barrier, {"a": b"1", "b/c": b"1"})
    with barrier.begin(write=False) as tx:
        assert tx.get("a") == b"1"
        barrier.seal()
        barrier.unseal(ROOT)
        for use in (lambda: tx.get("a"), lambda: tx.get("never read"), lambda: tx.list("")):
            with pytest.raises(Sealed):
                use()
    with pytest.raises(Sealed):
        put_while_sealing(barrier, {"a": b"2"})
    barrier.unseal(ROOT)
    assert get(barrier, "a") == b"1"
    assert barrier.verify().clean


def put_while_sealing(barrier, rows):
    with barrier.begin(write=True) as tx:
        for key, value in rows.items():
            tx.put(key, value)
        barrier.seal()


def test_no_row_is_ever_sealed_under_wiped_keys():
    """Writers that race with the seal commit whole and readable rows, or none."""
    barrier = opened()
    count = sum(seal_under_a_writer(barrier, f"fresh/{number}-") for number in range(25))
    assert len(names(barrier, "fresh/")) >= count > 0


def seal_under_a_writer(barrier, prefix):
    """Seal while a thread writes; open again and verify. Returns how many writes were acknowledged."""
    stop, acknowledged = threading.Event(), []

    def write():
        try:
            while True:
                put(barrier, {f"{prefix}{len(acknowledged)}": b"fake value"})
                acknowledged.append(1)
                stop.set()
        except Sealed:
            stop.set()

    run_all([write, lambda: (stop.wait(10), barrier.seal())])
    barrier.unseal(ROOT)
    barrier.verify().check()
    return len(acknowledged)


def test_seal_wipes_the_keys():
    """Root key, stable key and data keys are zeros afterwards, and so is all that was derived into key memory; what had taken a key in is let go."""
    barrier = opened()
    barrier.rotate(1.0)
    keyring = barrier._opened.keyring
    places = [
        keyring.root_key,
        keyring.stable_key,
        barrier._opened.state_key,
        *(epoch.key for epoch in keyring.epochs.values()),
    ]
    assert all(any(place) for place in places)
    wipe, now, closed = keyring.wipe, barrier._opened, []
    taken_in = now.state_mac.digest(b""), now.place_of("name")
    keyring.wipe = lambda: (closed.append(now.closed), wipe())
    barrier.seal()
    assert closed == [True]  # first it is said to be closed: whoever used a wiped key can tell afterwards
    assert not any(any(place) for place in places)
    assert now.state_mac.digest(b"") != taken_in[0]
    assert now.place_of("name") != taken_in[1]
    assert isinstance(keyring.memory, KeyMemory)


def without_state(storage):
    edit(storage, {"barrier/state": None})


def with_another_keyring(storage):
    slot = below(storage)["barrier/keyring/a"]
    with storage.begin(write=True) as tx:
        found = header.read_slot(tx, "a")
        header.write_slot(tx, "a", msgspec.structs.replace(found, wrapped=found.wrapped[:-1] + b"?"))
    assert below(storage)["barrier/keyring/a"] != slot


@pytest.mark.parametrize("damage", [without_state, with_another_keyring])
def test_an_unseal_that_finds_damage_wipes_the_keys(monkeypatch, damage):
    """They were read before the damage was found."""
    storage = filled(1)[1]
    damage(storage)
    pages = []
    real = KeyMemory._new_page
    monkeypatch.setattr(KeyMemory, "_new_page", lambda self: pages.append(real(self)) or pages[-1])
    with pytest.raises(TamperFault, match=r"state is missing|header is damaged"):
        reopened(storage)
    assert pages
    assert not any(any(page) for page in pages)


# ── what lies below ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_and_values_do_not_show_below():
    """Neither lies anywhere in the storage; names made by us do, on purpose."""
    storage = MemoryStorage()
    barrier = opened(storage)
    put(
        barrier,
        {"mount/m/payroll/database-password": b"fake-hunter2-value", "open/id/0f0f": b"fake-open-value"},
    )
    everything = b"\n".join(key.encode() + b"=" + value for key, value in below(storage).items())
    for text in (b"payroll", b"database", b"fake-hunter2-value", b"fake-open-value", ROOT):
        assert text not in everything
    assert b"open/id/0f0f" in everything


def test_sizes_show_in_steps():
    """Rows are padded to 256 bytes; an empty one stays empty."""
    storage = MemoryStorage()
    barrier = opened(storage)
    sizes = {}
    for size in (0, 1, 100, 255, 256, 511, 512, 5000):
        put(barrier, {f"open/{size}": b"\x80" * size})
        sizes[size] = len(below(storage)[f"open/{size}"]) - 48
        assert get(barrier, f"open/{size}") == b"\x80" * size
    assert sizes == {0: 0, 1: 256, 100: 256, 255: 256, 256: 512, 511: 512, 512: 768, 5000: 5120}


def test_what_is_deleted_leaves_nothing():
    """With the last name the last page goes, too: only the header, the keyring and the state are left."""
    storage = MemoryStorage()
    barrier = opened(storage)
    rows = {f"team-{number % 3}/app-{number}": b"x" for number in range(400)} | {
        f"open/{number}": b"" for number in range(600)
    }
    put(barrier, rows)
    assert len([key for key in below(storage) if key.startswith("names/")]) > 4
    assert barrier.verify().clean
    with barrier.begin(write=True) as tx:
        for key in rows:
            tx.delete(key)
    assert set(below(storage)) == {"barrier/header", "barrier/keyring/a", "barrier/state"}
    assert barrier.verify().clean


def test_equal_values_are_sealed_differently():
    """Nothing tells that two secrets are the same, or that one was written again unchanged."""
    storage = MemoryStorage()
    barrier = opened(storage)
    put(barrier, {"open/a": b"same", "open/b": b"same"})
    first = below(storage)
    put(barrier, {"open/a": b"same"})
    assert len({first["open/a"], first["open/b"], below(storage)["open/a"]}) == 3


def test_two_stores_with_one_root_key_share_nothing():
    """Names hash differently, and rows of one do not open in the other."""
    first, second = MemoryStorage(), MemoryStorage()
    put(opened(first), {"a": b"1", "open/b": b"2"})
    other = opened(second)
    assert not {key for key in below(first) if key.startswith("sealed/")} & set(below(second))
    edit(second, {"open/b": below(first)["open/b"]})
    with pytest.raises(TamperFault):
        get(other, "open/b")


def test_one_transaction_here_is_one_below():
    """Rows, pages of names and the state become durable together, or not at all."""

    class Refusing(MemoryStorage):
        refuse = False

        def begin(self, *, write):
            from contextlib import contextmanager

            @contextmanager
            def failing():
                with inner as tx:
                    yield tx
                    raise StoreFault("this one does not commit")

            inner = super().begin(write=write)
            return failing() if write and self.refuse else inner

    storage = Refusing()
    barrier = opened(storage)
    put(barrier, {"a/b": b"1"})
    before, sequence = below(storage), barrier.commit_seq
    storage.refuse = True
    with pytest.raises(StoreFault):
        put(barrier, {"a/b": b"2", "a/c": b"3", "open/x": b"4"})
    assert (below(storage), barrier.commit_seq) == (before, sequence)
    for change in (
        lambda: barrier.rotate(1),
        lambda: barrier.rewrap(bytes(32), b"new"),
        barrier.bump_incarnation,
    ):
        with pytest.raises(StoreFault):
            change()
    storage.refuse = False
    put(barrier, {"a/c": b"3"})
    assert (names(barrier, "a/"), barrier.commit_seq, barrier.key_status()["term"]) == (
        ["b", "c"],
        sequence + 1,
        1,
    )
    assert barrier.verify().clean
    assert names(reopened(storage), "a/") == ["b", "c"]


def test_readers_and_a_writer_and_rotation_at_once():
    """Readers see matching rows and names, or Moved, while rows change and keys rotate below them."""
    barrier = opened()
    put(barrier, {"pair/a": b"0", "open/pair/b": b"0"})
    done = threading.Event()

    def write():
        for number in range(1, 120):
            with barrier.begin(write=True) as tx:
                tx.put("pair/a", b"%d" % number)
                tx.put("open/pair/b", b"%d" % number)
            if not number % 10:
                barrier.rotate(number)
            barrier.reseal(limit=2)
        done.set()

    def read():
        while not done.is_set():
            try:
                with barrier.begin(write=False) as tx:
                    assert (tx.get("pair/a"), tx.list("pair/")) == (tx.get("open/pair/b"), ["a"])
            except Moved:
                continue

    run_all([write, read, read])
    assert barrier.verify().clean


@pytest.mark.parametrize("read", [lambda tx: tx.get("a"), lambda tx: tx.list("")])
def test_a_row_whose_key_went_while_it_was_read_has_moved(read):
    """Between fetching a row or a page of names and opening it, the store was re-sealed and the old key dropped: Moved, not damage."""
    barrier = opened()
    put(barrier, {"a": b"1"})
    with barrier.begin(write=False) as tx:
        fetch = tx._tx.get

        def get_slowly(place):
            row = fetch(place)
            barrier.rotate(1.0)
            assert barrier.reseal(limit=100) == 0
            barrier._opened.page.cache_clear()  # as if many other pages had been read since
            return row

        tx._tx = SimpleNamespace(get=get_slowly)
        with pytest.raises(Moved):
            read(tx)
    assert (get(barrier, "a"), names(barrier, "")) == (b"1", ["a"])


# ── keys for others ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_subkeys_outlive_rotation_and_rekey():
    """One for each purpose, always the same, until the store comes back from a backup: then those of tokens change."""
    storage = MemoryStorage()
    barrier = opened(storage)
    purposes = ("token", "batch-token", "token-names", "audit/file", "backup")
    before = {purpose: barrier.subkey(purpose) for purpose in purposes}
    assert len(set(before.values())) == len(purposes)
    barrier.rotate(1.0)
    barrier.rewrap(bytes(32), b"")
    barrier.reseal(limit=100)
    barrier.seal()
    barrier.unseal(bytes(32))
    assert {purpose: barrier.subkey(purpose) for purpose in purposes} == before
    barrier.bump_incarnation()
    again = {purpose: barrier.subkey(purpose) for purpose in purposes}
    assert {purpose for purpose in purposes if again[purpose] != before[purpose]} == {
        "token",
        "batch-token",
        "token-names",
    }
    barrier = reopened(storage, bytes(32))
    assert {purpose: barrier.subkey(purpose) for purpose in purposes} == again
    assert barrier.verify().clean


def test_blobs():
    """What is kept elsewhere opens with its key and context; all else is Invalid, in one way."""
    barrier = opened()
    key = barrier.subkey("batch-token")
    blob = barrier.seal_blob(key, b"fake", b"here")
    assert barrier.open_blob(key, blob, b"here") == b"fake"
    texts = set()
    for wrong in (
        (key, blob, b"there"),
        (bytes(32), blob, b"here"),
        (key, blob[:-1], b"here"),
        (key, b"", b"here"),
    ):
        with pytest.raises(Invalid) as caught:
            barrier.open_blob(*wrong)
        texts.add(str(caught.value))
    assert len(texts) == 1


def test_what_is_taken_back_is_not_accounted_for():
    """Not even where it was put as new, and was there: the sum is that of the rows that are kept."""
    barrier = opened()
    put(barrier, {"open/x": b"1", "open/z": b"1"})
    with barrier.begin(write=True) as tx:
        tx.put("open/z", b"2")
        tx.savepoint()
        tx.put("open/x", b"2", new=True)
        tx.delete("open/z")
        tx.roll_back()
        tx.put("open/y", b"2")
    assert [get(barrier, f"open/{name}") for name in "xyz"] == [b"1", b"2", b"2"]
    assert barrier.verify().clean
