"""KV version 2: dates of secrets, set with their metadata, shown by `due`, warned of when they have passed."""

import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ml_secrets.domain import dates
from ml_secrets.engines.kv import calendar, pages, rows
from ml_secrets.errors import TamperFault
from ml_secrets.testing.whole import Whole

DAY = 86_400


@pytest.fixture
def server():
    """An open server."""
    whole = Whole()
    yield whole
    whole.close()


def write(server, path, mount="secret", **said):
    """A secret with these dates."""
    assert server.ask("POST", f"{mount}/data/{path}", {"data": {"v": "fake"}}).status == 200
    if said:
        assert server.ask("POST", f"{mount}/metadata/{path}", said).status in (200, 204)


def shown(server, path):
    """The dates that the metadata shows."""
    data = server.ask("GET", f"secret/metadata/{path}").data
    return {name: data[name] for name in ("expires_at", "rotate_every", "rotate_at") if name in data}


def due(server, query="within=30d", token=None, mount="secret"):
    """Names that are due."""
    answer = server.ask("GET", f"{mount}/due?{query}", **({} if token is None else {"token": token}))
    assert answer.status in (200, 404)
    return [] if answer.status == 404 else answer.data["keys"]


def mounts(server):
    with server.house.units.write() as unit:
        for mount in server.house.mounts.table(unit).by_path.values():
            if (mount.options or {}).get("version") == "2":
                yield mount, server.house.store_of(unit, mount), server.house.opaque_of(unit, mount)


def check_calendar(server, paths):
    """The calendar has just the dates that the secrets have noted, under their names."""
    for mount, store, opaque in mounts(server):
        wanted = {}
        for path in paths:
            secret = rows.find(store, path)
            if secret is not None:
                wanted |= {calendar.name_of(secret, *date): path for date in secret.noted.items()}
                assert secret.noted.items() >= dates.in_force(secret, server.now).items()
        found = {name: calendar.entry(opaque, name).path for name in opaque.list(calendar.FOLDER)}
        assert found == wanted, mount.path


# ── setting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_dates_are_shown_where_they_are_set(server):
    """In RFC 3339 and Go's durations; a secret without them looks as Vault's do."""
    write(server, "app")
    assert shown(server, "app") == {}
    server.ask(
        "POST", "secret/metadata/app", {"expires_at": "2027-01-31T12:00:00+01:00", "rotate_every": "90d"}
    )
    assert shown(server, "app") == {
        "expires_at": "2027-01-31T11:00:00Z",
        "rotate_every": "2160h0m0s",
        "rotate_at": "2024-02-12T22:13:20Z",
    }
    detailed = server.ask("GET", "secret/detailed-metadata?list=true").data["key_info"]["app"]
    assert detailed["expires_at"] == "2027-01-31T11:00:00Z"


def test_a_patch_changes_one_and_null_or_empty_takes_it_away(server):
    """What is left out stays, in a POST, too."""
    write(server, "app", expires_at="90d", rotate_every=DAY, rotate_at="2023-12-01")
    server.ask("PATCH", "secret/metadata/app", {"rotate_at": "2023-12-02"})
    server.ask("POST", "secret/metadata/app", {"max_versions": 3})
    assert shown(server, "app") == {
        "expires_at": "2024-02-12T22:13:20Z",
        "rotate_every": "24h0m0s",
        "rotate_at": "2023-12-02T00:00:00Z",
    }
    server.ask("PATCH", "secret/metadata/app", {"expires_at": None, "rotate_every": None})
    assert shown(server, "app") == {}
    server.ask("PATCH", "secret/metadata/app", {"expires_at": "1d", "rotate_at": "2d"})
    server.ask("POST", "secret/metadata/app", {"expires_at": "", "rotate_at": None})
    assert shown(server, "app") == {}
    assert server.rows("open/mount/") == [row for row in server.rows("open/mount/") if "/dates/" not in row]


