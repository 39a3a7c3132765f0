"""The latest changes: so many and no more, each with a name that tells nothing."""

import os

from ml_secrets.registry import recent
from ml_secrets.registry.changes import Change
from ml_secrets.registry.recent import Recent


def change(path):
    return Change(("uuid", path), "secret/", "write", 0.0)


def filled(number):
    """With changes "1", "2", …"""
    made = Recent(os.urandom)
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


def test_so_many_are_kept():
    """What came before is known to be missing, but for the last one that was let go: all that followed it is there."""
    made = filled(2)
    gone, last_gone = (one.name for one in made.since(0, most=2))
    for number in range(3, recent.MOST + 3):
        made.add(change(str(number)))
    assert made.since(1, most=1) is None
    assert paths(made.since(2, most=1)) == ["3"]
    assert made.after(last_gone) == 2
    assert made.after(gone) is None


def test_names_tell_nothing_and_are_not_repeated():
    """Not how many there were; nor does another server, or the same one after a seal, give a change the same name."""
    made, other = filled(3), filled(3)
    names = [one.name for one in made.since(0, most=3)]
    made.forget_all()
    for number in range(4, 7):
        made.add(change(str(number)))
    names += [one.name for one in made.since(3, most=3)] + [one.name for one in other.since(0, most=3)]
    assert len(set(names)) == 9
    assert {len(name) for name in names} == {16}


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
