"""The dates of a secret: which are in force, and what a rotation does to them."""

import pytest
from msgspec.structs import replace

from ml_secrets.domain import dates
from ml_secrets.domain import version as model
from ml_secrets.domain.dates import END, EXPIRY, ROTATION
from ml_secrets.domain.version import Version

NOW = 100.0


def secret_of(*versions, **settings):
    secret = replace(model.create("0" * 32, 1.0), **settings)
    for version in versions:
        secret, _, _ = model.add(secret, version, keep=10)
    return secret


def made(at=10.0, **more):
    return Version(created=at, **more)


def settle(secret, **said):
    return dates.settle(secret, **dict.fromkeys(("expires_at", "rotate_every", "rotate_at")) | said)


def test_a_new_version_moves_the_rotation_on():
    """By the interval, from its own time; the expiry stays."""
    secret = settle(secret_of(made(10.0)), rotate_every=50, expires_at=500.0)
    assert (secret.rotate_at, secret.expires_at) == (60.0, 500.0)
    secret, _, _ = model.add(secret, made(30.0), keep=10)
    assert (secret.rotate_at, secret.expires_at) == (80.0, 500.0)


def test_a_rotation_without_an_interval_is_done_once():
    """The date goes with the version that it asked for."""
    secret = settle(secret_of(made()), rotate_at=60.0)
    secret, _, _ = model.add(secret, made(30.0), keep=10)
    assert (secret.rotate_at, secret.rotate_every) == (0.0, 0)


def test_the_first_version_is_no_rotation():
    """A date that was set before it stays; an interval begins with it."""
    assert secret_of(made(), rotate_at=60.0).rotate_at == 60.0
    assert secret_of(made(), rotate_at=60.0, rotate_every=5).rotate_at == 60.0
    assert secret_of(made(), rotate_every=5).rotate_at == 15.0
    assert settle(secret_of(), rotate_every=5).rotate_at == 0.0


@pytest.mark.parametrize(
    ("said", "every", "at"),
    [
        ({}, 50, 70.0),
        ({"rotate_every": 20}, 20, 30.0),
        ({"rotate_every": 20, "rotate_at": 99.0}, 20, 99.0),
        ({"rotate_at": 99.0}, 50, 99.0),
        ({"rotate_every": 0}, 0, 0.0),
        ({"rotate_every": 0, "rotate_at": 99.0}, 0, 99.0),
        ({"rotate_at": 0.0}, 50, 60.0),
    ],
)
def test_settings_of_the_rotation(said, every, at):
    """An interval counts from the current version, unless the next date is said, too; without either there is no date."""
    secret = settle(secret_of(made()), rotate_every=50, rotate_at=70.0)
    secret = settle(secret, **said)
    assert (secret.rotate_every, secret.rotate_at) == (every, at)


def test_an_expiry_is_set_and_taken_away():
    """It is the current version's; one that has its own goes by that."""
    secret = settle(secret_of(made(), made(20.0)), expires_at=500.0)
    assert (dates.expiry(secret, 1), dates.expiry(secret, 2)) == (0.0, 500.0)
    assert settle(secret, rotate_every=5).expires_at == 500.0
    assert settle(secret, expires_at=0.0).expires_at == 0.0
    own = secret_of(made(expires=70.0), made(20.0, expires=80.0), expires_at=500.0)
    assert (dates.expiry(own, 1), dates.expiry(own, 2)) == (70.0, 80.0)


def test_dates_are_in_force_while_there_is_something_to_read():
    """Not before the first version, not once it is deleted, disabled, destroyed or removed."""
    set_ = {"expires_at": 500.0, "rotate_at": 60.0}
    secret = secret_of(made(), **set_)
    assert dates.in_force(secret, NOW) == {EXPIRY: 500.0, ROTATION: 60.0}
    assert dates.in_force(secret_of(**set_), NOW) == {}
    assert dates.in_force(model.delete(secret, [1], 50.0), NOW) == {}
    assert dates.in_force(model.destroy(secret, [1])[0], NOW) == {}
    assert dates.in_force(model.remove(secret, 50.0, 60.0), NOW) == {}
    assert dates.in_force(secret_of(made(disabled=True), **set_), NOW) == {}


def test_what_dies_before_its_date_is_never_due():
    """And with what dies later, the end of its dates is known."""
    secret = secret_of(made(deleted=300.0), expires_at=500.0, rotate_at=200.0)
    assert dates.in_force(secret, NOW) == {ROTATION: 200.0, END: 300.0}
    assert dates.in_force(secret_of(made(deleted=300.0), expires_at=500.0), NOW) == {}
    assert dates.in_force(secret, 300.0) == {}
    assert dates.in_force(secret_of(made(deleted=300.0), expires_at=300.0), NOW) == {}


def test_the_first_date_to_act_on():
    """The end of them all is none."""
    assert dates.first({EXPIRY: 9.0, ROTATION: 8.0, END: 7.0}) == (ROTATION, 8.0)
    assert dates.first({EXPIRY: 8.0, ROTATION: 8.0}) == (EXPIRY, 8.0)
    assert dates.first({}) is None
