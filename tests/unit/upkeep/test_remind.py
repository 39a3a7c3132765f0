"""Reminders of dates of secrets: each told once, at the distances of its mount, to listeners, log and metrics."""

import logging

import pytest

from ml_secrets.engines.kv import calendar
from ml_secrets.testing.whole import Whole
from ml_secrets.upkeep import remind

DAY = 86_400


class Told:
    """What a server tells of, since the last look."""

    def __init__(self, server):
        self.server, self.heard = server, []
        server.house.changes.listen(self.heard.append)

    def days(self, count, **options):
        """Let days go by, one round or more each; [(day, kind, path)] of what was told of."""
        found = []
        for day in range(1, count + 1):
            self.server.now += DAY
            found += [(day, kind, path) for kind, path in self.rounds(**options)]
        return found

    def rounds(self, **options):
        """Rounds until nothing is left; [(kind, path)]."""
        self.heard.clear()
        while remind.run_once(self.server.house, self.server.now, **options):
            pass
        return [(change.kind, change.path) for change in self.heard]


@pytest.fixture
def told(server):
    """What it tells of."""
    return Told(server)


def write(server, path, mount="secret", **said):
    assert server.ask("POST", f"{mount}/data/{path}", {"data": {"v": "fake-value"}}).status == 200
    assert server.ask("POST", f"{mount}/metadata/{path}", said).status in (200, 204)


def test_a_date_is_told_of_at_each_distance_once(server, told):
    """A month, a week and a day before, and when it has come; not before, and never again."""
    write(server, "app", expires_at="40d")
    assert told.rounds() == []
    assert told.days(60) == [
        (10, "due", "app"),
        (33, "due", "app"),
        (39, "due", "app"),
        (40, "expired", "app"),
    ]


def test_a_rotation_is_told_of_like_an_expiry(server, told):
    """Each date by itself; a rotation that does not come is overdue, and one that comes begins anew."""
    write(server, "app", expires_at="8d", rotate_every="3d")
    assert told.days(5) == [(1, "due", "app"), (2, "due", "app"), (3, "overdue", "app")]
    server.ask("POST", "secret/data/app", {"data": {"v": "fake-value-2"}})
    assert told.days(4) == [
        (2, "due", "app"),
        (2, "due", "app"),
        (3, "expired", "app"),
        (3, "overdue", "app"),
    ]


def test_what_had_come_before_the_date_was_set_is_not_told(server, told):
    """Who sets a date in five days need not hear that it is within a week."""
    write(server, "app", expires_at="5d")
    assert told.rounds() == []
    assert told.days(6) == [(4, "due", "app"), (5, "expired", "app")]


def test_a_date_that_is_set_in_the_past_is_told_at_once(server, told):
    """In the answer, and to listeners; no round tells it again, nor does another change."""
    server.ask("POST", "secret/data/app", {"data": {}})
    server.now += 3 * DAY
    told.heard.clear()
    body = {"rotate_every": "2d", "expires_at": "2023-11-01"}
    answer = server.ask("POST", "secret/metadata/app", body)
    assert answer.json["warnings"] == ["the secret is expired already", "the secret is overdue already"]
    assert [change.kind for change in told.heard] == ["metadata", "expired", "overdue"]
    assert told.rounds() == []
    assert server.ask("POST", "secret/metadata/app", {"max_versions": 3}).status == 204
    assert told.days(40) == []


def test_after_a_long_stop_each_date_is_told_of_once(server, told):
    """At the smallest distance that it has come to."""
    write(server, "past", expires_at="40d")
    write(server, "soon", expires_at="66d")
    write(server, "near", expires_at="80d")
    write(server, "far", expires_at="99d")
    server.now += 60 * DAY
    assert sorted(told.rounds()) == [("due", "near"), ("due", "soon"), ("expired", "past")]
    assert told.rounds() == []


def test_a_restart_tells_nothing_twice(tmp_path):
    """What was told is in the store; what came meanwhile is told."""
    server = Whole(tmp_path / "store")
    write(server, "app", expires_at="40d")
    assert Told(server).days(34) == [(10, "due", "app"), (33, "due", "app")]
    server.reopen()
    told = Told(server)
    assert told.rounds() == []
    assert told.days(7) == [(5, "due", "app"), (6, "expired", "app")]
    server.close()


