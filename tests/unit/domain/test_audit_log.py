"""Rows and reports from logs, ours and OpenBao's."""

import json

import pytest

from ml_secrets.domain.audit_log import Filter, Row, rows, seconds, tally

ADA = {
    "client_token": "hmac-sha256:aaaaaaaaaaaaaaaa",
    "accessor": "hmac-sha256:bbbb",
    "display_name": "userpass-ada",
}
ADA |= {"metadata": {"username": "ada"}, "entity_id": "e-1", "policy_results": {"allowed": True}}


def record(
    type_,
    number,
    *,
    auth=ADA,
    path="secret/data/app",
    operation="read",
    time="2026-11-25T01:00:00.5Z",
    **more,
):
    request = {
        "id": f"r{number}",
        "operation": operation,
        "path": path,
        "remote_address": "10.0.0.1",
        "remote_port": 1,
    }
    return (
        json.dumps({"time": time, "type": type_, "auth": auth, "request": request, **more}).encode() + b"\n"
    )


def both(number, **more):
    return [record("request", number, **more), record("response", number, **more)]


def refused(auth=ADA, **more):
    return {**auth, "policy_results": {"allowed": False}, **more}


LOG = [
    b'{"time":"t","type":"segment","segment":{}}\n',
    *both(1),
    *both(2, operation="update", time="2026-11-25T02:00:00Z"),
    *both(
        3,
        auth=refused(),
        path="secret/data/other",
        error="1 error occurred",
        reason="no rule matches",
        time="2026-11-25T03:00:00Z",
    ),
    *both(4, operation="list", path="kv/metadata/", error="store failed"),
    record("request", 5, operation="delete"),
]


def test_a_row_is_a_request_with_its_end():
    """Request and response are one row: who, what, when, from where, and how it ended."""
    found = list(rows(LOG))
    assert [(row.id, row.who, row.operation, row.path, row.outcome, row.line) for row in found] == [
        ("r1", "userpass-ada", "read", "secret/data/app", "done", 3),
        ("r2", "userpass-ada", "update", "secret/data/app", "done", 5),
        ("r3", "userpass-ada", "read", "secret/data/other", "denied", 7),
        ("r4", "userpass-ada", "list", "kv/metadata/", "failed", 9),
        ("r5", "userpass-ada", "delete", "secret/data/app", "unfinished", 10),
    ]
    assert found[2].reason == "no rule matches"
    assert [row.error for row in found] == ["", "", "1 error occurred", "store failed", ""]
    assert found[0].address == "10.0.0.1"
    assert [row.allowed for row in found] == [True, True, False, True, True]


def test_what_is_no_record_is_shown_as_such():
    """A foreign line becomes a row, shown whatever is filtered, and not counted."""
    junk = [
        b"junk\n",
        b"[]\n",
        b'{"type":5}\n',
        b"[" * 5000,
        b'{"type":"other"}\n',
        b'{"type":"request","auth":3}\n',
    ]
    found = list(rows(junk))
    assert [row.outcome for row in found] == ["unreadable"] * 4 + ["unfinished"]
    assert [row.line for row in found] == [1, 2, 3, 4, 6]
    assert {row.error for row in found[:4]} == {"this line is no record of an audit log"}
    assert all(Filter(who="nobody").admits(row) for row in found[:4])
    assert [one.times for one in tally(found)] == [1]


@pytest.mark.parametrize(
    ("which", "ids"),
    [
        (Filter(), ["r1", "r2", "r3", "r4", "r5"]),
        (Filter(path="secret/"), ["r1", "r2", "r3", "r5"]),
        (Filter(allowed=False), ["r3"]),
        (Filter(allowed=True), ["r1", "r2", "r4", "r5"]),
        (Filter(since=seconds("2026-11-25T02:00:00Z")), ["r2", "r3"]),
        (Filter(until=seconds("2026-11-25T01:00:00.6Z")), ["r1", "r4", "r5"]),
        (Filter(since=seconds("2026-11-25T01:30:00Z"), until=seconds("2026-11-25T03:00:00Z")), ["r2"]),
        (Filter(who="userpass-ada", path="kv"), ["r4"]),
        (Filter(who="ada", path="kv"), ["r4"]),
        (Filter(who="e-1", path="kv"), ["r4"]),
        (Filter(who="hmac-sha256:bb", path="kv"), ["r4"]),
        (Filter(who="hmac-sha256:c"), []),
        (Filter(who="userpass"), []),
    ],
)
def test_rows_are_filtered(which, ids):
    """By time, path, identity (name, entity, metadata, start of a hash) and whether they were let."""
    assert [row.id for row in rows(LOG) if which.admits(row)] == ids


def test_identities_without_a_name():
    """Without a display name the token's hash stands in, shortened; without a token it is anonymous."""
    unnamed = {"client_token": "hmac-sha256:0123456789abcdef"}
    log = [
        *both(1, auth=unnamed),
        *both(2, auth={"token_type": "default"}, error="permission denied"),
        *both(3, auth={}, error="bad"),
    ]
    assert [(row.who, row.outcome) for row in rows(log)] == [
        ("hmac-sha256:0123456789ab", "done"),
        ("anonymous", "denied"),
        ("anonymous", "failed"),
    ]


