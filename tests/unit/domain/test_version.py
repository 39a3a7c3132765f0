"""The version model: numbers, states, the current pointer, labels, tombstones."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from ml_secrets.domain import version as model
from ml_secrets.domain.version import Kind, State, Version
from ml_secrets.errors import Conflict, Invalid

UID = "0123456789abcdef0123456789abcdef"


def secret_of(count, *, keep=10, **first):
    secret = model.create(UID, 1.0)
    for n in range(count):
        secret, _, _ = model.add(secret, Version(created=2.0 + n, **(first if n == 0 else {})), keep=keep)
    return secret


def test_numbers_grow_by_one_and_current_follows():
    """Each put takes the next number and becomes current."""
    secret = secret_of(3)
    assert (secret.latest, secret.current, list(secret.versions), secret.updated) == (3, 3, [1, 2, 3], 4.0)


def test_a_new_secret_is_as_it_was_made():
    """Its id, and when."""
    secret = model.create(UID, 1.0)
    assert (secret.uid, secret.created, secret.updated) == (UID, 1.0, 1.0)


def test_no_two_versions_have_the_same_id():
    """Of those that bring one; others may come between."""
    secret, _, _ = model.add(model.create(UID, 1.0), Version(created=2.0, id="a"), keep=10)
    secret, _, _ = model.add(secret, Version(created=3.0), keep=10)
    secret, number, _ = model.add(secret, Version(created=4.0, id="b"), keep=10)
    assert number == 3
    with pytest.raises(Conflict, match="a version with this id exists"):
        model.add(secret, Version(created=5.0, id="a"), keep=10)


def test_a_removed_secret_takes_no_version():
    """Until it is restored."""
    with pytest.raises(Invalid, match="the secret is scheduled for deletion") as refused:
        model.add(model.remove(secret_of(1), 5.0, 9.0), Version(created=6.0), keep=10)
    assert refused.value.hint == "restore it first, or wait until it is purged"


def test_pruning_takes_the_oldest_and_tells_which():
    """Only the newest `keep` versions stay; the numbers that went are returned and never given again."""
    secret = secret_of(4)
    secret, number, pruned = model.add(secret, Version(created=9.0), keep=2)
    assert (number, pruned, list(secret.versions), secret.oldest) == (5, (1, 2, 3), [4, 5], 4)
    secret, number, pruned = model.add(secret, Version(created=9.0), keep=1)
    assert (number, pruned, list(secret.versions)) == (6, (4, 5), [6])


def test_oldest_is_zero_until_something_was_pruned():
    """As the peers show it."""
    assert secret_of(3).oldest == 0


def test_destroyed_version_numbers_are_not_reused():
    """Destroying the latest version does not free its number."""
    secret, gone = model.destroy(secret_of(2), (2,))
    assert gone == (2,)
    _, number, _ = model.add(secret, Version(created=9.0), keep=10)
    assert number == 3


def test_states_and_their_order():
    """Destroyed beats deleted beats disabled."""
    assert Version(created=1.0).state(5.0) is State.ENABLED
    assert Version(created=1.0, disabled=True).state(5.0) is State.DISABLED
    assert Version(created=1.0, deleted=5.0, disabled=True).state(5.0) is State.DELETED
    assert Version(created=1.0, deleted=5.1).state(5.0) is State.ENABLED
    assert Version(created=1.0, deleted=5.0, destroyed=True).state(5.0) is State.DESTROYED


def test_delete_moves_a_death_that_lies_ahead_but_keeps_one_that_came():
    """A second delete leaves the first one's moment."""
    secret = secret_of(1, deleted=100.0)
    secret = model.delete(secret, (1, 7), 50.0)
    assert secret.versions[1].deleted == 50.0
    assert model.delete(secret, (1,), 60.0).versions[1].deleted == 50.0


def test_delete_reaches_a_disabled_version_and_spares_a_destroyed_one():
    """No step leads out of destroyed."""
    disabled = secret_of(1, disabled=True)
    assert model.delete(disabled, (1,), 9.0).versions[1].state(9.0) is State.DELETED
    destroyed, _ = model.destroy(secret_of(1), (1,))
    assert model.delete(destroyed, (1,), 9.0).versions[1].deleted is None
    assert model.undelete(destroyed, (1,), None).versions[1].state(9.0) is State.DESTROYED


