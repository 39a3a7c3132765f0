import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.storage.exercise import AFTERS, KEYS, PREFIXES, expected

from ml_secrets.barrier import names as rooms
from ml_secrets.barrier.names import ROOT, GrowingNames, Page
from ml_secrets.errors import TamperFault


class Kept:
    """Pages in a dictionary, counting what is touched."""

    def __init__(self):
        self.pages, self.count, self.loads, self.saves = {}, 0, 0, 0

    def load(self, page_id):
        self.loads += 1
        return self.pages.get(page_id)

    def save(self, page_id, page):
        self.saves += 1
        self.pages[page_id] = page

    def drop(self, page_id):
        del self.pages[page_id]

    def new_id(self):
        self.count += 1
        return str(self.count)


def check(pages, page_id=ROOT, low=b"", high=None):
    """Every page is full enough, in order, and within its parent's bounds; returns (depth, ids)."""
    page = pages[page_id]
    assert page.keys
    assert len(page.keys) <= rooms.MOST
    assert page.keys == sorted(set(page.keys))
    if not page.children:
        assert all(key >= low and (high is None or key < high) for key in page.keys)
        return 1, {page_id}
    assert len(page.keys) == len(page.children)
    assert page_id != ROOT or len(page.children) > 1
    bounds = [low, *page.keys[1:], high]
    found = [check(pages, child, *bounds[at : at + 2]) for at, child in enumerate(page.children)]
    assert len({depth for depth, _ in found}) == 1
    return found[0][0] + 1, {page_id}.union(*(ids for _, ids in found))


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(rooms, "MOST", 4)


@settings(max_examples=60, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.booleans(), st.one_of(KEYS, st.integers(0, 60).map(lambda n: f"n/{n:02}"))), max_size=150
    ),
    asked=st.lists(st.tuples(PREFIXES, AFTERS, st.integers(-1, 5)), max_size=5),
)
def test_equals_a_sorted_set(changes, asked):
    """Whatever is added and removed: listing, order, structure; and no page is left when no name is."""
    before, rooms.MOST = rooms.MOST, 4
    try:
        kept, present = Kept(), set()
        tree = GrowingNames(kept)
        for adding, key in changes:
            tree.add(key) if adding else tree.remove(key)
            present.add(key) if adding else present.discard(key)
        assert list(tree.scan()) == sorted(present, key=str.encode)
        for prefix, after, limit in [*asked, ("", "", -1), ("n/", "10", 7)]:
            assert tree.below(prefix, after=after, limit=limit) == expected(present, prefix, after, limit)
        if present:
            assert check(kept.pages)[1] == set(kept.pages)
        for key in sorted(present):
            tree.remove(key)
        assert kept.pages == {}
    finally:
        rooms.MOST = before


def test_a_large_tree_touches_few_pages():
    """With 20,000 names: adding one saves a page or, seldom, a few; a page of 100 names loads as many as it needs."""
    kept = Kept()
    tree = GrowingNames(kept)
    numbers = list(range(20_000))
    random.Random(1).shuffle(numbers)
    for number in numbers:
        tree.add(f"team/{number % 50:02}/secret-{number:05}")
    depth, ids = check(kept.pages)
    assert depth <= 4
    assert ids == set(kept.pages)
    kept.loads = kept.saves = 0
    tree.add("team/07/zz")
    assert kept.saves <= 2 * depth
    assert kept.loads == depth
    kept.loads = 0
    assert len(tree.below("team/07/", after="secret-10000", limit=100)) == 100
    assert kept.loads <= 12
    kept.loads = 0
    assert tree.below("team/") == [f"{number:02}/" for number in range(50)]
    assert kept.loads <= 50 * 2 * depth
    assert list(tree.scan("team/49/secret-19949")) == ["team/49/secret-19999"]


def test_names_in_order_fill_their_pages():
    """Versions and dates come in order: pages are left full, not half empty."""
    kept = Kept()
    tree = GrowingNames(kept)
    for number in range(6400):
        tree.add(f"v/{number:06}")
    leaves = [page for page in kept.pages.values() if not page.children]
    assert len(leaves) == 100


def test_adding_twice_and_removing_nothing_change_nothing():
    """No page is saved."""
    kept = Kept()
    tree = GrowingNames(kept)
    tree.add("a/b")
    before = dict(kept.pages)
    tree.add("a/b")
    tree.remove("a")
    tree.remove("a/b/c")
    assert (kept.pages, kept.saves) == (before, 1)


def test_a_folder_comes_and_goes_with_its_names():
    """It appears with its first descendant and goes with its last."""
    tree = GrowingNames(Kept())
    tree.add("a/b/c")
    tree.add("a/b")
    assert (tree.below(""), tree.below("a/")) == (["a/"], ["b", "b/"])
    tree.remove("a/b/c")
    assert tree.below("a/") == ["b"]
    tree.remove("a/b")
    assert tree.below("") == []


def test_a_missing_page_is_damage(small_pages):
    """Not an empty listing."""
    kept = Kept()
    tree = GrowingNames(kept)
    for number in range(20):
        tree.add(str(number))
    del kept.pages[kept.pages[ROOT].children[0]]
    with pytest.raises(TamperFault):
        tree.below("")
    assert isinstance(kept.pages[ROOT], Page)


def test_the_tree_gets_lower_again(small_pages):
    """Down to one leaf, when the levels above it have one child each."""
    kept = Kept()
    tree = GrowingNames(kept)
    present = [f"{number:02}" for number in range(40)]
    for name in present:
        tree.add(name)
    assert check(kept.pages)[0] >= 3
    for name in [*present[1:16], *reversed(present[16:])]:
        tree.remove(name)
        present.remove(name)
        assert check(kept.pages)[1] == set(kept.pages)
        assert list(tree.scan()) == present
    assert kept.pages == {ROOT: Page([b"00"])}
