"""A store that was put back to an earlier state."""

import logging

import msgspec
import pytest

from ml_secrets.barrier.anchor import Anchor
from ml_secrets.errors import Invalid, TamperFault
from ml_secrets.storage.memory import MemoryStorage

FIVE = {"secret_shares": 5, "secret_threshold": 3}
ONE = {"secret_shares": 1, "secret_threshold": 1}


def rows_of(storage):
    from ml_secrets.barrier.integrity import walk

    with storage.begin(write=False) as tx:
        return {key: tx.get(key) for key in walk(tx, "")}


def replace_rows(storage, rows):
    present = rows_of(storage)
    with storage.begin(write=True) as tx:
        for key in present.keys() - rows.keys():
            tx.delete(key)
        for key, value in rows.items():
            tx.put(key, value)


@pytest.fixture
def anchor_file(tmp_path):
    return tmp_path / "elsewhere" / "anchor"


@pytest.fixture
def anchored(storage, auto, anchor_file, make_house):
    house = make_house(storage, auto, anchor=Anchor(anchor_file))
    house.made = house.opening.open_automatically(initialize={})
    return house


def test_a_rolled_back_store_stays_sealed(anchored, auto, anchor_file, caplog):
    """An old copy of the whole store is refused; accepting the rollback opens it and shouts."""
    copy = rows_of(anchored.storage)
    anchored.put("open/x", b"1")
    anchored.opening.seal()
    replace_rows(anchored.storage, copy)
    other = anchored.again(auto, anchor=Anchor(anchor_file))
    with pytest.raises(TamperFault, match="rolled back"):
        other.opening.open_automatically()
    assert other.opening.sealed
    assert other.barrier.sealed
    with caplog.at_level(logging.CRITICAL):
        third = anchored.again(auto, anchor=Anchor(anchor_file, accept_rollback=True))
        third.opening.open_automatically()
    assert not third.opening.sealed
    assert "ROLLBACK ACCEPTED" in caplog.text
    third.opening.seal()
    anchored.again(auto, anchor=Anchor(anchor_file)).opening.open_automatically()


def test_another_history_of_the_same_length_stays_sealed(anchored, auto, anchor_file):
    """As many commits, but others."""
    copy = rows_of(anchored.storage)
    anchored.put("open/x", b"1")
    anchored.opening.seal()
    replace_rows(anchored.storage, copy)
    fork = anchored.again(auto)
    fork.opening.open_automatically()
    fork.put("open/x", b"2")
    with pytest.raises(TamperFault, match="its state differs"):
        anchored.again(auto, anchor=Anchor(anchor_file)).opening.open_automatically()


def test_a_killed_server_leaves_a_store_that_is_ahead(anchored, auto, anchor_file):
    """Commits after the last anchor and no clean end: it opens, and the anchor catches up."""
    anchored.put("open/x", b"1")
    before = msgspec.json.decode(anchor_file.read_bytes())["commit_seq"]
    other = anchored.again(auto, anchor=Anchor(anchor_file))
    other.opening.open_automatically()
    assert other.get("open/x") == b"1"
    assert msgspec.json.decode(anchor_file.read_bytes())["commit_seq"] > before


def test_the_anchor_is_kept_up_now_and_then(anchored, anchor_file):
    """At most once in its interval, and at the end."""

    def written():
        return msgspec.json.decode(anchor_file.read_bytes())["commit_seq"]

    anchored.opening.keep_anchor()
    first = written()
    anchored.put("open/x", b"1")
    anchored.opening.keep_anchor()
    assert written() == first
    anchored.now += 11
    anchored.opening.keep_anchor()
    second = written()
    assert second > first
    anchored.put("open/x", b"2")
    anchored.opening.seal()
    last = written()
    assert last > second
    anchored.now += 11
    anchored.opening.keep_anchor()  # sealed: there is nothing to tell
    assert written() == last


def test_a_lost_anchor_is_noticed(anchored, auto, anchor_file, caplog):
    """A store that had an anchor does not open without it; a server set to none opens it with a warning."""
    anchor_file.unlink()
    with pytest.raises(TamperFault, match="missing, and this store had one"):
        anchored.again(auto, anchor=Anchor(anchor_file)).opening.open_automatically()
    anchored.again(auto).opening.open_automatically()
    assert "had an anchor" in caplog.text


def test_a_new_store_is_not_made_beside_an_old_anchor(anchored, auto, anchor_file, make_house):
    """An empty disk in place of the store: init is refused rather than starting over. Whoever wants a second store reads how
    to have one without taking the anchor of the first away."""
    house = make_house(MemoryStorage(), auto, anchor=Anchor(anchor_file))
    with pytest.raises(Invalid, match="anchor of another store") as caught:
        house.opening.initialize({})
    assert "an anchor_file of its own (a local one: another ML_SECRETS_CONFIG_DIR)" in caught.value.hint


def test_an_anchor_that_cannot_be_written_does_not_stop_the_server(anchored, anchor_file, caplog):
    """The log tells, and sealing goes on."""
    anchor_file.unlink()
    anchor_file.parent.rmdir()
    anchor_file.parent.write_text("")
    anchored.put("open/x", b"1")
    anchored.opening.seal()
    assert anchored.opening.sealed
    assert "the anchor could not be written: FileExistsError" in caplog.text


def test_recovery_keys_do_not_get_around_the_anchor(anchored, auto, anchor_file):
    """However often they are given, a rolled-back store stays sealed, and no try brings it nearer to the anchor."""
    copy = rows_of(anchored.storage)
    anchored.put("open/x", b"1")
    anchored.opening.seal()
    replace_rows(anchored.storage, copy)
    for _ in range(3):
        other = anchored.again(auto, anchor=Anchor(anchor_file))
        with pytest.raises(TamperFault, match="rolled back"):
            other.unseal(anchored.made["recovery_keys"])
        assert other.opening.sealed
    assert rows_of(anchored.storage) == copy
