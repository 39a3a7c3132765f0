"""Claims about every storage: run them on each implementation by a subclass with a `storage` fixture."""

import random
import sys
import threading

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ml_secrets.errors import Fault
from ml_secrets.storage.frozen import ROUND
from ml_secrets.storage.interface import Moved


def put(storage, rows, *, new=()):
    with storage.begin(write=True) as tx:
        for key, value in rows.items():
            tx.put(key, value, new=key in new)


def put_and_raise(storage, rows):
    with storage.begin(write=True) as tx:
        for key, value in rows.items():
            tx.put(key, value)
        raise ZeroDivisionError


def listing(storage, prefix, **bounds):
    with storage.begin(write=False) as tx:
        return tx.list(prefix, **bounds)


class Exercise:
    """The contract of storage/interface.py."""

    def test_what_was_put_is_there(self, storage):
        """Values come back byte for byte, the empty one too; what is not there is None."""
        rows = {"a": b"\0\xff", "b/c": b"", "b": b"x" * 300_000, "é/日本": b"1"}
        put(storage, rows)
        with storage.begin(write=False) as tx:
            assert {key: tx.get(key) for key in rows} == rows
            assert tx.get("b/") is None
            assert tx.get("nothing") is None

    def test_a_write_sees_its_own_changes(self, storage):
        """Before the commit already: values, deletions, listings."""
        put(storage, {"a": b"1", "b/x": b"2"})
        with storage.begin(write=True) as tx:
            tx.put("b/y", b"3")
            tx.put("a", b"4")
            tx.delete("b/x")
            assert (tx.get("a"), tx.get("b/x"), tx.get("b/y")) == (b"4", None, b"3")
            assert tx.list("") == ["a", "b/"]
            assert tx.list("b/") == ["y"]
            tx.delete("b/y")
            assert tx.list("") == ["a"]

    def test_raise_rolls_back(self, storage):
        """A transaction left by an exception changes nothing, and the revision stays."""
        put(storage, {"a": b"1"})
        before = storage.revision
        with pytest.raises(ZeroDivisionError):
            put_and_raise(storage, {"a": b"2", "b": b"3"})
        assert storage.revision == before
        with storage.begin(write=False) as tx:
            assert (tx.get("a"), tx.get("b")) == (b"1", None)

    def test_a_transaction_goes_back_to_its_savepoint(self, storage):
        """What was done since is gone: values, deletions, listings. What was done before it stays, and so does what comes after."""
        put(storage, {"a": b"1", "b": b"1"})
        with storage.begin(write=True) as tx:
            tx.put("f/before", b"2")
            tx.delete("a")
            tx.savepoint()
            tx.put("f/since", b"3")
            tx.put("f/before", b"3")
            tx.put("a", b"3")
            tx.delete("b")
            assert tx.list("f/") == ["before", "since"]
            tx.roll_back()
            assert (tx.get("f/before"), tx.get("f/since"), tx.get("a"), tx.get("b")) == (
                b"2",
                None,
                None,
                b"1",
            )
            assert tx.list("") == ["b", "f/"]
            tx.put("f/after", b"4")
            assert tx.list("f/") == ["after", "before"]
        assert listing(storage, "") == ["b", "f/"]
        assert listing(storage, "f/") == ["after", "before"]

    def test_a_transaction_goes_back_more_than_once(self, storage):
        """Each savepoint takes the place of the one before."""
        with storage.begin(write=True) as tx:
            for name in "abcd":
                tx.savepoint()
                tx.put(name, b"1")
                if name in "bd":
                    tx.roll_back()
        assert listing(storage, "") == ["a", "c"]

    def test_a_new_row_is_put_without_a_look(self, storage):
        """It is there for its own transaction, its listings and all later ones; it can be replaced and deleted in the same one."""
        with storage.begin(write=True) as tx:
            for key in ("a", "b", "c"):
                tx.put(key, b"1", new=True)
            tx.put("b", b"2")
            tx.delete("c")
            assert [tx.get(key) for key in "abc"] == [b"1", b"2", None]
            assert tx.list("") == ["a", "b"]
        with storage.begin(write=False) as tx:
            assert [tx.get(key) for key in "abc"] == [b"1", b"2", None]

    def test_one_that_was_not_new_fails_the_commit_and_no_more(self, storage):
        """Nothing of the transaction is kept, and the next one is."""
        put(storage, {"a": b"1"})
        before = storage.revision
        with pytest.raises(Fault, match="was to be new"):
            put(storage, {"b": b"2", "a": b"2"}, new=["a"])
        assert storage.revision == before
        put(storage, {"c": b"3"})
        with storage.begin(write=False) as tx:
            assert [tx.get(key) for key in "abc"] == [b"1", None, b"3"]

    def test_new_rows_go_with_what_is_taken_back(self, storage):
        """A key that was new there may exist all the same when it is put again; one that was deleted here is not put as new."""
        put(storage, {"a": b"1", "b": b"1"})
        with storage.begin(write=True) as tx:
            tx.delete("b")
            tx.put("b", b"2", new=True)
            tx.savepoint()
            tx.put("a", b"2", new=True)
            tx.roll_back()
            tx.put("a", b"3")
        with storage.begin(write=False) as tx:
            assert (tx.get("a"), tx.get("b")) == (b"3", b"2")

    def test_a_commit_moves_the_revision(self, storage):
        """A transaction without changes does not."""
        before = storage.revision
        with storage.begin(write=True) as tx:
            tx.delete("nothing")
        assert storage.revision == before
        put(storage, {"a": b"1"})
        assert storage.revision > before

    def test_a_read_does_not_write(self, storage):
        """Its two verbs for writing raise."""
        with storage.begin(write=False) as tx:
            with pytest.raises(RuntimeError):
                tx.put("a", b"1")
            with pytest.raises(RuntimeError):
                tx.delete("a")

    def test_a_read_that_was_overtaken_says_so(self, storage):
        """Get and list raise Moved once another transaction has committed."""
        put(storage, {"a": b"1"})
        with storage.begin(write=False) as tx:
            assert tx.get("a") == b"1"
            put(storage, {"b": b"1"})
            with pytest.raises(Moved):
                tx.get("a")
            with pytest.raises(Moved):
                tx.list("")

    def test_names_come_in_the_order_of_their_bytes(self, storage):
        """A folder ends in "/" and is listed by that name; a key and a folder of one name are two entries."""
        names = ["Z", "a", "a-b", "a0", "app", "zz", "é", "日本", "😀", "\uffff"]
        put(storage, {f"t/{name}": b"" for name in names} | {"t/app/x": b"", "t/app/y/z": b"", "ta": b""})
        assert listing(storage, "t/") == sorted([*names, "app/"], key=str.encode)
        assert listing(storage, "t/app/") == ["x", "y/"]
        assert listing(storage, "t/nothing/") == []

    def test_listing_in_pages(self, storage):
        """`after` need not exist; a folder after which we ask is left out with all that is below it."""
        put(storage, dict.fromkeys(("f/a", "f/b/1", "f/b/2", "f/c", "f/d/1"), b""))
        assert listing(storage, "f/", limit=2) == ["a", "b/"]
        assert listing(storage, "f/", after="b/", limit=2) == ["c", "d/"]
        assert listing(storage, "f/", after="b") == ["b/", "c", "d/"]
        assert listing(storage, "f/", after="bb") == ["c", "d/"]
        assert listing(storage, "f/", after="d/") == []
        assert listing(storage, "f/", limit=0) == []

    def test_listing_costs_no_more_than_its_answer(self, storage):
        """A folder with many keys is skipped over, not walked through."""
        put(storage, {f"big/{number:05}": b"" for number in range(3000)} | {"small": b""})
        assert listing(storage, "") == ["big/", "small"]
        assert listing(storage, "big/", after="01499", limit=3) == ["01500", "01501", "01502"]

    def test_writers_take_turns(self, storage):
        """Increments by several threads are not lost."""

        def work():
            for _ in range(20):
                with storage.begin(write=True) as tx:
                    tx.put("counter", b"%d" % (int(tx.get("counter") or b"0") + 1))

        run_all([work] * 4)
        with storage.begin(write=False) as tx:
            assert tx.get("counter") == b"80"

    def test_a_read_sees_one_state_however_a_writer_hurries(self, storage):
        """Two rows that are always written together are never read apart, in get or in list."""
        put(storage, {"pair/a": b"0", "pair/b": b"0", "names/0": b""})
        done = threading.Event()
        seen = []

        def write():
            for number in range(1, 150):
                with storage.begin(write=True) as tx:
                    tx.put("pair/a", b"%d" % number)
                    tx.put("pair/b", b"%d" % number)
                    tx.delete(f"names/{number - 1}")
                    tx.put(f"names/{number}", b"")
            done.set()

        def read():
            while not done.is_set():
                try:
                    with storage.begin(write=False) as tx:
                        first = tx.get("pair/a")
                        names = tx.list("names/")
                        second = tx.get("pair/b")
                    seen.append((first, second, names))
                except Moved:
                    continue

        run_all([write, read, read])
        assert all(first == second and names == [first.decode()] for first, second, names in seen)


