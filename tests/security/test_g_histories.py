"""G. What many clients are told while the server is killed under them: one history, whose order all of them saw."""

import random
import time

import pytest
from tests.security.histories import KEYS, Asked, Client, check
from tests.security.serving import stored
from tests.security.stores import audit_head, audit_key, check_audit, check_store


def play(folder, *, times, kills, seed):
    """Sixteen clients ask so many times each, and the server is killed so often meanwhile; how many answers there were."""
    dice = random.Random(seed)
    with stored(folder) as store:
        store.ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        for key in range(KEYS):
            store.ask("POST", f"secret/metadata/history/{key}", {"max_versions": 20})
        clients = [Client(store, number, times) for number in range(16)]
        for client in clients:
            client.thread.start()
        for _ in range(kills):
            time.sleep(dice.uniform(0.1, 0.6))
            store.kill()
            store.start()
        for client in clients:
            client.thread.join()
        notes = [note for client in clients for note in client.notes]
        check(notes)
        key, end = audit_key(store), audit_head(store)
        assert store.stop() == 0
        check_audit([store.audit_log], key, end)
        check_store(store)
    assert sum(client.refused for client in clients), "nobody was ever too late"
    return sum(bool(note.version) for note in notes)


def test_74_histories_over_kills_are_linearisable(tmp_path):
    """Check 74, everyday: sixteen clients amid two kills."""
    assert play(tmp_path / "store", times=60, kills=2, seed=74) > 500


@pytest.mark.long
def test_74_long_histories_over_kills_are_linearisable(tmp_path):
    """Check 74: 40,000 requests of sixteen clients, a hundred kills."""
    assert play(tmp_path / "store", times=2_500, kills=100, seed=740) > 30_000


SOUND = [
    Asked(0, 1.0, 2.0, 1, 10, writes=True),
    Asked(0, 1.5, float("inf"), 0, 20, writes=True),
    Asked(0, 3.0, 4.0, 2, 20, writes=False),
    Asked(0, 5.0, 6.0, 3, 30, writes=True),
]


@pytest.mark.parametrize(
    "wrong",
    [
        Asked(0, 7.0, 8.0, 2, 20, writes=False),  # told of an earlier version
        Asked(0, 5.5, 6.5, 3, 40, writes=True),  # a version twice
        Asked(0, 7.0, 8.0, 3, 31, writes=False),  # another value
        Asked(0, 7.0, 8.0, 4, 20, writes=False),  # the unanswered write, a second time
    ],
)
def test_a_history_that_is_not_linearisable_is_found(wrong):
    """The check itself: a sound history passes, and each with one wrong answer does not."""
    check(SOUND)
    with pytest.raises(AssertionError):
        check([*SOUND, wrong])
