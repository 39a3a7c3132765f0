"""The latest changes: so many and no more, each with a name that tells nothing."""

import itertools

from ml_secrets.registry import recent
from ml_secrets.registry.changes import Change
from ml_secrets.registry.recent import Recent


def change(path):
    return Change(("uuid", path), "secret/", "write", 0.0)


def filled(number):
    """With changes "1", "2", …, each named by a counter."""
    counter = itertools.count(1)
    made = Recent(lambda size: next(counter).to_bytes(size, "big"))
    for path in range(1, number + 1):
        made.add(change(str(path)))
    return made


def paths(told):
    return None if told is None else [one.change.path for one in told]


def test_what_came_since_a_place_is_told():
    """In order, and in pieces."""
    made = filled(5)
    assert paths(made.since(2, most=10)) == ["3", "4", "5"]
    assert paths(made.since(2, most=2)) == ["3", "4"]
    assert paths(made.since(5, most=10)) == []


def test_a_name_is_found_again():
    """Also that of the present, where nothing has come yet."""
    empty = filled(0)
    place, name = empty.now()
    assert empty.after(name) == place == 0
    made = filled(5)
    names = [one.name for one in made.since(0, most=10)]
    assert [made.after(name) for name in names] == [1, 2, 3, 4, 5]
    assert made.now() == (5, names[-1])
    assert made.after("no-such-name") is None


def test_so_many_are_kept(monkeypatch):
    """What came before is known to be missing, but for the last one that was let go: all that followed it is there."""
    made = filled(recent.MOST + 2)
    assert made.since(1, most=1) is None
    assert paths(made.since(2, most=1)) == ["3"]
    assert (
        made.after((3).to_bytes(8, "big").hex()) == 2
    )  # names begin at 2: the first is that of the beginning
    assert made.after((2).to_bytes(8, "big").hex()) is None


def test_a_seal_forgets_everything():
    """Names of secrets and of changes; places from before are known to be too old."""
    made = filled(3)
    _, name = made.now()
    made.forget_all()
    assert made.after(name) is None
    assert made.since(1, most=1) is None
    assert made.since(3, most=1) == []
    place, now = made.now()
    assert (place, made.after(now)) == (3, 3)
