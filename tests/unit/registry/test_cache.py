"""registry/cache.py: what is remembered, and how much."""

import pytest

from ml_secrets.domain.token import TokenEntry
from ml_secrets.registry import tokens
from ml_secrets.registry.cache import Cache
from ml_secrets.registry.unit import Unit
from ml_secrets.storage.memory import MemoryStorage


@pytest.fixture
def unit():
    """A unit that reads."""
    with MemoryStorage().begin(write=False) as tx:
        yield Unit(tx, 0.0)


def test_of_too_much_the_oldest_goes(unit):
    """Values weigh what they are said to weigh; what is forgotten leaves its room to others."""
    cache = Cache(10, lambda _, key: key, len)

    def load(*keys):
        for key in keys:
            assert cache.load(unit, key) == key
        return list(cache._rows)

    assert load("aaaa", "bbbb", "cc") == ["aaaa", "bbbb", "cc"]
    assert load("d") == ["bbbb", "cc", "d"]
    cache.forget("bbbb")
    assert load("ffffff") == ["cc", "d", "ffffff"]
    assert load("far too heavy") == []
    assert load("aaaa", "bbbb", "cc") == ["aaaa", "bbbb", "cc"]
    cache.forget()
    assert load("ten letters"[:10]) == ["ten letter"]


def test_a_token_weighs_what_its_owner_wrote_into_it():
    """So nobody fills the server's memory with tokens that have long metadata."""
    fields = {"accessor": "a", "policies": ("default",), "path": "auth/token/create", "created": 0.0}
    plain = TokenEntry(**fields, expires=None)
    weighty = TokenEntry(**fields, expires=None, meta={"note": "x" * 100_000})
    assert tokens._weight(weighty) > tokens._weight(plain) + 100_000
