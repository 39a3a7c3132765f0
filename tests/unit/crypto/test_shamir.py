import itertools
import os

import pyshamir
import pytest

from ml_secrets.crypto import shamir
from ml_secrets.errors import Invalid


@pytest.mark.parametrize(("shares", "threshold"), [(2, 2), (3, 2), (5, 3), (5, 5), (10, 7), (255, 2)])
def test_any_threshold_of_shares_gives_the_secret(shares, threshold):
    """Every combination (of the first few, where there are too many)."""
    secret = os.urandom(32)
    parts = shamir.split(secret, shares, threshold, os.urandom)
    assert len({part[-1] for part in parts}) == shares
    for some in itertools.islice(itertools.combinations(parts, threshold), 30):
        assert shamir.combine(some) == secret
    assert shamir.combine(parts[: min(shares, 20)]) == secret


def test_vaults_port_combines_our_shares():
    """The format is Vault's: pyshamir, a port of its code, takes ours."""
    for _ in range(5):
        secret = os.urandom(32)
        parts = shamir.split(secret, 5, 3, os.urandom)
        assert bytes(pyshamir.combine([bytearray(part) for part in parts[1:4]])) == secret


def test_we_combine_the_shares_of_vaults_port():
    """And the other way round."""
    for _ in range(5):
        secret = os.urandom(32)
        parts = [bytes(part) for part in pyshamir.split(secret, 5, 3)]
        assert shamir.combine([parts[4], parts[0], parts[2]]) == secret


def test_fewer_shares_give_something_else():
    """One short of the threshold tells nothing."""
    secret = os.urandom(32)
    parts = shamir.split(secret, 5, 3, os.urandom)
    assert shamir.combine(parts[:2]) != secret


def test_what_cannot_belong_together_is_one_error():
    """Repeated, cut, lengthened, too few, and the impossible point 0: all alike."""
    parts = shamir.split(b"0" * 32, 5, 3, os.urandom)
    bad = [
        [],
        parts[:1],
        [parts[0], parts[1], parts[0]],
        [parts[0], parts[1], parts[2][:-1]],
        [parts[0], parts[1] + b"0"],
        [parts[0], b""],
        [parts[0], b"\x01"],
        [parts[0], parts[1][:-1] + b"\0"],
    ]
    texts = set()
    for shares in bad:
        with pytest.raises(Invalid) as caught:
            shamir.combine(shares)
        texts.add(str(caught.value))
    assert len(texts) == 1


@pytest.mark.parametrize(("shares", "threshold"), [(1, 1), (5, 1), (2, 3), (256, 2), (0, 0), (3, -1)])
def test_senseless_counts_are_refused(shares, threshold):
    """2 <= threshold <= shares <= 255."""
    with pytest.raises(Invalid):
        shamir.split(b"x" * 32, shares, threshold, os.urandom)


def test_the_field_is_that_of_aes():
    """Products and inverses in GF(256) modulo x^8 + x^4 + x^3 + x + 1."""
    assert shamir._multiply(0x57, 0x83) == 0xC1
    assert shamir._multiply(0x53, 0xCA) == 1
    assert all(shamir._multiply(a, shamir._inverse(a)) == 1 for a in range(1, 256))