def test_a_token_is_known_by_its_request_too():
    """Where the record of who it was has no hash of it."""
    line = {
        "type": "response",
        "auth": {},
        "request": {"id": "r1", "client_token": "hmac-sha256:0123456789abcdef"},
    }
    (row,) = rows([json.dumps(line).encode()])
    assert row.who == "hmac-sha256:0123456789ab"
    assert Filter(who="hmac-sha256:0123").admits(row)


def test_a_response_without_its_request_is_told():
    """The request may be in an older log."""
    (row,) = rows([record("response", 7)])
    assert (row.id, row.outcome, row.line) == ("r7", "done", 1)


def test_a_row_has_the_time_of_its_request():
    """However long it took."""
    log = [
        record("request", 1, time="2026-11-25T01:00:00Z"),
        record("response", 1, time="2026-11-25T02:00:00Z"),
    ]
    assert [row.time for row in rows(log)] == ["2026-11-25T01:00:00Z"]


def test_a_login_is_told_under_the_name_it_gave():
    """The response of a login names who logged in; what only the request knew is kept."""
    log = [record("request", 1, auth={"token_type": "default"}), record("response", 1)]
    assert next(rows(log)).who == "userpass-ada"
    log = [record("request", 1), record("response", 1, auth={})]
    (row,) = rows(log)
    assert row.who == "userpass-ada"
    assert "e-1" in row.identities


def test_a_devices_test_record_is_no_request():
    """What a device writes when it is enabled is not told as a request."""
    test = b'{"time":"t","type":"request","request":{"id":"1","path":"sys/audit/test"}}\n'
    assert list(rows([test])) == []
    assert [row.id for row in rows([test, *both(1), test, *both(2)])] == ["r1", "r2"]


def test_a_request_is_told_though_another_has_its_id():
    """Nobody hides a request from the list by one more line with its id, or without any."""
    log = [record("request", 1), *both(1), *[b'{"type":"request","request":{"path":"kv/a"}}\n'] * 2]
    assert [(row.id, row.outcome) for row in rows(log)] == [
        ("r1", "unfinished"),
        ("r1", "done"),
        ("", "unfinished"),
        ("", "unfinished"),
    ]


def test_memory_stays_bounded():
    """Requests without a response are given up, oldest first, before there are too many of them."""
    found = list(rows(record("request", number) for number in range(10_050)))
    assert len(found) == 10_050
    assert found[0].id == "r0"
    log = [record("request", number) for number in range(10_000)]
    found = list(rows([*log, record("response", 0)]))
    assert (len(found), found[0].outcome) == (10_000, "done")


def test_a_tally_counts_who_did_what_to_which_path():
    """Requests, refusals and failures, by identity, operation and path; most often first."""
    log = [*LOG, *both(6, auth={**ADA, "display_name": "ci"}, path="secret/data/app")]
    found = {(one.who, one.operation, one.path): one for one in tally(rows(log))}
    assert sum(one.times for one in found.values()) == 6
    assert sum(one.denied for one in found.values()) == 1
    assert sum(one.failed for one in found.values()) == 1
    assert found["ci", "read", "secret/data/app"].times == 1
    first = tally(rows(log))[0]
    assert first.times == max(one.times for one in found.values())
    assert first.first <= first.last
    assert first.addresses == sorted(set(first.addresses))


def test_a_tally_adds_up():
    """Of rows that are alike: how many, how many denied, how many failed, when first and last, and from where, each once."""
    log = [
        *both(1, time="2026-11-25T02:00:00Z"),
        *both(2, auth=refused(), error="no", time="2026-11-25T01:00:00Z"),
        *both(3, auth=refused(), error="no", time="2026-11-25T04:00:00Z"),
        *both(4, error="store failed"),
        *both(5, error="store failed", time="2026-11-25T03:00:00Z"),
        *both(6, path="kv/rare"),
    ]
    often, rare = tally(rows(log))
    assert (often.times, often.denied, often.failed) == (5, 2, 2)
    assert (often.first, often.last) == ("2026-11-25T01:00:00.5Z", "2026-11-25T04:00:00Z")
    assert (rare.path, rare.times, rare.addresses) == ("kv/rare", 1, ["10.0.0.1"])


def test_a_tally_has_each_address_once():
    """In order, and none for rows without one."""
    asked = [
        Row(line=1, outcome="done", address=address) for address in ("10.0.0.2", "10.0.0.1", "", "10.0.0.2")
    ]
    (one,) = tally(asked)
    assert (one.times, one.addresses) == (4, ["10.0.0.1", "10.0.0.2"])


def test_times_are_read():
    """RFC 3339 with any number of digits; what is no time sorts first."""
    assert seconds("1970-01-01T00:00:01.500000001Z") == 1.5
    assert seconds("yesterday") == 0.0
