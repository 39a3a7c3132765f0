"""New encryption keys, by hand and by themselves."""

from concurrent.futures import ThreadPoolExecutor

from ml_secrets.contract.access import Rotation

FIVE = {"secret_shares": 5, "secret_threshold": 3}
ONE = {"secret_shares": 1, "secret_threshold": 1}


def test_rotate_makes_a_new_term(opened):
    """Old rows stay readable, the term grows, also after a restart."""
    opened.put("team/secret", b"kept")
    before = opened.opening.key_status()["term"]
    opened.opening.rotate()
    assert opened.opening.key_status()["term"] == before + 1
    assert opened.get("team/secret") == b"kept"
    opened.opening.seal()
    opened.unseal(opened.made["keys"][:3])
    assert opened.get("team/secret") == b"kept"
    assert opened.opening.key_status()["term"] == before + 1


def test_a_key_is_rotated_when_it_is_old_or_much_used(opened):
    """By default after 90 days; by count; and not at all when that is set."""
    opening = opened.opening
    assert not opening.rotate_if_due()
    opened.opening.rotate()
    assert not opening.rotate_if_due()
    opened.now += 90 * 24 * 3600 - 1
    assert not opening.rotate_if_due()
    opened.now += 1
    assert opening.rotate_if_due()
    assert not opening.rotate_if_due()
    opened.write(lambda unit: opening.set_rotation(unit, Rotation(max_operations=1, interval=0)))
    assert opening.rotate_if_due()
    opened.now += 10**9
    opened.write(lambda unit: opening.set_rotation(unit, Rotation(enabled=False)))
    assert not opening.rotate_if_due()
    assert opened.units.read(opening.rotation) == Rotation(enabled=False)
    opening.seal()
    assert not opening.rotate_if_due()


def test_a_key_is_rotated_after_exactly_so_many_writes(opened):
    """Not one earlier."""
    opening = opened.opening

    def used_after(most):
        opened.write(lambda unit: opening.set_rotation(unit, Rotation(max_operations=most)))
        return opening.key_status()["encryptions"]

    used, again = used_after(10**6), used_after(10**6)
    each = again - used
    assert used_after(again + each + 1) == again + each
    assert not opening.rotate_if_due()
    assert used_after(again + each + each) == again + each + each
    assert opening.rotate_if_due()


def test_a_key_that_is_rotated_by_itself_takes_the_writers_turn(opened, monkeypatch):
    """Who may not wait sees that it is taken, and begins nothing."""
    opening, rotate, begun = opened.opening, opened.barrier.rotate, []

    def rotate_and_look(now):
        with ThreadPoolExecutor(1) as other:
            begun.append(other.submit(opened.units.try_together).result(5))
        rotate(now)

    monkeypatch.setattr(opened.barrier, "rotate", rotate_and_look)
    opened.now += 90 * 24 * 3600
    assert opening.rotate_if_due()
    assert begun == [None]
