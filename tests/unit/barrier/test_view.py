import pytest
from tests.unit.barrier.stores import names, opened, put

from ml_secrets.barrier.view import View
from ml_secrets.errors import Fault


def test_a_view_is_the_part_below_its_prefix():
    """Its verbs reach nothing outside, and it nests."""
    barrier = opened()
    put(barrier, {"mount/a/x": b"1", "mount/b/x": b"2"})
    with barrier.begin(write=True) as tx:
        view = View(View(tx, "mount/"), "a/")
        assert view.get("x") == b"1"
        view.put("y/z", b"3")
        assert view.list("") == ["x", "y/"]
        assert view.list("", after="x", limit=1) == ["y/"]
        view.delete("x")
        assert view.get("x") is None
    assert names(barrier, "mount/") == ["a/", "b/"]
    assert names(barrier, "mount/b/") == ["x"]


def test_what_is_new_in_a_view_is_new_in_the_store():
    """And fails the commit where it is not."""
    barrier = opened()
    put(barrier, {"open/a/x": b"1"})

    def add(name):
        with barrier.begin(write=True) as tx:
            View(tx, "open/a/").put(name, b"2", new=True)

    add("y")
    with pytest.raises(Fault, match="was to be new"):
        add("x")
    assert names(barrier, "open/a/") == ["x", "y"]
