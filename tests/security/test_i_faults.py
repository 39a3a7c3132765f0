"""I. Faults of the disk and the clock under a whole server: a sync that fails, a wall clock that jumps."""

import itertools
import random
import subprocess
import time

import pytest
from tests.security.serving import Store
from tests.security.shim import Shim
from tests.security.stores import audit_head, audit_key, check_audit, check_store

DAY = 86_400


def mounted(store):
    store.start().initialize()
    store.ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
    return store


@pytest.fixture
def shimmed(tmp_path):
    """A store under the shim, not started."""
    shim = Shim(tmp_path / "shim")
    store = Store(tmp_path / "store", environment=shim.environment)
    store.shim = shim
    yield store
    store.stop()


# ── fsync fails ─────────────────────────────────────────────────────────────────────────────────────────────────────


def write_until_refused(store, numbers, deadline=20.0):
    """Write numbers; those that were acknowledged, and the statuses of the others (0: no answer)."""
    acknowledged, refused, end = [], [], time.monotonic() + deadline
    for number in numbers:
        assert time.monotonic() < end
        try:
            answer = store.ask("POST", f"secret/data/sync/{number}", {"data": {"n": number}}, timeout=10)
        except OSError:
            return acknowledged, [*refused, 0]
        if answer.status == 200:
            acknowledged.append(number)
        else:
            refused.append(answer.status)
            if len(refused) > 5:
                return acknowledged, refused
    return acknowledged, refused


def fail_syncs(store, times, *, seed):
    """Each time: some writes, then fsync fails under the store: the server refuses and ends; started again, nothing is lost."""
    dice, numbers, kept = random.Random(seed), itertools.count(), {}
    mounted(store)
    for _ in range(times):
        kept |= dict.fromkeys(
            write_until_refused(store, list(itertools.islice(numbers, dice.randrange(1, 9))))[0]
        )
        store.shim.sync_fails("store.sqlite")
        acknowledged, refused = write_until_refused(store, list(itertools.islice(numbers, 200)))
        assert not acknowledged, "a commit whose sync failed was acknowledged"
        assert refused
        assert set(refused) <= {0, 500, 503}
        assert store.process.wait(20) == 1
        store.shim.sync_works()
        store.start()
        for number in kept:
            assert store.ask("GET", f"secret/data/sync/{number}").data["data"] == {"n": number}
    said = store.log.read_text()
    assert said.count("the store has failed") >= times
    assert "Traceback" not in said
    key, end = audit_key(store), audit_head(store)
    assert store.stop() == 0
    check_audit([store.audit_log], key, end)
    check_store(store)
    return len(kept)


def test_90_a_failed_sync_ends_the_server(shimmed):
    """Check 90, fsync EIO: nothing is acknowledged from then on, the server ends with status 1, a restart has all that was."""
    assert fail_syncs(shimmed, 2, seed=1)


@pytest.mark.long
def test_90_a_hundred_failed_syncs(shimmed):
    """Check 90, fsync EIO: a hundred times over one store."""
    assert fail_syncs(shimmed, 100, seed=2) > 100


def test_90_a_store_that_cannot_be_synced_does_not_start(shimmed):
    """Check 90, fsync EIO: a first start on such a disk ends in one line; mended, it starts."""
    shimmed.shim.sync_fails("store.sqlite")
    done = subprocess.run(
        [*shimmed.program, "server", "--config", str(shimmed.config)],
        env=shimmed.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "the store" in done.stderr
    assert "Traceback" not in done.stderr
    shimmed.shim.sync_works()
    mounted(shimmed)


# ── the wall clock jumps ────────────────────────────────────────────────────────────────────────────────────────────


def new_token(store, ttl):
    answer = store.ask("POST", "auth/token/create", {"ttl": ttl, "policies": ["default"]})
    return answer.json["auth"]["client_token"]


def lives(store, token):
    return store.ask("GET", "auth/token/lookup-self", token=token).status == 200


def test_36_a_clock_that_jumps_neither_kills_nor_revives(shimmed):
    """Check 36: a day ahead expires nothing at once; a day back revives nothing, lengthens nothing, also over kill and restart."""
    store, shim = mounted(shimmed), shimmed.shim
    hour, seconds = new_token(store, "1h"), new_token(store, "2s")
    made = time.monotonic()
    shim.clock_is_ahead(DAY)
    assert lives(store, hour)
    assert "leapt ahead" in store.log.read_text()
    shim.clock_is_ahead(-DAY)
    assert lives(store, hour)
    assert "stepped back" in store.log.read_text()
    time.sleep(max(0.0, made + 2.2 - time.monotonic()))
    assert not lives(store, seconds)
    time.sleep(2.0)  # swept each second; until then it may come back for a minute at most (decision 12)
    store.kill()
    store.start()
    assert lives(store, hour)
    assert not lives(store, seconds)
    shim.clock_is_ahead(0)
    assert lives(store, hour)
    store.kill()
    shim.clock_is_ahead(2 * 3600)  # a machine that was off for two hours
    store.start()
    assert not lives(store, hour)
    key, end = audit_key(store), audit_head(store)
    assert store.stop() == 0
    check_audit([store.audit_log], key, end)
    check_store(store)