class Freezing:
    """The contract of `Freezable`."""

    def test_frozen_rows_are_those_of_that_moment(self, storage):
        """Whatever is put, changed, deleted and put back meanwhile, in rounds already read and to come; several at once."""
        dice = random.Random(5)
        rows = {f"{'é' * (number % 3)}{number:05}": b"old %d" % number for number in range(3 * ROUND)}
        put(storage, rows)
        first = iter(storage.freeze())
        begun = [next(first)]
        states = {}
        for number in range(30):
            with storage.begin(write=True) as tx:
                for key in dice.sample(sorted(rows), 40):
                    tx.delete(key) if dice.random() < 0.4 else tx.put(key, b"new")
                    tx.put(f"{key}+", b"added")
            if number == 10:
                with storage.begin(write=False) as tx:
                    states = {key: tx.get(key) for key in tx.list("")}
                second = storage.freeze()
            if number % 10 == 9:
                begun += [next(first) for _ in range(ROUND - 50)]
        assert begun + list(first) == sorted(rows.items())
        assert list(second) == sorted(states.items())

    def test_frozen_rows_can_be_looked_up(self, storage):
        """By name, before, while and after they are gone through; what came later is not there, what went is."""
        rows = {f"{number:05}": b"old %d" % number for number in range(3 * ROUND)}
        put(storage, rows)
        moment = storage.freeze(lookups=True)
        first, gone, same, changed, last = asked = [
            f"{number:05}" for number in (1, ROUND + 5, ROUND + 6, ROUND + 7, 3 * ROUND - 9)
        ]
        with storage.begin(write=True) as tx:
            tx.put(first, b"new")
            tx.delete(gone)
            tx.put(changed, b"new")
        found = iter(moment)
        begun = [next(found)]
        with storage.begin(write=True) as tx:
            tx.put(first, b"newer")
            tx.put(gone, b"newer")
            tx.delete(last)
            tx.put(f"{same}+", b"added")
        assert moment.look([*asked, f"{same}+"]) == [*(rows[key] for key in asked), None]
        assert begun + list(found) == sorted(rows.items())
        assert moment.look([*asked, f"{same}+"]) == [*(rows[key] for key in asked), None]

    def test_a_failed_commit_does_not_show_in_frozen_rows(self, storage):
        """They are the rows as they are."""
        put(storage, {"a": b"1", "b": b"2"})
        frozen = storage.freeze()
        with pytest.raises(ZeroDivisionError):
            put_and_raise(storage, {"a": b"3"})
        put(storage, {"b": b"4"})
        assert list(frozen) == [("a", b"1"), ("b", b"2")]
        assert list(storage.freeze()) == [("a", b"1"), ("b", b"4")]


