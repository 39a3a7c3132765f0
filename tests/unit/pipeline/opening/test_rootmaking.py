"""Root tokens from key shares."""

import os

import pytest

from ml_secrets.errors import Invalid, StoreFault
from ml_secrets.pipeline import rootmaking

FIVE = {"secret_shares": 5, "secret_threshold": 3}
ONE = {"secret_shares": 1, "secret_threshold": 1}


@pytest.mark.parametrize("own", [False, True])
def test_shares_make_a_root_token(opened, own):
    """It is hidden by the one-time password, ours or the caller's, and it is an ordinary root token."""
    attempt = opened.opening.rootmaking
    password = rootmaking.new_password(os.urandom) if own else ""
    begun = attempt.start(password)
    assert bool(begun["otp"]) is not own
    assert attempt.status()["otp"] == ""
    for done, key in enumerate(opened.made["keys"][1:4], 1):
        answer = opened.write(lambda unit, key=key: attempt.update(unit, key, begun["nonce"]))
        assert (answer["progress"], answer["complete"], answer["otp_length"]) == (done, done == 3, 0)
    assert answer["progress"] == answer["required"] == 3
    assert answer["encoded_token"] == answer["encoded_root_token"]
    assert "=" not in answer["encoded_token"]
    token = opened.decoded(answer["encoded_token"], password or begun["otp"])
    assert opened.knows(token)
    assert token != opened.made["root_token"]
    assert not attempt.status()["started"]


def test_the_one_time_password_is_as_long_as_a_token(opened):
    """Another length is refused; what we make fits, and uses every letter and digit."""
    assert (
        len(opened.tokens.new_token())
        == rootmaking.TOKEN_LENGTH
        == opened.opening.rootmaking.status()["otp_length"]
    )
    for wrong in ("abc", "x" * (rootmaking.TOKEN_LENGTH + 1)):
        with pytest.raises(Invalid, match="OTP string has incorrect length") as caught:
            opened.opening.rootmaking.start(wrong)
        assert f"it must have {rootmaking.TOKEN_LENGTH} bytes" in caught.value.hint
    letters = {letter for _ in range(200) for letter in rootmaking.new_password(os.urandom)}
    assert letters == set(rootmaking._LETTERS)


def test_no_letter_is_likelier_than_another():
    """Of 256 bytes the last eight are thrown away, which would make the first eight letters likelier."""
    size = rootmaking.TOKEN_LENGTH
    rounds = iter([b"\xf8" * size, b"\xf7" * (size - 2) + b"\xf8\xff", b"\x00" * size])
    assert rootmaking.new_password(lambda _: next(rounds)) == "z" * (size - 2) + "00"
    rounds = iter([b"\x01" * size])
    assert rootmaking.new_password(lambda _: next(rounds)) == "1" * size


def test_no_part_of_a_token_is_left_out():
    """A password of another length hides nothing: it is a fault."""
    with pytest.raises(ValueError, match="zip"):
        rootmaking.encode(b"token", b"toke")


def test_root_making_refuses_what_makes_no_sense(opened):
    """A share without an attempt, a second attempt, a wrong nonce, a share twice, a wrong set."""
    attempt, keys = opened.opening.rootmaking, opened.made["keys"]
    with pytest.raises(Invalid, match="no root generation in progress") as caught:
        opened.write(lambda unit: attempt.update(unit, keys[0], "x"))
    assert caught.value.hint == "start one first"
    nonce = attempt.start("")["nonce"]
    with pytest.raises(Invalid, match="root generation already in progress") as caught:
        attempt.start("")
    assert caught.value.hint == "finish it, or cancel it"
    with pytest.raises(
        Invalid, match="incorrect nonce supplied for this root generation operation"
    ) as caught:
        opened.write(lambda unit: attempt.update(unit, keys[0], "x"))
    assert caught.value.hint == "the one who started it was told the nonce"
    opened.write(lambda unit: attempt.update(unit, keys[0], nonce))
    with pytest.raises(Invalid, match="already been provided"):
        opened.write(lambda unit: attempt.update(unit, keys[0], nonce))
    opened.write(lambda unit: attempt.update(unit, keys[1], nonce))
    with pytest.raises(Invalid, match="invalid key"):
        opened.write(lambda unit: attempt.update(unit, "ab" * 33, nonce))
    assert (attempt.status()["progress"], attempt.status()["nonce"]) == (0, nonce)


def test_a_root_token_whose_unit_rolls_back_does_not_live(opened):
    """The attempt can be repeated; the token of the undone unit is unknown."""
    attempt = opened.opening.rootmaking
    begun = attempt.start("")
    answers = []

    def undone(unit):
        answers.extend(attempt.update(unit, key, begun["nonce"]) for key in opened.made["keys"][:3])
        raise StoreFault("the audit device is full")

    with pytest.raises(StoreFault):
        opened.write(undone)
    assert not opened.knows(opened.decoded(answers[-1]["encoded_token"], begun["otp"]))
    assert attempt.status()["nonce"] == begun["nonce"]
