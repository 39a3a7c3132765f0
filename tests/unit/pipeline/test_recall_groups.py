"""Reads of several callers that are answered again together: one write to each log, and each by itself in all else."""

import json
import os
import resource

import pytest

from ml_secrets.barrier.opened import Opened
from ml_secrets.dialects.vault import repeats
from ml_secrets.dialects.vault.wire import HttpRequest
from ml_secrets.domain.audit_chain import verify
from ml_secrets.errors import TamperFault
from ml_secrets.testing.whole import Whole

NAMES = ("a", "b", "c", "d")
POLICY = 'path "secret/data/*" { capabilities = ["read"] }'


@pytest.fixture
def whole(tmp_path):
    """A server with four secrets, which the callers `ada` and `bob` may read, and the logs `first` and `second`."""
    server = Whole()
    server.logs = {name: tmp_path / f"{name}.log" for name in ("first", "second")}
    enable(server, "first")
    for name in NAMES:
        server.ask("POST", f"secret/data/{name}", {"data": {"value": f"fake-{name}"}})
    server.ask("PUT", "sys/policies/acl/reader", {"policy": POLICY})
    enable(server, "second")
    server.ada, server.bob = (token_of(server, ttl) for ttl in ("1h", "2h"))
    warm(server)
    yield server
    server.close()


def enable(whole, name):
    device = {"type": "file", "options": {"file_path": str(whole.logs[name])}}
    assert whole.ask("PUT", f"sys/audit/{name}", device).status == 204


def token_of(whole, ttl):
    made = whole.ask("POST", "auth/token/create", {"policies": ["reader"], "ttl": ttl})
    return made.json["auth"]["client_token"]


def warm(whole):
    """The next read of each secret, and of each token's own, by either caller is one that is answered again."""
    for _ in range(2):
        for token in (whole.ada, whole.bob):
            for path in (*(f"secret/data/{name}" for name in NAMES), "auth/token/lookup-self"):
                assert whole.ask("GET", path, token=token).status == 200


def read_of(name, token, *, address="127.0.0.1", method="GET", path="secret/data/"):
    headers = [(b"host", b"vault.test"), (b"x-vault-token", token.encode())]
    return HttpRequest(method, f"/v1/{path}{name}".encode(), b"", headers, (address, 1))


def together(whole, *requests):
    """The answers to these; None for each that has to go the whole way."""
    return [answer for answer, _ in repeats.answers(whole.server.pipeline, requests)]


def value_of(answer):
    return None if answer is None else json.loads(answer.body)["data"]["data"]["value"]


def values(whole, *requests):
    return [value_of(answer) for answer in together(whole, *requests)]


def lines(whole, name):
    return whole.logs[name].read_bytes().splitlines(keepends=True)


def assert_intact(whole, name):
    """The log verifies, and reaches as far as its device says."""
    devices = whole.house.devices
    key = devices.verification_key(f"{name}/")
    assert verify([(name, lines(whole, name))], keys=[key], head=devices.head(f"{name}/")).intact


@pytest.fixture
def writes(monkeypatch):
    """How often files were written to."""
    found, write = [], os.write

    def counted(file, data):
        found.append(len(data))
        return write(file, data)

    monkeypatch.setattr(os, "write", counted)
    return found


