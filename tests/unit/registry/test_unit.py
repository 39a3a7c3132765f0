"""registry/unit.py: what a commit sets off."""

import pytest

from ml_secrets.registry.cache import Cache
from ml_secrets.registry.unit import Unit
from ml_secrets.storage.memory import MemoryStorage


def test_a_failing_action_leaves_no_stale_cache():
    """All that waited for the commit runs in its order, caches are emptied too, and then the error comes."""
    rows, done = {"row": "old"}, []
    cache = Cache(10, lambda unit, key: rows[key])
    with MemoryStorage().begin(write=False) as tx:
        reader = Unit(tx, 0.0)
        cache.load(reader, "row")
        rows["row"] = "new"
        unit = Unit(tx, 0.0)

        def fail():
            done.append("failed")
            raise ValueError("the action")

        unit.after_commit(fail)
        unit.changes(cache, "row")
        unit.after_commit(lambda: done.append("last"))
        with pytest.raises(ValueError, match="the action"):
            unit.committed()
        assert cache.load(reader, "row") == "new"
    assert done == ["failed", "last"]


def test_a_writer_reads_what_it_changed_and_trusts_the_cache_for_the_rest():
    """Its own row as it is now, another one as it is remembered; once all rows may have changed, none is trusted."""
    rows, reads = {"own": "old", "other": "as it was"}, []
    cache = Cache(10, lambda unit, key: reads.append(key) or rows[key])
    with MemoryStorage().begin(write=False) as tx:
        for key in rows:
            cache.load(Unit(tx, 0.0), key)
        writer = Unit(tx, 0.0)
        rows["own"] = "new"
        writer.changes(cache, "own")
        reads.clear()
        assert [cache.load(writer, key) for key in rows] == ["new", "as it was"]
        assert reads == ["own"]
        writer.changes(cache)
        writer.changes(cache, "own")
        assert [cache.load(writer, key) for key in rows] == ["new", "as it was"]
        assert reads == ["own", "own", "other"]
        assert cache.load(Unit(tx, 0.0), "own") == "old"
