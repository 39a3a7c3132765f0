"""Answers to a LIST."""

import pytest

from ml_secrets.contract.names import named, names_in
from ml_secrets.storage.memory import MemoryStorage


@pytest.mark.parametrize(
    ("after", "limit", "keys"),
    [
        ("", -1, ["a", "b", "c/"]),
        ("", 0, ["a", "b", "c/"]),
        ("", 2, ["a", "b"]),
        ("a", 1, ["b"]),
    ],
)
def test_names_of_a_folder_in_pages(after, limit, keys):
    """After a name, and at most so many; 0 or less is all."""
    storage = MemoryStorage()
    with storage.begin(write=True) as tx:
        for name in ("a", "b", "c/d"):
            tx.put(f"box/{name}", b"x")
    with storage.begin(write=False) as tx:
        assert names_in(tx, "box/", after, limit).data == {"keys": keys}


def test_nothing_to_list_is_no_answer():
    """A 404 on the wire."""
    assert named([]) is None
