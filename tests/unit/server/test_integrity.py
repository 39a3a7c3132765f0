"""A store that was changed from outside is not served any longer."""

import pytest

from ml_secrets.server.assemble import assemble
from ml_secrets.server.config import Config
from ml_secrets.storage.sqlite import SqliteStorage


@pytest.fixture
def config(tmp_path):
    return Config(
        mode="local", path=tmp_path / "store", seal="keyfile", key_file=tmp_path / "key" / "unseal.key"
    )


@pytest.fixture
def made(config):
    server = assemble(config, kv_at_secret=True)
    server.opening.initialize({"recovery_shares": 1, "recovery_threshold": 1})
    server.close()
    return config


def tamper(config):
    """Take one row out of the store, as somebody with the file could."""
    storage = SqliteStorage(config.path)
    with storage.begin(write=True) as tx:
        place = next(f"open/token/{name}" for name in _files(tx, "open/token/"))
        tx.delete(place)
    storage.close()


def _files(tx, prefix, inside=""):
    for name in tx.list(prefix + inside):
        if name.endswith("/"):
            yield from _files(tx, prefix, inside + name)
        else:
            yield inside + name


def check(server):
    next(job for job in server.jobs() if job.name == "check of the store").run()


def test_a_sound_store_stays_open(made):
    """The check after opening finds nothing, and is done once."""
    server = assemble(made, kv_at_secret=True)
    server.opening.open_automatically()
    check(server)
    assert not server.opening.sealed
    assert server.opening.verify()["intact"] is True
    server.close()


def test_a_store_with_a_row_taken_out_is_sealed(made, caplog):
    """The log says what happened and what to do."""
    tamper(made)
    server = assemble(made, kv_at_secret=True)
    server.opening.open_automatically()
    check(server)
    assert server.opening.sealed
    assert "changed from outside" in caplog.text
    server.close()


def test_a_store_that_is_too_large_for_its_caller_is_not_checked(made, caplog):
    """A program that opens its own store does not wait long for a secret; the log says what to do."""
    tamper(made)
    server = assemble(made, kv_at_secret=True)
    server.opening.open_automatically()
    caplog.set_level("INFO")
    next(job for job in server.jobs(most_checked=3) if job.takes_long).run()
    assert not server.opening.sealed
    assert "operator verify" in caplog.text
    server.close()


def test_an_operator_may_insist(made, caplog):
    """With --accept-rollback the server goes on, and the log still says it."""
    tamper(made)
    server = assemble(made, kv_at_secret=True, accept_rollback=True)
    server.opening.open_automatically()
    check(server)
    assert not server.opening.sealed
    assert "changed from outside" in caplog.text
    assert server.opening.verify()["intact"] is False
    server.close()
