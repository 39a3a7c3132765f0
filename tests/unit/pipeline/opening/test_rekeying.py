"""New key shares for the same data."""

import pytest

from ml_secrets.errors import Invalid, StoreFault

FIVE = {"secret_shares": 5, "secret_threshold": 3}
ONE = {"secret_shares": 1, "secret_threshold": 1}


def test_rekey_makes_new_shares_and_voids_the_old(opened):
    """Data and tokens stay; three of the old shares open nothing, two of the new ones do."""
    opened.put("team/secret", b"kept")
    answer = opened.rekey(opened.made["keys"][:3], shares=3, threshold=2)
    assert (answer["complete"], answer["backup"], answer["verification_required"]) == (True, False, False)
    assert len(answer["keys"]) == 3
    assert not opened.opening.rekeying.status()["started"]
    other = opened.again()
    with pytest.raises(Invalid):
        other.unseal([*opened.made["keys"][:2]])
    assert other.opening.sealed
    status = other.unseal(answer["keys"][1:])
    assert (status["sealed"], status["t"], status["n"]) == (False, 2, 3)
    assert other.get("team/secret") == b"kept"
    assert other.knows(opened.made["root_token"])


def test_the_root_key_changes_with_a_rekey(opened):
    """An old copy of the seal configuration, with the old shares, gives a key that the store no longer takes."""
    from ml_secrets.barrier.seals import locks, shamir

    old = locks.decode(opened.barrier.seal_config)
    key = shamir.join([bytes.fromhex(share) for share in opened.made["keys"][:3]])
    root_key = locks.open_(old.people, key, locks.PEOPLE)
    opened.rekey(opened.made["keys"][:3])
    opened.opening.seal()
    with pytest.raises(Invalid):
        opened.barrier.unseal(root_key)


def test_rekey_tells_how_far_it_is(opened):
    """The fields are those of the wire."""
    attempt = opened.opening.rekeying
    assert attempt.status() == {
        "nonce": "", "started": False, "t": 0, "n": 0, "progress": 0, "required": 3,
        "pgp_fingerprints": None, "backup": False, "verification_required": False,
    }  # fmt: skip
    begun = attempt.start(3, 2, verify=False)
    assert (begun["started"], begun["t"], begun["n"], begun["progress"]) == (True, 2, 3, 0)
    after = opened.write(lambda unit: attempt.update(unit, opened.made["keys"][0], begun["nonce"]))
    assert after == begun | {"progress": 1}
    attempt.cancel("", trusted=True)
    assert attempt.start(3, 2, verify=True)["verification_required"]


def test_rekey_refuses_what_makes_no_sense(opened):
    """Counts, a second attempt, a share twice, a share without an attempt."""
    attempt = opened.opening.rekeying
    with pytest.raises(
        Invalid, match="invalid rekey seal configuration: threshold cannot be larger than shares"
    ):
        attempt.start(3, 5, verify=False)
    with pytest.raises(Invalid, match="no barrier rekey in progress") as caught:
        opened.write(lambda unit: attempt.update(unit, opened.made["keys"][0], "x"))
    assert caught.value.hint == "start one first"
    nonce = attempt.start(3, 2, verify=False)["nonce"]
    with pytest.raises(Invalid, match="rekey already in progress") as caught:
        attempt.start(3, 2, verify=False)
    assert caught.value.hint == "finish it, or cancel it"
    opened.write(lambda unit: attempt.update(unit, opened.made["keys"][0], nonce))
    with pytest.raises(Invalid, match="already been provided"):
        opened.write(lambda unit: attempt.update(unit, opened.made["keys"][0], nonce))


def test_a_wrong_nonce_is_refused_and_the_right_one_not_told(opened):
    """Whoever guesses wrong learns nothing (OpenBao tells the nonce here)."""
    attempt = opened.opening.rekeying
    nonce = attempt.start(3, 2, verify=False)["nonce"]
    for wrong in ("", "x", nonce.upper(), "é"):
        with pytest.raises(Invalid, match="incorrect nonce supplied for this rekey operation") as caught:
            opened.write(lambda unit, wrong=wrong: attempt.update(unit, opened.made["keys"][0], wrong))
        assert nonce not in str(caught.value)
    assert attempt.status()["progress"] == 0


def test_wrong_old_shares_start_the_attempt_anew(opened):
    """The attempt goes on under its nonce, with no progress."""
    attempt = opened.opening.rekeying
    nonce = attempt.start(3, 2, verify=False)["nonce"]
    for key in opened.made["keys"][:2]:
        opened.write(lambda unit, key=key: attempt.update(unit, key, nonce))
    with pytest.raises(Invalid, match="invalid key"):
        opened.write(lambda unit: attempt.update(unit, "ab" * 33, nonce))
    assert attempt.status()["progress"] == 0
    assert attempt.status()["nonce"] == nonce


