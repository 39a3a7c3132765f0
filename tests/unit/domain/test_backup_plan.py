"""When backups are due, what they are called, and which go."""

import time

import pytest

from ml_secrets.domain.backup_plan import DAY, FEWEST, Made, Plan, made_of, name_of, next_time, surplus

NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC
STORE = "1a2b3c4d-0000-0000-0000-000000000000"


def made(*times):
    return [Made(str(time), "1a2b3c4d", time) for time in times]


def test_the_first_is_due_at_once():
    """Whatever the plan: a store without a backup needs one."""
    assert next_time(Plan(every=60), None) == 0.0
    assert next_time(Plan(every=0, at=60), None) == 0.0


def test_one_follows_the_other_by_the_interval():
    """From the newest one on, so that a clock that jumped ahead made one, and not one for each interval it left out."""
    assert next_time(Plan(every=3600), NOON) == NOON + 3600
    assert next_time(Plan(every=3600), NOON + 10 * DAY) == NOON + 10 * DAY + 3600


@pytest.mark.parametrize(
    ("at", "newest", "due"),
    [
        (13 * 3600, NOON, NOON + 3600),
        (11 * 3600, NOON, NOON + 23 * 3600),
        (12 * 3600, NOON, NOON + DAY),
        (12 * 3600, NOON - 1, NOON),
        (0, NOON, NOON + DAY // 2),
        (12 * 3600, NOON - 5 * DAY - 1, NOON - 5 * DAY),
    ],
)
def test_once_a_day_at_a_time(at, newest, due):
    """The next such moment after the newest one; one that was missed while no server ran is in the past, and so due."""
    assert next_time(Plan(every=0, at=at), newest) == due


def test_so_many_stay():
    """The newest; those from the future are let be."""
    plan = Plan(keep=2)
    assert surplus(plan, made(1, 4, 3, 2, NOON), 10) == made(2, 1)
    assert surplus(plan, made(1, 4), 10) == []


def test_they_stay_so_long():
    """But for the newest few, however old they are."""
    plan = Plan(keep_for=DAY)
    times = [NOON - number * DAY / 2 for number in range(6)]
    assert surplus(plan, made(*times), NOON) == made(*times[3:])
    assert surplus(plan, made(*times), NOON - DAY / 2) == made(*times[4:])
    assert surplus(plan, made(*times), NOON + 1000 * DAY) == made(*times[FEWEST:])
    assert surplus(Plan(keep_for=DAY * 3 // 2), made(*times), NOON) == made(*times[4:])


@pytest.fixture(params=["UTC", "Asia/Tokyo"])
def _zone(request, monkeypatch):
    """The zone that this machine is set to."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_zone")
def test_a_name_tells_store_and_time():
    """To the second, and back; whatever zone the machine is set to."""
    name = name_of(STORE, NOON + 0.9)
    assert name == "ml-secrets-1a2b3c4d-20231115T120000Z.snapshot"
    assert made_of(name) == Made(name, "1a2b3c4d", NOON)


@pytest.mark.parametrize(
    "name",
    [
        "one.snapshot",
        ".ml-secrets-1a2b3c4d-20231115T120000Z.snapshot.12.part",
        "ml-secrets-1a2b3c4d-20231315T120000Z.snapshot",
        "ml-secrets-1a2b3c4d-20231115T120000Z.snapshot\n",
        "ml-secrets-1A2B3C4D-20231115T120000Z.snapshot",
    ],
)
def test_other_names_are_not_ours(name):
    """So nothing of that name is ever removed."""
    assert made_of(name) is None
