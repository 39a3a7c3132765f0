"""Init, unseal and seal under Shamir."""

import base64
import os
import threading
from itertools import combinations

import pytest

from ml_secrets.barrier.barrier import Barrier
from ml_secrets.errors import Invalid, Sealed, StoreFault, TamperFault
from ml_secrets.storage.memory import MemoryStorage

FIVE = {"secret_shares": 5, "secret_threshold": 3}
ONE = {"secret_shares": 1, "secret_threshold": 1}


def test_a_new_store_is_initialised_and_stays_sealed(house):
    """Under Shamir, init answers with the shares and the first token, and leaves the store sealed."""
    assert house.opening.status() == {
        "type": "shamir", "initialized": False, "sealed": True, "t": 0, "n": 0, "progress": 0, "nonce": "", "recovery_seal": False,
    }  # fmt: skip
    made = house.opening.initialize(FIVE)
    assert [base64.b64decode(key).hex() for key in made["keys_base64"]] == made["keys"]
    assert [len(key) for key in made["keys"]] == [66] * 5
    assert (house.opening.status()["t"], house.opening.status()["n"]) == (3, 5)
    assert house.opening.sealed
    assert house.barrier.sealed
    assert "opened" not in house.log


def test_three_of_five_shares_open_it(house):
    """The first token works then, and `opened` was told; a further share changes nothing."""
    made = house.opening.initialize(FIVE)
    assert house.unseal(made["keys"][:2]) | {"nonce": ""} == house.opening.status() | {
        "progress": 2,
        "nonce": "",
    }
    assert house.opening.status()["nonce"]
    status = house.unseal([made["keys_base64"][3]])
    assert (status["sealed"], status["progress"], status["nonce"]) == (False, 0, "")
    assert house.knows(made["root_token"])
    assert house.log[-1] == "opened"
    assert not house.unseal(made["keys"][4:])["sealed"]


def test_any_three_do_after_a_restart(house):
    """Every triple opens the stored store."""
    made = house.opening.initialize(FIVE)
    for chosen in combinations(made["keys"], 3):
        other = house.again()
        assert not other.unseal(chosen)["sealed"]
        other.opening.seal()


def test_a_single_share_opens_it(house):
    """One of one is the whole key, of 32 bytes."""
    made = house.opening.initialize(ONE)
    assert len(made["keys"][0]) == 64
    assert not house.unseal(made["keys"])["sealed"]


def test_a_share_given_twice_counts_once(house):
    """Neither as hex nor as base64 does it count again."""
    made = house.opening.initialize(FIVE)
    house.unseal([made["keys"][0], made["keys"][0], made["keys_base64"][0]])
    assert house.opening.status()["progress"] == 1


@pytest.mark.parametrize("foreign", ["ab" * 33, "00" * 33, "ab" * 32, "ab" * 20])
def test_a_wrong_set_is_one_clean_error_and_starts_anew(house, foreign):
    """A foreign share among right ones: a refusal that tells nothing, no progress, and the right ones still open it."""
    made = house.opening.initialize(FIVE)
    with pytest.raises(Invalid) as caught:
        house.unseal([*made["keys"][:2], foreign])
    assert caught.value.message.startswith("invalid key")
    assert (house.opening.status()["progress"], house.opening.status()["nonce"]) == (0, "")
    assert not house.unseal(made["keys"][:3])["sealed"]


def test_shares_of_another_store_do_not_open_it(house, make_house):
    """All three are good shares, of the wrong store."""
    house.opening.initialize(FIVE)
    other = make_house(MemoryStorage())
    with pytest.raises(Invalid, match="does not open this store"):
        house.unseal(other.opening.initialize(FIVE)["keys"][:3])
    assert house.opening.sealed


def test_reset_drops_the_shares_given_so_far(house):
    """Progress is 0 again; on an open store there is nothing to reset."""
    made = house.opening.initialize(FIVE)
    house.unseal(made["keys"][:2])
    assert house.opening.unseal("", reset=True)["progress"] == 0
    house.unseal(made["keys"][:3])
    with pytest.raises(Invalid, match="vault is unsealed"):
        house.opening.unseal("", reset=True)


def test_the_shares_in_memory_are_overwritten(house):
    """When the collection ends, well or not, its buffers hold zeros."""
    made = house.opening.initialize(FIVE)
    house.unseal(made["keys"][:2])
    kept = list(house.opening._shares._given)
    assert all(any(share) for share in kept)
    house.unseal(made["keys"][2:3])
    assert not any(any(share) for share in kept)
    assert not house.opening._shares._given