@pytest.fixture
def room():
    """No file may grow beyond a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_one_write_to_each_log_has_the_records_of_all(whole, writes):
    """In the order of the requests, the request ahead of its answer, each with its own id, caller and place; the chain holds."""
    asked = [read_of(name, token) for name in NAMES for token in (whole.ada, whole.bob)]
    asked[3].client = ("192.0.2.7", 2)
    answers = together(whole, *asked)
    assert len(writes) == 2
    assert [value_of(one) for one in answers] == [f"fake-{name}" for name in NAMES for _ in range(2)]
    for log in whole.logs:
        told = [json.loads(line) for line in lines(whole, log)[-16:]]
        assert [one["type"] for one in told] == ["request", "response"] * 8
        ids = [json.loads(one.body)["request_id"] for one in answers]
        assert [one["request"]["id"] for one in told] == [one for one in ids for _ in range(2)]
        assert [one["request"]["path"] for one in told[::4]] == [f"secret/data/{name}" for name in NAMES]
        tokens = [one["request"]["client_token"] for one in told[::2]]
        assert tokens == tokens[:2] * 4
        assert tokens[0] != tokens[1]
        assert [one["request"]["remote_address"] for one in told].count("192.0.2.7") == 2
        assert told[6]["request"]["remote_port"] == told[7]["request"]["remote_port"] == 2
        assert_intact(whole, log)


def test_each_is_looked_at_by_itself(whole, writes):
    """What cannot be answered again goes the whole way under its name, and keeps none of the others from their answers."""
    whole.now += 3600  # ada's token ends
    no_read = read_of("b", whole.bob, method="LIST")
    asked = (
        read_of("a", whole.ada),
        read_of("a", whole.bob),
        no_read,
        read_of("nothing", whole.bob),
        read_of("c", whole.bob),
    )
    found = repeats.answers(whole.server.pipeline, asked)
    assert [value_of(answer) for answer, _ in found] == [None, "fake-a", None, None, "fake-c"]
    assert [bool(name) for _, name in found] == [True, True, False, True, True]
    assert len(writes) == 2


def test_each_caller_is_shown_its_own(whole):
    """A token that looks itself up beside others sees itself."""
    itself = {"path": "auth/token/"}
    asked = [read_of("lookup-self", token, **itself) for token in (whole.bob, whole.ada, whole.bob)]
    shown = [json.loads(answer.body)["data"]["id"] for answer in together(whole, *asked)]
    assert shown == [whole.bob, whole.ada, whole.bob]


def test_every_one_counts(whole):
    """As many reads are counted as were answered."""
    before = whole.house.counters.requests["read", "ok"]
    together(whole, *(read_of(name, whole.ada) for name in NAMES), read_of("nothing", whole.ada))
    assert whole.house.counters.requests["read", "ok"] == before + 4


def test_nothing_asked_writes_nothing(whole, writes):
    """Nor does a group of which none can be answered again."""
    assert together(whole) == []
    assert together(whole, read_of("nothing", whole.ada), read_of("a", "hvs.fake-unknown")) == [None, None]
    assert writes == []


def test_a_log_that_fails_in_the_middle_of_a_group_has_none_of_it(whole, room):
    """The other log has all of it, so all are answered; once there is room again, the first one goes on without a gap in its chain."""
    before = lines(whole, "first"), lines(whole, "second")
    assert len(b"".join(before[0])) > len(b"".join(before[1])) + 12_000  # so the second has room for all
    room(len(b"".join(before[0])) + 3_000)  # one and a half of the reads
    asked = [read_of(name, whole.ada) for name in NAMES]
    assert values(whole, *asked) == [f"fake-{name}" for name in NAMES]
    assert lines(whole, "first") == before[0]
    assert len(lines(whole, "second")) == len(before[1]) + 8
    assert whole.house.devices.degraded == ["first/"]
    room(resource.RLIM_INFINITY)
    assert values(whole, *asked) == [f"fake-{name}" for name in NAMES]
    assert whole.house.devices.degraded == []
    for log in whole.logs:
        assert_intact(whole, log)


def test_without_a_log_none_of_a_group_is_answered(whole, room):
    """Both logs fail in its middle: nobody has data, whole lines are left, and nothing counts as read."""
    whole.ask("DELETE", "sys/audit/second")
    warm(whole)
    before, counted = lines(whole, "first"), whole.house.counters.requests["read", "ok"]
    room(len(b"".join(before)) + 3_000)
    asked = [read_of(name, whole.ada) for name in NAMES]
    found = repeats.answers(whole.server.pipeline, asked)
    assert [answer for answer, _ in found] == [None] * 4
    assert all(name for _, name in found)
    assert lines(whole, "first") == before
    assert whole.house.counters.requests["read", "ok"] == counted
    room(resource.RLIM_INFINITY)
    assert values(whole, *asked) == [f"fake-{name}" for name in NAMES]
    assert_intact(whole, "first")


def test_without_devices_a_group_is_answered(whole, writes):
    """As single reads are."""
    for name in whole.logs:
        whole.ask("DELETE", f"sys/audit/{name}")
    warm(whole)
    writes.clear()
    assert values(whole, read_of("a", whole.ada), read_of("b", whole.bob)) == ["fake-a", "fake-b"]
    assert writes == []


@pytest.fixture
def at_the_second(monkeypatch):
    """Do something while the second value of a group is opened."""

    def arrange(act):
        reveal, seen = Opened.reveal, []

        def acting(opened, row, context):
            seen.append(row)
            if len(seen) == 2:
                monkeypatch.setattr(Opened, "reveal", reveal)
                act()
            return reveal(opened, row, context)

        monkeypatch.setattr(Opened, "reveal", acting)

    return arrange


def test_those_that_a_writer_overtook_go_the_whole_way(whole, at_the_second):
    """The others were answered of the state before it, and have their records."""
    at_the_second(lambda: whole.ask("POST", "secret/data/c", {"data": {"value": "fake-new"}}))
    asked = [read_of(name, whole.ada) for name in NAMES]
    assert values(whole, *asked) == ["fake-a", "fake-b", None, None]
    told = [json.loads(line)["request"]["path"] for line in lines(whole, "first")[-6:]]
    assert told == ["secret/data/c"] * 2 + ["secret/data/a"] * 2 + ["secret/data/b"] * 2
    assert whole.ask("GET", "secret/data/c", token=whole.ada).json["data"]["data"] == {"value": "fake-new"}
    assert values(whole, *asked) == [None] * 4


def test_a_server_that_seals_meanwhile_answers_none(whole, at_the_second):
    """Not even those whose values had been opened."""
    at_the_second(whole.server.opening.seal)
    before = lines(whole, "first")
    assert values(whole, *(read_of(name, whole.ada) for name in NAMES)) == [None] * 4
    assert lines(whole, "first") == before


def test_a_row_that_does_not_open_is_told_by_itself(whole, at_the_second):
    """Its read goes the whole way, which says what is wrong; the others are answered."""

    def fail():
        raise TamperFault("a sealed record does not open")

    at_the_second(fail)
    found = values(whole, *(read_of(name, whole.ada) for name in NAMES))
    assert found == ["fake-a", None, "fake-c", "fake-d"]


def test_an_unforeseen_error_sends_all_the_whole_way(whole, monkeypatch):
    """Without a record there is no answer, whatever the reason."""

    def fails(*_):
        raise ValueError("fake-canary")

    monkeypatch.setattr(whole.house.devices, "again", fails)
    assert values(whole, *(read_of(name, whole.ada) for name in NAMES)) == [None] * 4