def test_undelete_sets_the_next_death():
    """None lets the version live; a moment lets it die anew."""
    secret = model.delete(secret_of(1), (1,), 5.0)
    assert model.undelete(secret, (1,), None).versions[1].deleted is None
    assert model.undelete(secret, (1,), 99.0).versions[1].deleted == 99.0


def test_destroy_returns_each_number_once():
    """Unknown and already destroyed numbers have no content to drop."""
    secret, gone = model.destroy(secret_of(3), (2, 2, 3, 9))
    assert gone == (2, 3)
    assert model.destroy(secret, (2, 3))[1] == ()


def test_a_put_moves_the_pointer_from_wherever_it_stood():
    """A dialect may have rolled back to an older version: the next put takes the next number, and the pointer."""
    secret, number, _ = model.add(replace(secret_of(3), current=1), Version(created=9.0), keep=10)
    assert (number, secret.current) == (4, 4)


def test_a_labelled_version_is_not_pruned():
    """A label holds its version, however many come after it."""
    secret = replace(secret_of(2), labels={"stable": 2})
    for _ in range(4):
        secret, _, _ = model.add(secret, Version(created=9.0), keep=1)
    assert sorted(secret.versions) == [2, 6]


def test_a_clients_id_is_taken_once():
    """A second version under an id that a client chose is a conflict; versions without one are many."""
    secret = secret_of(2, id="client-token")
    with pytest.raises(Conflict):
        model.add(secret, Version(created=9.0, id="client-token"), keep=10)


def test_a_removed_secret_takes_no_version_until_restored():
    """A tombstone keeps everything, shows when it is purged, and can be undone."""
    secret = model.remove(secret_of(1), 5.0, 95.0)
    assert (secret.removed, secret.purge_at) == (5.0, 95.0)
    with pytest.raises(Invalid):
        model.add(secret, Version(created=9.0), keep=10)
    assert model.restore(secret) == secret_of(1)


def test_a_version_has_room_for_bytes_and_dates():
    """Opaque content with a media type, and the dates that other dialects show."""
    version = Version(
        created=1.0, kind=Kind.BYTES, media_type="application/x-pem-file", not_before=2.0, expires=3.0
    )
    assert (version.kind, version.media_type, version.not_before, version.expires) == (
        "bytes",
        "application/x-pem-file",
        2.0,
        3.0,
    )
    assert version.state(9.0) is State.ENABLED


NUMBERS = st.lists(st.integers(-1, 14), max_size=4)


class Versions(RuleBasedStateMachine):
    """The model against plain dictionaries."""

    def __init__(self):
        super().__init__()
        self.secret = model.create(UID, 0.0)
        self.now = 1.0
        self.made = 0
        self.alive = {}  # number -> moment of death or None
        self.destroyed = set()

    @rule(keep=st.integers(1, 4), life=st.none() | st.integers(1, 5))
    def put(self, keep, life):
        deleted = None if life is None else self.now + life
        self.secret, number, pruned = model.add(
            self.secret, Version(created=self.now, deleted=deleted), keep=keep
        )
        self.made += 1
        assert number == self.made
        self.alive[number] = deleted
        expected = {n for n in self.alive if n <= self.made - keep}
        assert set(pruned) == expected
        for n in expected:
            del self.alive[n]
            self.destroyed.discard(n)

    @rule(numbers=NUMBERS)
    def delete(self, numbers):
        self.secret = model.delete(self.secret, numbers, self.now)
        for n in set(numbers) & self.alive.keys() - self.destroyed:
            if self.alive[n] is None or self.alive[n] > self.now:
                self.alive[n] = self.now

    @rule(numbers=NUMBERS)
    def undelete(self, numbers):
        self.secret = model.undelete(self.secret, numbers, None)
        for n in set(numbers) & self.alive.keys() - self.destroyed:
            self.alive[n] = None

    @rule(numbers=NUMBERS)
    def destroy(self, numbers):
        self.secret, gone = model.destroy(self.secret, numbers)
        assert set(gone) == set(numbers) & self.alive.keys() - self.destroyed
        self.destroyed |= set(gone)

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def same(self):
        assert self.secret.latest == self.secret.current == self.made
        assert set(self.secret.versions) == set(self.alive)
        for n, death in self.alive.items():
            state = self.secret.versions[n].state(self.now)
            dead = death is not None and death <= self.now
            assert state is (
                State.DESTROYED if n in self.destroyed else State.DELETED if dead else State.ENABLED
            )


TestVersions = Versions.TestCase
TestVersions.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