@pytest.mark.parametrize(
    "body",
    [
        {"expires_at": "soon"},
        {"expires_at": 1_900_000_000},
        {"rotate_at": "1900000000"},
        {"rotate_every": "often"},
        {"rotate_every": -1},
        {"expires_at": ["2027-01-31"]},
    ],
)
def test_what_is_no_date_is_refused_whole(server, body):
    """With the field's name, and nothing changes."""
    write(server, "app")
    answer = server.ask("POST", "secret/metadata/app", body | {"max_versions": 7})
    assert answer.status == 400
    assert next(iter(body)) in answer.errors[0]
    assert server.ask("GET", "secret/metadata/app").data["max_versions"] == 0


def test_dates_count_as_a_change_of_metadata(server):
    """They ask for the metadata's own check-and-set, and move its number on."""
    write(server, "app", metadata_cas_required=True)
    assert server.ask("POST", "secret/metadata/app", {"expires_at": "1d"}).status == 400
    assert server.ask("POST", "secret/metadata/app", {"expires_at": "1d", "metadata_cas": 1}).status == 204
    assert server.ask("GET", "secret/metadata/app").data["current_metadata_version"] == 2


def test_a_new_version_is_a_rotation_and_keeps_the_expiry(server):
    """A put and a patch; whoever writes is told that the date of the expiry stayed."""
    write(server, "app", expires_at="2027-01-31", rotate_every="10d")
    server.now += DAY
    answer = server.ask("POST", "secret/data/app", {"data": {"v": "fake-2"}})
    assert answer.json["warnings"] == [
        "expires_at stays 2027-01-31T00:00:00Z: set it anew if this version ends at another time"
    ]
    assert shown(server, "app")["rotate_at"] == "2023-11-25T22:13:20Z"
    server.now += DAY
    server.ask("PATCH", "secret/data/app", {"data": {"w": "fake"}})
    assert shown(server, "app")["rotate_at"] == "2023-11-26T22:13:20Z"
    assert shown(server, "app")["expires_at"] == "2027-01-31T00:00:00Z"


def test_metadata_first_then_data(server):
    """Dates wait for the first version, which is no rotation and gets no warning."""
    server.ask("POST", "secret/metadata/app", {"expires_at": "5d", "rotate_at": "3d"})
    assert due(server) == []
    assert server.ask("POST", "secret/data/app", {"data": {}}).json["warnings"] is None
    assert due(server) == ["app"]
    assert shown(server, "app")["rotate_at"] == "2023-11-17T22:13:20Z"


# ── reading what has expired ────────────────────────────────────────────────────────────────────────────────────────


def test_an_expired_secret_is_read_with_a_warning(server):
    """Nothing breaks at night: the same status, data and ETag as before; older versions have no warning."""
    write(server, "app", expires_at="1d")
    write(server, "app")
    before = server.ask("GET", "secret/data/app")
    assert before.json["warnings"] is None
    server.now += DAY
    after = server.ask("GET", "secret/data/app")
    assert after.json["warnings"] == ["this secret expired on 2023-11-15T22:13:20Z"]
    assert (after.status, after.data, after.headers["etag"]) == (200, before.data, before.headers["etag"])
    assert server.ask("GET", "secret/data/app?version=1").json["warnings"] is None
    server.ask("PATCH", "secret/metadata/app", {"expires_at": "1d"})
    assert server.ask("GET", "secret/data/app").json["warnings"] is None


def test_a_batch_has_the_warning_beside_its_secret(server):
    """The first time and when it is answered again."""
    write(server, "app", expires_at="1d")
    write(server, "other")
    server.now += DAY
    for _ in range(4):
        results = server.ask("POST", "sys/batch", {"paths": ["secret/data/app", "secret/data/other"]}).data[
            "results"
        ]
        assert [result.get("warnings") for result in results] == [
            ["this secret expired on 2023-11-15T22:13:20Z"],
            None,
        ]