def test_strangers_cannot_cancel_without_the_nonce(opened):
    """The nonce, or trust, cancels; and cancelling nothing is fine."""
    for attempt, name, start in (
        (opened.opening.rekeying, "rekey", lambda: opened.opening.rekeying.start(1, 1, verify=False)),
        (opened.opening.rootmaking, "root generation", lambda: opened.opening.rootmaking.start("")),
    ):
        attempt.cancel("", trusted=False)
        nonce = start()["nonce"]
        for wrong in ("", "x"):
            with pytest.raises(Invalid, match=f"incorrect nonce supplied for this {name} operation"):
                attempt.cancel(wrong, trusted=False)
        assert attempt.status()["started"]
        attempt.cancel(nonce, trusted=False)
        assert not attempt.status()["started"]
        start()
        attempt.cancel("", trusted=True)
        assert not attempt.status()["started"]


@pytest.mark.parametrize("verify", [False, True])
def test_a_rekey_whose_unit_rolls_back_changes_nothing(opened, verify):
    """New shares that could not be audited never count: the old ones go on, and the attempt can be finished anew."""
    attempt = opened.opening.rekeying
    nonce = attempt.start(1, 1, verify=verify)["nonce"]

    def undone(unit):
        for key in opened.made["keys"][:3]:
            attempt.update(unit, key, nonce)
        raise StoreFault("the audit device is full")

    with pytest.raises(StoreFault):
        opened.write(undone)
    assert not opened.again().unseal(opened.made["keys"][:3])["sealed"]
    for key in opened.made["keys"][:3]:
        answer = opened.write(lambda unit, key=key: attempt.update(unit, key, nonce))
    assert answer["complete"]


def test_a_verified_rekey_counts_only_after_its_verification(opened):
    """Until the new shares were given back the old ones open the store; after that the new ones do."""
    answer = opened.rekey(opened.made["keys"][:3], shares=3, threshold=2, verify=True)
    attempt = opened.opening.rekeying
    assert attempt.status()["verification_nonce"] == answer["verification_nonce"]
    assert attempt.verify_status() == {
        "nonce": answer["verification_nonce"],
        "started": True,
        "t": 2,
        "n": 3,
        "progress": 0,
    }
    assert not opened.again().unseal(opened.made["keys"][:3])["sealed"]
    with pytest.raises(Invalid, match="but for its verification") as caught:
        opened.write(lambda unit: attempt.update(unit, opened.made["keys"][4], answer["nonce"]))
    assert caught.value.hint == "give the new shares to rekey/verify, or cancel"
    nonce = answer["verification_nonce"]
    first = opened.write(lambda unit: attempt.verify(unit, answer["keys"][0], nonce))
    assert first["progress"] == 1
    with pytest.raises(Invalid, match="already been provided"):
        opened.write(lambda unit: attempt.verify(unit, answer["keys"][0], nonce))
    assert opened.write(lambda unit: attempt.verify(unit, answer["keys"][2], nonce)) == {
        "nonce": nonce,
        "complete": True,
    }
    assert not attempt.status()["started"]
    opened.opening.seal()
    assert not opened.unseal(answer["keys"][:2])["sealed"]


def test_a_failed_verification_starts_again_under_another_nonce(opened):
    """Foreign shares void nothing; the old nonce is dead, and the attempt can still be verified or cancelled."""
    answer = opened.rekey(opened.made["keys"][:3], shares=3, threshold=2, verify=True)
    attempt, nonce = opened.opening.rekeying, answer["verification_nonce"]
    for foreign in ("ab" * 33, "ab" * 32):
        opened.write(lambda unit: attempt.verify(unit, answer["keys"][0], attempt.verify_status()["nonce"]))
        with pytest.raises(Invalid, match="rekey verification failed") as caught:
            opened.write(
                lambda unit, foreign=foreign: attempt.verify(unit, foreign, attempt.verify_status()["nonce"])
            )
        assert caught.value.hint == "start the verification again with the new nonce"
    with pytest.raises(Invalid, match="incorrect nonce supplied for this verify operation"):
        opened.write(lambda unit: attempt.verify(unit, answer["keys"][0], nonce))
    with pytest.raises(Invalid, match="incorrect nonce supplied for this verify operation"):
        attempt.verify_restart("", trusted=False)
    assert attempt.verify_restart("", trusted=True)["progress"] == 0
    attempt.cancel("", trusted=True)
    for begun in (False, True):
        if begun:
            attempt.start(1, 1, verify=True)
        with pytest.raises(Invalid, match="no rekey configuration found") as caught:
            attempt.verify_status()
        assert caught.value.hint == "there is nothing to verify"


def test_the_recovery_rekey_is_not_shamirs(opened):
    """With OpenBao's text."""
    with pytest.raises(Invalid, match="recovery rekeying not supported") as caught:
        opened.opening.rekey_target(recovery=True)
    assert caught.value.hint == "this seal has key shares only: use sys/rekey"
