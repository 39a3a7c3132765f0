"""Key files and passphrases, and what recovery shares do when they are lost."""

import os

import pytest

from ml_secrets.barrier.seals.keyfile import KeyFile
from ml_secrets.barrier.seals.passphrase import Passphrase
from ml_secrets.errors import Invalid, StoreFault
from ml_secrets.pipeline.opening import KeyLost
from ml_secrets.storage.memory import MemoryStorage

FIVE = {"secret_shares": 5, "secret_threshold": 3}
ONE = {"secret_shares": 1, "secret_threshold": 1}


def test_a_key_file_initialises_and_opens_by_itself(automatic, auto, key_file):
    """The first start makes file, store and token, and leaves it open; the next start opens it without a word."""
    assert not automatic.opening.sealed
    assert key_file.exists()
    assert automatic.made["keys"] == []
    assert len(automatic.made["recovery_keys"]) == 1
    assert automatic.knows(automatic.made["root_token"])
    other = automatic.again(auto)
    assert other.opening.open_automatically(initialize={}) is None
    assert other.knows(automatic.made["root_token"])
    status = other.opening.status()
    assert (status["type"], status["recovery_seal"], status["t"], status["n"]) == ("keyfile", True, 1, 1)


def test_nothing_is_initialised_unasked(storage, auto, key_file, make_house):
    """Without being told how, a new store stays new, and no key file appears."""
    house = make_house(storage, auto)
    assert house.opening.open_automatically() is None
    assert not house.opening.initialized
    assert not key_file.exists()
    assert make_house(MemoryStorage()).opening.open_automatically(initialize=ONE) is None


def test_recovery_shares_can_be_several(storage, auto, make_house):
    """As many as asked for; key shares are not this seal's."""
    house = make_house(storage, auto)
    with pytest.raises(Invalid, match="secret_shares,secret_threshold not applicable to seal type keyfile"):
        house.opening.initialize(FIVE)
    made = house.opening.initialize({"recovery_shares": 3, "recovery_threshold": 2})
    assert len(made["recovery_keys"]) == 3
    assert not house.opening.sealed


def test_recovery_shares_replace_a_lost_key_file(automatic, auto, key_file):
    """They open the store, make a new key file and lock the store to it; the lost file, found again, opens nothing."""
    old = key_file.read_text()
    key_file.unlink()
    other = automatic.again(auto)
    with pytest.raises(KeyLost, match="no key file") as caught:
        other.opening.open_automatically()
    assert "unseal with recovery keys" in caught.value.hint
    assert not other.unseal(automatic.made["recovery_keys"])["sealed"]
    assert other.knows(automatic.made["root_token"])
    assert key_file.read_text() != old
    third = automatic.again(auto)
    third.opening.open_automatically()
    assert not third.opening.sealed
    key_file.unlink()
    key_file.write_text(old)
    key_file.chmod(0o400)
    with pytest.raises(Invalid, match="does not open this store"):
        automatic.again(auto).opening.open_automatically()


def test_recovery_shares_lock_to_another_key_file_that_lies_there(automatic, auto, key_file, caplog):
    """A wrong key file is not overwritten: the store is locked to it."""
    key_file.unlink()
    KeyFile(key_file, None).fresh(os.urandom)
    content = key_file.read_text()
    other = automatic.again(auto)
    with pytest.raises(KeyLost, match="does not open this store"):
        other.opening.open_automatically()
    other.unseal(automatic.made["recovery_keys"])
    assert key_file.read_text() == content
    assert "opened with recovery keys, and locked to the present keyfile again" in caplog.text
    automatic.again(auto).opening.open_automatically()


def test_wrong_recovery_shares_open_nothing(automatic, auto, key_file):
    """And make no key file."""
    key_file.unlink()
    other = automatic.again(auto)
    with pytest.raises(Invalid, match="does not open"):
        other.unseal(["ab" * 32])
    assert other.opening.sealed
    assert not key_file.exists()


def test_the_recovery_shares_can_be_rekeyed(automatic, auto, key_file):
    """Old recovery shares are void after it; the key file goes on opening, and the new shares recover."""
    with pytest.raises(Invalid, match="no key shares to rekey") as caught:
        automatic.opening.rekey_target(recovery=False)
    assert "ml-secrets operator rekey --recovery" in caught.value.hint
    answer = automatic.rekey(automatic.made["recovery_keys"], shares=3, threshold=2, recovery=True)
    other = automatic.again(auto)
    other.opening.open_automatically()
    assert not other.opening.sealed
    key_file.unlink()
    third = automatic.again(auto)
    with pytest.raises(Invalid):
        third.unseal([automatic.made["recovery_keys"][0], answer["keys"][0]])
    assert not third.unseal(answer["keys"][:2])["sealed"]


def test_a_passphrase_goes_on_opening_after_a_rekey(storage, make_house):
    """The root key is another, locked to the same passphrase under the salt and cost that the store has."""
    house = make_house(storage, Passphrase(lambda: b"correct horse battery staple"))
    made = house.opening.open_automatically(initialize={})
    house.rekey(made["recovery_keys"], recovery=True)
    other = house.again(Passphrase(lambda: b"correct horse battery staple"))
    other.opening.open_automatically()
    assert other.knows(made["root_token"])


def test_recovery_shares_make_a_root_token(automatic):
    """As key shares do under Shamir."""
    attempt = automatic.opening.rootmaking
    begun = attempt.start("")
    answer = automatic.write(
        lambda unit: attempt.update(unit, automatic.made["recovery_keys"][0], begun["nonce"])
    )
    assert automatic.knows(automatic.decoded(answer["encoded_token"], begun["otp"]))


def test_a_store_with_another_seal_is_refused(automatic, key_file):
    """A server set to Shamir does not open a store with a key file, and says what to set; the status shows the store's."""
    other = automatic.again()
    assert other.opening.status()["type"] == "keyfile"
    with pytest.raises(Invalid, match="has a keyfile seal, and the server is set to shamir") as caught:
        other.unseal(automatic.made["recovery_keys"])
    assert caught.value.hint == "set the seal to keyfile"


def test_a_passphrase_opens_by_itself(storage, make_house):
    """The same passphrase opens it, another does not, and recovery shares lock it to a new one."""
    house = make_house(storage, Passphrase(lambda: b"correct horse battery staple"))
    made = house.opening.open_automatically(initialize={})
    other = house.again(Passphrase(lambda: b"correct horse battery staple"))
    other.opening.open_automatically()
    assert other.knows(made["root_token"])
    other.opening.seal()
    forgotten = house.again(Passphrase(lambda: b"Tr0ub4dor&3"))
    with pytest.raises(KeyLost, match="does not open"):
        forgotten.opening.open_automatically()
    forgotten.unseal(made["recovery_keys"])
    assert forgotten.knows(made["root_token"])
    house.again(Passphrase(lambda: b"Tr0ub4dor&3")).opening.open_automatically()


def test_keys_of_a_new_store_are_answered_even_if_it_does_not_open(storage, auto, caplog, make_house):
    """Nobody else has them: init answers, the log tells, and the store stays sealed."""
    house = make_house(storage, auto)
    house.fail = StoreFault("a table is missing")
    made = house.opening.initialize({})
    assert made["root_token"]
    assert house.opening.sealed
    assert "the new store could not be opened: a table is missing" in caplog.text


def test_opening_what_is_open_and_sealing_what_is_sealed_does_nothing(automatic):
    """Both may be asked for again."""
    assert automatic.opening.open_automatically() is None
    assert automatic.log.count("opened") == 1
    automatic.opening.seal()
    automatic.opening.seal()
    assert automatic.opening.sealed