def run_all(works):
    """Run each in a thread of its own, switching often; raise what they raise."""
    failures = []

    def guarded(work):
        try:
            work()
        except BaseException as error:
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)
    if failures:
        raise failures[0]


# ── against a dictionary ────────────────────────────────────────────────────────────────────────────────────────────

SEGMENTS = st.sampled_from(["a", "b", "a-", "a0", "ab", "é", "😀", "~", "open", " "])
KEYS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)
PREFIXES = st.one_of(st.just(""), KEYS.map(lambda key: key + "/"))
AFTERS = st.one_of(st.just(""), SEGMENTS, SEGMENTS.map(lambda name: name + "/"))
LIMITS = st.integers(-1, 4)
CHANGES = st.lists(st.tuples(KEYS, st.one_of(st.none(), st.binary(max_size=20))), max_size=12)


def expected(rows, prefix, after, limit):
    """What `list` should answer, worked out the slow way."""
    names = set()
    for key in rows:
        if key.startswith(prefix):
            name, slash, _ = key[len(prefix) :].partition("/")
            names.add(name + slash)
    ordered = [name for name in sorted(names, key=str.encode) if name.encode() > after.encode()]
    return ordered if limit < 0 else ordered[:limit]


class Against(RuleBasedStateMachine):
    """A storage, beside the dictionary that it should equal."""

    def __init__(self):
        super().__init__()
        self.storage = self.open()
        self.rows = {}

    def open(self):
        raise NotImplementedError

    def teardown(self):
        self.storage.close()

    def apply(self, tx, rows, changes):
        for key, value in changes:
            if value is None:
                tx.delete(key)
                rows.pop(key, None)
            else:
                tx.put(key, value)
                rows[key] = value
            assert tx.get(key) == value

    @rule(changes=CHANGES, prefix=PREFIXES, after=AFTERS, limit=LIMITS)
    def commit(self, changes, prefix, after, limit):
        with self.storage.begin(write=True) as tx:
            self.apply(tx, self.rows, changes)
            assert tx.list(prefix, after=after, limit=limit) == expected(self.rows, prefix, after, limit)

    def apply_and_raise(self, changes):
        with self.storage.begin(write=True) as tx:
            self.apply(tx, dict(self.rows), changes)
            raise ZeroDivisionError

    @rule(changes=CHANGES)
    def roll_back(self, changes):
        with pytest.raises(ZeroDivisionError):
            self.apply_and_raise(changes)

    @rule(prefix=PREFIXES, after=AFTERS, limit=LIMITS)
    def list(self, prefix, after, limit):
        assert listing(self.storage, prefix, after=after, limit=limit) == expected(
            self.rows, prefix, after, limit
        )

    @invariant()
    def equal(self):
        with self.storage.begin(write=False) as tx:
            assert {key: tx.get(key) for key in self.rows} == self.rows
            assert tx.list("") == expected(self.rows, "", "", -1)


MODEL = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
