import hmac

import pytest

from ml_secrets.crypto import kdf


def test_expand_is_hkdf_expand_of_the_framed_purpose():
    """RFC 5869, section 2.3, written out with HMAC."""
    key = bytes(range(32))
    info = kdf.framed("ml-secrets/v1", "token", "x")
    first = hmac.digest(key, info + b"\x01", "sha256")
    second = hmac.digest(key, first + info + b"\x02", "sha256")
    assert kdf.expand(key, "token", "x") == first
    assert kdf.expand(key, "token", "x", size=40) == (first + second)[:40]


def test_expand_into_writes_the_same_key():
    """The way without an object in between gives the same bytes."""
    place = bytearray(32)
    kdf.expand_into(memoryview(place), b"k" * 32, "audit", b"file")
    assert place == kdf.expand(b"k" * 32, "audit", b"file")


def test_contexts_cannot_run_into_each_other():
    """No two lists of parts give the same bytes."""
    lists = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("a", "b", "c")]
    assert len({kdf.framed(*parts) for parts in lists}) == len(lists)
    assert len({kdf.expand(b"k" * 32, *parts) for parts in lists}) == len(lists)


def test_argon2id_agrees_with_the_reference():
    """A vector of the reference implementation: version 19, 64 MiB, 2 passes, 1 lane."""
    key = kdf.argon2id(b"password", b"somesalt", memory_kib=65536, passes=2, lanes=1)
    assert key.hex() == "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"


@pytest.mark.parametrize("change", [{"memory_kib": 2048}, {"passes": 2}, {"lanes": 2}])
def test_argon2id_depends_on_its_cost(change):
    """Each parameter counts."""
    cost = {"memory_kib": 1024, "passes": 1, "lanes": 1}
    assert kdf.argon2id(b"fake", b"0" * 16, **cost) != kdf.argon2id(b"fake", b"0" * 16, **(cost | change))