# ── what is due ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_due_has_the_most_urgent_first(server):
    """By the earliest of its dates, each secret once, and nothing beyond the time that is asked for."""
    write(server, "later", expires_at="40d")
    write(server, "b", expires_at="20d", custom_metadata={"owner": "ada", "contact": "#b", "other": "x"})
    write(server, "a", expires_at="25d", rotate_every="10d")
    write(server, "none")
    write(server, "past", rotate_at="2023-11-01")
    assert due(server) == ["past", "a", "b"]
    assert due(server, "within=0") == ["past"]
    assert due(server, "within=41d") == ["past", "a", "b", "later"]
    answer = server.ask("GET", "secret/due")
    assert answer.data["key_info"] == {
        "past": {"rotate_at": "2023-11-01T00:00:00Z", "overdue": True, "current_version": 1},
        "a": {
            "expires_at": "2023-12-09T22:13:20Z",
            "rotate_every": "240h0m0s",
            "rotate_at": "2023-11-24T22:13:20Z",
            "overdue": False,
            "current_version": 1,
        },
        "b": {
            "expires_at": "2023-12-04T22:13:20Z",
            "overdue": False,
            "current_version": 1,
            "owner": "ada",
            "contact": "#b",
        },
    }
    assert "fake" not in json.dumps(answer.json)
    assert due(server, mount="secret", query="within=0&limit=5") == ["past"]


def test_due_shows_what_the_caller_may_read_the_metadata_of(server, as_user):
    """Under whatever wide right to ask; a right on data, a list, or one with conditions is not enough."""
    for path in ("a/x", "b/x", "c/x", "d/x"):
        write(server, path, expires_at="1d")
    ask = 'path "secret/due" { capabilities = ["read"] }\n'
    rules = """
        path "secret/metadata/b/*" { capabilities = ["read"] }
        path "secret/data/*" { capabilities = ["read"] }
        path "secret/metadata/c/*" { capabilities = ["list"] }
        path "secret/metadata/d/*" { capabilities = ["read"]  required_parameters = ["why"] }
    """
    assert server.ask("GET", "secret/due", token=as_user(rules)).status == 403
    assert due(server, token=as_user(ask)) == []
    assert due(server, token=as_user(ask + rules)) == ["b/x"]


def test_pages_of_due(server, as_user, monkeypatch):
    """By limit, and by the work that a request may do; the cursor is sealed, and this list's alone."""
    for number in range(5):
        write(server, f"a/{number}", expires_at=f"{number + 1}d", rotate_at=f"{number + 10}d")
        write(server, f"b/{number}", expires_at=f"{number + 1}d")
    token = as_user(
        'path "secret/due" { capabilities = ["read"] }\npath "secret/metadata/a/*" { capabilities = ["read"] }'
    )
    monkeypatch.setattr(pages.Walk.__init__, "__kwdefaults__", {"depth": 0, "looks": 25})
    for limit in (1, 3, 1000):
        found, cursor, rounds = [], "", 0
        while rounds < 50:
            query = f"within=30d&limit={limit}{cursor and f'&cursor={cursor}'}"
            data = server.ask("GET", f"secret/due?{query}", token=token).data
            found, cursor, rounds = found + data["keys"], data.get("next", ""), rounds + 1
            if not cursor:
                break
        assert found == [f"a/{number}" for number in range(5)]
    cursor = server.ask("GET", "secret/due?limit=1").data["next"]
    assert server.ask("GET", f"secret/search?query=x&cursor={cursor}").status == 400


def test_due_looks_at_no_more_than_is_due(server, monkeypatch):
    """A thousand dates beyond the time cost nothing."""
    write(server, "near", expires_at="1d")
    for number in range(100):
        write(server, f"far/{number}", expires_at="99d")
    monkeypatch.setattr(pages.Walk.__init__, "__kwdefaults__", {"depth": 0, "looks": 30})
    answer = server.ask("GET", "secret/due")
    assert answer.data["keys"] == ["near"]
    assert "next" not in answer.data


def test_what_cannot_be_read_is_not_due(server):
    """Deleted, dead by itself, destroyed; undeleted it is again."""
    write(server, "app", expires_at="3d")
    server.ask("DELETE", "secret/data/app")
    assert due(server) == []
    server.ask("POST", "secret/undelete/app", {"versions": [1]})
    assert due(server) == ["app"]
    server.ask("POST", "secret/metadata/app", {"delete_version_after": "4d"})
    write(server, "app")
    assert due(server) == ["app"]
    server.now += 4 * DAY
    assert due(server) == []
    server.ask("POST", "secret/metadata/app", {"delete_version_after": 0})
    server.ask("POST", "secret/undelete/app", {"versions": [2]})
    assert due(server) == ["app"]
    server.ask("POST", "secret/destroy/app", {"versions": [2]})
    assert due(server) == []