def test_a_moved_date_counts_anew(server, told):
    """Put off, it is told of at its new distances; a secret that moves is told of by its new name."""
    write(server, "app", expires_at="31d")
    assert told.days(25) == [(1, "due", "app"), (24, "due", "app")]
    server.ask("POST", "secret/metadata/app", {"expires_at": "8d"})
    server.ask("POST", "secret/move/app", {"to": "new"})
    assert told.days(10) == [(1, "due", "new"), (7, "due", "new"), (8, "expired", "new")]


def test_what_is_gone_is_not_told_of(server, told):
    """Deleted, removed, without its date, or dead by itself before it comes."""
    for path in ("deleted", "removed", "undated", "kept"):
        write(server, path, expires_at="31d")
    server.ask("POST", "secret/metadata/dies", {"expires_at": "31d", "delete_version_after": "10d"})
    server.ask("POST", "secret/data/dies", {"data": {}})
    server.ask("DELETE", "secret/data/deleted")
    server.ask("DELETE", "secret/metadata/removed")
    server.ask("POST", "secret/metadata/undated", {"expires_at": ""})
    assert {path for _, _, path in told.days(40)} == {"kept"}


def test_a_secret_that_dies_after_its_date_leaves_the_calendar(server, told):
    """Until then it is overdue; then no count has it any more, and its row is gone."""
    server.ask("POST", "secret/metadata/app", {"expires_at": "2d", "delete_version_after": "5d"})
    server.ask("POST", "secret/data/app", {"data": {}})
    assert told.days(3) == [(1, "due", "app"), (2, "expired", "app")]
    assert server.house.counters.due == {"secret/": {("expiry", "overdue"): 1}}
    assert told.days(3) == []
    assert server.house.counters.due == {}
    assert [row for row in server.rows("open/mount/") if "/dates/" in row] == []


def test_a_mount_says_when_it_is_reminded(server, told):
    """Other distances count from now on, for dates that stand already, too; without any, only what has come."""
    write(server, "app", expires_at="40d")
    assert server.ask("POST", "secret/config", {"reminders": "2d,50d,2d"}).status == 204
    assert server.ask("GET", "secret/config").data["reminders"] == ["1200h0m0s", "48h0m0s"]
    assert told.days(39) == [(38, "due", "app")]
    write(server, "b", expires_at="60d")
    server.ask("POST", "secret/config", {"reminders": ["70d", "55d"]})
    assert told.days(20) == [(1, "expired", "app"), (5, "due", "b")]
    server.ask("POST", "secret/config", {"reminders": []})
    assert server.ask("GET", "secret/config").data["reminders"] == []
    assert told.days(41) == [(40, "expired", "b")]
    server.ask("POST", "secret/config", {"reminders": "30d,7d,1d"})
    assert "reminders" not in server.ask("GET", "secret/config").data


@pytest.mark.parametrize("reminders", ["soon", "-1d", ",".join(f"{n}d" for n in range(1, 12))])
def test_reminders_that_make_no_sense_are_refused(server, reminders):
    """No durations, or too many."""
    assert server.ask("POST", "secret/config", {"reminders": reminders}).status == 400


def test_upkeep_works_in_rounds(server, told, monkeypatch):
    """However many dates come in one moment, a round tells of a bounded number; each is told of once."""
    monkeypatch.setattr(calendar, "_AT_ONCE", 4)
    for number in range(25):
        write(server, f"app{number}", expires_at="31d")
    server.now += 2 * DAY
    rounds = 0
    told.heard.clear()
    while remind.run_once(server.house, server.now, limit=10):
        rounds += 1
    assert rounds == 3
    assert sorted(change.path for change in told.heard) == sorted(f"app{number}" for number in range(25))
    server.now += 40 * DAY
    assert len(told.rounds(limit=7)) == 25