def test_init_twice_and_unseal_before_init_are_refused_as_vault_does(house):
    """The texts are those of a real OpenBao."""
    with pytest.raises(Invalid, match=r"^Vault is not initialized") as caught:
        house.opening.unseal("ab" * 33, reset=False)
    assert "ml-secrets operator init" in caught.value.hint
    house.opening.initialize(ONE)
    with pytest.raises(Invalid, match=r"^Vault is already initialized"):
        house.opening.initialize(ONE)
    with pytest.raises(Invalid, match="shares must be at least one"):
        house.opening.initialize({})


def test_recovery_shares_are_for_seals_that_open_by_themselves(house):
    """Under Shamir they are refused, with OpenBao's text."""
    with pytest.raises(
        Invalid, match="recovery_shares,recovery_threshold not applicable to seal type shamir"
    ):
        house.opening.initialize(FIVE | {"recovery_shares": 1, "recovery_threshold": 1})


def test_sealing_forgets_the_keys(house):
    """Nothing reads or writes any more, an attempt is dropped, and the shares open it again."""
    made = house.opening.initialize(FIVE)
    house.unseal(made["keys"][:3])
    house.put("open/x", b"1")
    house.opening.rekeying.start(1, 1, verify=False)
    house.opening.rootmaking.start("")
    house.opening.seal()
    assert house.opening.sealed
    assert house.log[-1] == "closed"
    with pytest.raises(Sealed):
        house.get("open/x")
    house.unseal(made["keys"][2:])
    assert house.get("open/x") == b"1"
    assert not house.opening.rekeying.status()["started"]
    assert not house.opening.rootmaking.status()["started"]
    assert house.opening.times == 2


def test_a_server_that_cannot_start_up_stays_sealed(house):
    """When the rest of the server fails to load, the barrier is closed again, and a next unseal may work."""
    made = house.opening.initialize(ONE)
    house.fail = TamperFault("a damaged table")
    with pytest.raises(TamperFault):
        house.unseal(made["keys"])
    assert house.opening.sealed
    assert house.barrier.sealed
    house.fail = None
    assert not house.unseal(made["keys"])["sealed"]


def test_an_interrupted_first_start_is_told(house):
    """A store whose first token was never made holds nothing, and says so instead of opening empty."""
    house.opening._first_run = lambda unit: (_ for _ in ()).throw(StoreFault("the power went"))
    with pytest.raises(StoreFault, match="the power went"):
        house.opening.initialize(ONE)
    assert house.barrier.sealed
    with pytest.raises(StoreFault, match="first start was interrupted") as caught:
        house.opening._open_with(_root_key_of(house))
    assert caught.value.hint == "remove its folder, then initialise again"


def _root_key_of(house):
    from ml_secrets.barrier.seals import locks

    root = bytearray(os.urandom(32))
    fresh = Barrier(MemoryStorage(), os.urandom)
    lock = locks.close(os.urandom(32), root, locks.PEOPLE, os.urandom)
    fresh.initialize(root, locks.encode(locks.SealConfig(kind="shamir", shares=1, threshold=1, people=lock)))
    fresh.seal()
    house.opening._barrier = house.barrier = fresh
    house.units._storage = fresh
    return root


def test_an_open_store_can_be_verified(opened):
    """Every row is opened and compared, and what is damaged is counted."""
    report = opened.opening.verify()
    assert report["rows"] > 0
    assert report["commits"] == opened.barrier.commit_seq
    assert (report["intact"], report["damaged_rows"]) == (True, 0)


def test_unseal_from_many_threads_opens_once(house):
    """Shares that come at the same time are all counted, and `opened` runs once."""
    made = house.opening.initialize({"secret_shares": 9, "secret_threshold": 9})
    threads = [threading.Thread(target=house.unseal, args=([key],)) for key in made["keys"]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not house.opening.sealed
    assert house.log.count("opened") == house.opening.times == 1


class Watched:
    """A lock that tells when somebody comes to it."""

    def __init__(self, lock):
        self.lock, self.reached = lock, threading.Event()

    def __enter__(self):
        self.reached.set()
        return self.lock.__enter__()

    def __exit__(self, *raised):
        return self.lock.__exit__(*raised)


def test_a_share_that_comes_while_another_opens_is_ignored(opened):
    """It waited at the gate: once it gets in, the store is open, and nothing is collected."""
    opening = opened.opening
    opening.seal()
    opened.unseal(opened.made["keys"][:2])
    late = threading.Thread(target=opened.unseal, args=([opened.made["keys"][4]],))
    opening._gate = gate = Watched(opening._gate)
    with gate.lock:
        late.start()
        assert gate.reached.wait(10)
        opening._take(bytes.fromhex(opened.made["keys"][3]))
    late.join()
    assert not opening.sealed
    assert opening.status()["progress"] == 0
