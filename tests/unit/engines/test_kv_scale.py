"""engines/kv in a large store: what a request reads of the storage, counted. Times are for `make bench-scale`."""

import random

import pytest

from ml_secrets.storage import staged

SMALL, LARGE = 200, 6_400
LEAVES = 6
"""Of 100 names, when each page of names is half full or more."""


@pytest.fixture
def read(monkeypatch):
    """Keys of all rows that were read of the storage, of whichever server."""
    keys, get = [], staged._Reading.get

    def counted(self, key):
        keys.append(key)
        return get(self, key)

    monkeypatch.setattr(staged._Reading, "get", counted)
    return keys


def fill(server, first, end):
    """Secrets in no order, all in one commit."""
    with server.house.units.together():
        for number in range(first, end):
            assert server.ask("POST", f"secret/data/{name(number)}", {"data": {"v": "fake"}}).status == 200


def name(number):
    return f"{number * 2654435761 % 2**32:08x}"


def costs(server, read, paths, status):
    """The most rows, and the most pages of names, that one of these requests reads."""
    rows, pages = 0, 0
    for method, path in paths:
        read.clear()
        assert server.ask(method, path).status == status
        named = sum(key.startswith("names/") for key in read)
        rows, pages = max(rows, len(read) - named), max(pages, named)
    return rows, pages


def test_reads_and_pages_of_names_cost_the_same_in_a_large_store_but_for_the_height_of_a_tree(server, read):
    """A read takes two rows; what is not there, and each leaf of a page of 100 names, one more page when there are 32 times as many."""
    chance = random.Random(1)
    for size, height in ((SMALL, 2), (LARGE, 3)):
        fill(server, 0 if size == SMALL else SMALL, size)
        some = [name(chance.randrange(size)) for _ in range(50)]
        server.ask(
            "GET", "secret/data/none"
        )  # the policy of the token, and the mounts, are known from here on
        assert costs(server, read, [("GET", f"secret/data/{one}") for one in some], 200) == (2, 0)
        assert costs(server, read, [("GET", f"secret/data/{one}x") for one in some], 404) == (1, height)
        lists = [("LIST", f"secret/metadata?limit=100&after={one}") for one in some if one < "8"]
        rows, pages = costs(server, read, lists, 200)
        assert rows <= 1
        assert height * 2 <= pages <= height * LEAVES
