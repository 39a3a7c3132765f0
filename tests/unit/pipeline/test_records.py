"""What the audit log says of a request that failed: whoever was refused has the error in both records, others in the answer's."""

import json

import pytest

from ml_secrets.domain.instant import rfc3339
from ml_secrets.storage.interface import Moved


@pytest.fixture
def logged(server, tmp_path):
    """Ask, and give the two records of that."""
    log = tmp_path / "log"
    server.ask("POST", "secret/data/app", {"data": {"key": "FAKE-value"}})
    server.ask("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": str(log)}})

    def ask(method, path, body=None, **more):
        server.ask(method, path, body, **more)
        return [json.loads(line) for line in log.read_text().splitlines()[-2:]]

    return ask


@pytest.mark.parametrize(
    ("method", "path", "body", "refused"),
    [
        ("GET", "secret/data/app", None, False),
        ("GET", "secret/data/app?version=x", None, True),
        ("POST", "secret/data/app", {"data": 5}, True),
        ("POST", "secret/data/app", {"data": {}, "options": {"cas": 7}}, True),
    ],
)
def test_who_was_let_in_is_recorded_as_that(logged, method, path, body, refused):
    """What then failed is in the answer's record alone."""
    asked, answered = logged(method, path, body)
    assert ("error" in asked, "error" in answered) == (False, refused)
    assert asked["auth"]["policy_results"]["allowed"] is True


@pytest.mark.parametrize("path", ["sys/nothing", "nowhere/app"])
def test_what_leads_nowhere_is_refused_at_the_door(logged, path):
    """Although who asks may do everything."""
    asked, answered = logged("GET", path)
    assert asked["error"] == answered["error"]


def test_a_read_that_is_done_again_is_recorded_as_it_ended(server, logged, monkeypatch):
    """A writer overtook it after it was let in, and took the right away: then it was refused."""
    house, overtaken = server.house, []
    rights_of, store_of = house.policies.rights_of, house.store_of

    def overtake(unit, mount):
        if not overtaken:
            overtaken.append(mount)
            raise Moved
        return store_of(unit, mount)

    monkeypatch.setattr(house, "store_of", overtake)
    monkeypatch.setattr(
        house.policies, "rights_of", lambda unit, token: rights_of(unit, None if overtaken else token)
    )
    asked, answered = logged("GET", "secret/data/app")
    assert len(overtaken) == 1
    assert (asked["request"]["path"], asked["error"]) == ("secret/data/app", answered["error"])
    assert asked["auth"]["policy_results"]["allowed"] is False


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_is_recorded_as_of_the_moment_that_it_saw(server, logged, monkeypatch, method):
    """However long it took from there."""
    store_of, then = server.house.store_of, rfc3339(server.now)

    def slowly(unit, mount):
        server.now += 5
        return store_of(unit, mount)

    monkeypatch.setattr(server.house, "store_of", slowly)
    asked, _ = logged(method, "secret/data/app", {"data": {}} if method == "POST" else None)
    assert asked["time"].startswith(then[:-1])


def test_a_moment_is_recorded_to_the_microsecond(server, logged):
    """Also just before a second is full."""
    for fraction in (0.0, 0.25, 0.999999):
        server.now = 1_700_000_000 + fraction
        asked, _ = logged("GET", "secret/data/app")
        assert asked["time"] == f"2023-11-14T22:13:{20 + fraction:09.6f}Z"


def test_an_answer_says_of_what_kind_its_mount_is(server):
    """A patch of nothing has no body."""
    server.ask("POST", "secret/data/app", {"data": {"key": "FAKE-value"}})
    for path, kind in (
        ("secret/data/app", "kv"),
        ("auth/token/lookup-self", "token"),
        ("sys/mounts", "system"),
    ):
        assert server.ask("GET", path).json["mount_type"] == kind
    missing = server.ask("PATCH", "secret/data/none", {"data": {}})
    assert (missing.status, missing.body) == (404, b"")


def test_requests_are_counted_by_verb_and_end(server, monkeypatch):
    """A refusal is the caller's, a failure ours."""
    requests = server.house.counters.requests
    before = requests.copy()
    server.ask("POST", "secret/data/app", {"data": {}})
    server.ask("GET", "secret/data/app")
    server.ask("GET", "secret/data/none")
    monkeypatch.setattr(server.house, "store_of", None)
    server.ask("LIST", "secret/metadata")
    assert dict(requests - before) == {
        ("write", "ok"): 1,
        ("read", "ok"): 1,
        ("read", "refused"): 1,
        ("list", "failed"): 1,
    }