def test_a_round_without_news_writes_nothing(server, told):
    """So what reads remember of the store holds."""
    write(server, "app", expires_at="31d")
    told.days(2)
    stamp = server.house.units.stamp
    assert told.rounds() == []
    assert server.house.units.stamp == stamp


def test_the_log_has_counts_and_no_names(server, told, caplog):
    """One line for a mount and round."""
    server.ask("POST", "sys/mounts/team", {"type": "kv-v2"})
    for path in ("one", "two"):
        write(server, path, expires_at="31d")
    write(server, "three", expires_at="2d")
    write(server, "four", mount="team", rotate_every="36h")
    server.now += 1.2 * DAY
    with caplog.at_level(logging.INFO, "ml_secrets"):
        told.rounds()
    assert sorted(record.message for record in caplog.records) == [
        "secret/ has 1 date of a secret due within 1 day, 2 dates of secrets due within 30 days",
        "team/ has 1 date of a secret due within 1 day",
    ]
    server.ask("POST", "secret/config", {"reminders": "36h"})
    server.now += DAY
    caplog.clear()
    with caplog.at_level(logging.INFO, "ml_secrets"):
        told.rounds()
    assert sorted(record.message for record in caplog.records) == [
        "secret/ has 1 date of a secret overdue",
        "team/ has 1 date of a secret overdue",
    ]
    assert "fake-value" not in caplog.text


def test_metrics_count_what_is_due_by_mount(server, told):
    """As JSON and for Prometheus, and no name of a secret."""
    server.ask("POST", 'sys/mounts/te"am', {"type": "kv-v2"})
    server.ask("POST", "sys/mounts/quiet", {"type": "kv-v2"})
    write(server, "a", expires_at="5d", rotate_every="60d")
    write(server, "b", expires_at="2023-11-01")
    write(server, "c", mount='te"am', rotate_at="20d")
    told.rounds()
    text = server.ask("GET", "sys/metrics?format=prometheus").body.decode()
    assert [line for line in text.splitlines() if line.startswith("ml_secrets_secrets")] == [
        'ml_secrets_secrets_due{mount="secret/",date="expiry"} 1',
        'ml_secrets_secrets_due{mount="secret/",date="rotation"} 0',
        'ml_secrets_secrets_due{mount="te\\"am/",date="expiry"} 0',
        'ml_secrets_secrets_due{mount="te\\"am/",date="rotation"} 1',
        'ml_secrets_secrets_overdue{mount="secret/",date="expiry"} 1',
        'ml_secrets_secrets_overdue{mount="secret/",date="rotation"} 0',
        'ml_secrets_secrets_overdue{mount="te\\"am/",date="expiry"} 0',
        'ml_secrets_secrets_overdue{mount="te\\"am/",date="rotation"} 0',
    ]
    gauges = server.ask("GET", "sys/metrics").json["Gauges"]
    assert {
        "Name": "ml_secrets.secrets_due",
        "Value": 1,
        "Labels": {"mount": "secret/", "date": "expiry"},
    } in gauges


def test_a_mount_that_is_disabled_while_upkeep_looks_is_left_alone(server, told, monkeypatch):
    """Nothing is told of it, and the round goes on with the others."""
    server.ask("POST", "sys/mounts/team", {"type": "kv-v2"})
    write(server, "a", expires_at="31d")
    write(server, "b", mount="team", expires_at="31d")
    server.now += 2 * DAY
    read = server.house.units.read

    def then_disable(work):
        found = read(work)
        if work.__name__ == "look" and server.ask("GET", "sys/mounts/secret").status == 200:
            server.ask("DELETE", "sys/mounts/secret")
        return found

    monkeypatch.setattr(server.house.units, "read", then_disable)
    assert told.rounds() == [("due", "b")]


def test_a_secret_whose_row_was_taken_out_is_passed_over(server, told):
    """The others are told of; verifying the store says what is missing."""
    write(server, "a", expires_at="31d")
    write(server, "b", expires_at="31d")
    with server.house.units.write() as unit:
        mount = server.house.mounts.table(unit).by_path["secret/"]
        server.house.store_of(unit, mount).delete("meta/a")
    assert told.days(2) == [(1, "due", "b")]