def test_dates_go_along(server):
    """With a move, within a mount and to another; a copy has its own; out of the trash they come back."""
    server.ask("POST", "sys/mounts/other", {"type": "kv-v2"})
    write(server, "app", expires_at="3d", rotate_every="2d")
    server.ask("POST", "secret/move/app", {"to": "team/app"})
    assert due(server) == ["team/app"]
    server.ask("POST", "secret/copy/team/app", {"to": "copy", "mount": "other"})
    server.ask("POST", "secret/move/team/app", {"to": "moved", "mount": "other"})
    assert due(server) == []
    assert sorted(due(server, mount="other")) == ["copy", "moved"]
    server.ask("DELETE", "other/metadata/copy")
    assert due(server, mount="other") == ["moved"]
    server.ask("POST", "other/config", {"trash_retention": "1d"})
    server.ask("DELETE", "other/metadata/moved")
    assert due(server, mount="other") == []
    server.ask("POST", "other/restore/moved")
    assert due(server, mount="other") == ["moved"]
    check_calendar(server, ["app", "team/app", "copy", "moved"])


def test_a_row_that_is_missing_is_said(server):
    """Somebody took a row of the calendar out of the store: a move does not go over it in silence."""
    write(server, "app", expires_at="3d")
    for _, store, opaque in mounts(server):
        [name] = opaque.list(calendar.FOLDER)
        opaque.delete(calendar.FOLDER + name)
        with pytest.raises(TamperFault):
            calendar.rename(opaque, rows.find(store, "app"), "b")


class Calendar(RuleBasedStateMachine):
    """Whatever happens to secrets, the calendar is in line with them."""

    NAMES = ("a", "b", "c/d")
    name = st.sampled_from(NAMES)
    date = st.sampled_from(["", "1h", "5d", "2023-11-01", "2024-03-01", None])

    def __init__(self):
        super().__init__()
        self.server = Whole()
        self.server.ask("POST", "secret/config", {"trash_retention": "5d", "max_versions": 2})

    def teardown(self):
        self.server.close()

    @rule(name=name)
    def write(self, name):
        self.server.ask("POST", f"secret/data/{name}", {"data": {}})

    @rule(name=name, at=date, every=st.sampled_from(["0", "1h", "90d", None]), next_=date)
    def date_(self, name, at, every, next_):
        sent = {"expires_at": at, "rotate_every": every, "rotate_at": next_}
        self.server.ask("PATCH", f"secret/metadata/{name}", sent)

    @rule(name=name, after=st.sampled_from(["0", "2h", "30d"]))
    def dies(self, name, after):
        self.server.ask("POST", f"secret/metadata/{name}", {"delete_version_after": after})

    @rule(name=name, verb=st.sampled_from(["delete", "undelete", "destroy"]), number=st.integers(1, 4))
    def version(self, name, verb, number):
        self.server.ask("POST", f"secret/{verb}/{name}", {"versions": [number]})

    @rule(name=name)
    def remove(self, name):
        self.server.ask("DELETE", f"secret/metadata/{name}")

    @rule(name=name)
    def restore(self, name):
        self.server.ask("POST", f"secret/restore/{name}")

    @rule(name=name, to=name, verb=st.sampled_from(["move", "copy"]))
    def carry(self, name, to, verb):
        self.server.ask("POST", f"secret/{verb}/{name}", {"to": to})

    @rule(seconds=st.sampled_from([1800, 86_400, 10 * 86_400]))
    def wait(self, seconds):
        self.server.now += seconds

    @invariant()
    def in_line(self):
        check_calendar(self.server, self.NAMES)
        wanted = {
            name
            for _, store, _ in mounts(self.server)
            for name in self.NAMES
            if (secret := rows.find(store, name)) is not None
            and (earliest := dates.first(dates.in_force(secret, self.server.now))) is not None
            and earliest[1] < self.server.now + 30 * DAY
        }
        assert set(due(self.server)) == wanted


TestCalendar = Calendar.TestCase
TestCalendar.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
