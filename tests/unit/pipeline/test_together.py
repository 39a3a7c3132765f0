"""Changes that share a commit: each as if it had come alone. All of it holds in one thread, and with the commit in another."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from ml_secrets.audit.sinks import SinkFault
from ml_secrets.contract.operation import Verb
from ml_secrets.dialects.vault import wire
from ml_secrets.engines.kv.rows import META
from ml_secrets.errors import (
    AuditFault,
    Conflict,
    Denied,
    Fault,
    Invalid,
    Sealed,
    StoreFault,
    StoreFull,
    TamperFault,
)
from ml_secrets.testing.programs import ROOT_TOKEN


@pytest.fixture
def log(server, tmp_path):
    """A file that records."""
    path = tmp_path / "log"
    server.ask("POST", "sys/audit/file", {"type": "file", "options": {"file_path": str(path)}})
    return path


def change(method, path, body=None, token=ROOT_TOKEN):
    data = json.dumps(body).encode() if body is not None else b""
    http = wire.HttpRequest(
        method, b"/v1/" + path.encode(), b"", [(b"x-vault-token", token.encode())], ("127.0.0.1", 5), data
    )
    request = wire.blank(http)
    wire.read(http, request)
    return request


def put(name, value, **options):
    return change("POST", f"secret/data/{name}", {"data": {"key": value}, "options": options})


@pytest.fixture(params=["one thread", "two threads"], autouse=True)
def commits_elsewhere(request):
    """Whether the commit is another thread's."""
    global _elsewhere  # noqa: PLW0603 - `all_of` is called from everywhere here
    _elsewhere = request.param == "two threads"


def all_of(server, *requests):
    pipeline = server.server.pipeline
    commit = pipeline.begin_all(requests) if _elsewhere else None
    if commit is None:
        return pipeline.handle_all(requests)
    with ThreadPoolExecutor(1) as other:
        return other.submit(commit).result()


_elsewhere = False


def value(server, name):
    answer = server.ask("GET", f"secret/data/{name}")
    return answer.data["data"]["key"] if answer.status == 200 else None


def records(log):
    return [one for one in map(json.loads, log.read_text().splitlines()) if one["type"] != "segment"]


def test_changes_that_come_together_share_one_commit(server):
    """Eight writes: eight answers, and the store has moved on once."""
    before = server.house.units.stamp
    outcomes = all_of(server, *(put(f"s{number}", "FAKE") for number in range(8)))
    assert [outcome.error for outcome in outcomes] == [None] * 8
    assert [value(server, f"s{number}") for number in range(8)] == ["FAKE"] * 8
    one = server.house.units.stamp - before
    all_of(server, put("alone", "FAKE"))
    assert server.house.units.stamp - before == 2 * one


def test_each_sees_what_those_before_it_did(server):
    """In the order they came: the second version after the first, and a policy before the token that it lets write."""
    outcomes = all_of(server, put("app", "one", cas=0), put("app", "two", cas=1), put("app", "no", cas=1))
    assert [outcome.error is None for outcome in outcomes] == [True, True, False]
    assert [outcome.response.data["version"] for outcome in outcomes[:2]] == [1, 2]
    assert isinstance(outcomes[2].error, Invalid | Conflict)
    assert value(server, "app") == "two"


def test_rights_given_and_taken_hold_for_those_that_follow(server, token_of):
    """A policy that is changed counts for the next request already, and one that failed counts for none."""
    policy = 'path "secret/data/app" { capabilities = ["create", "update"] }'
    server.ask("POST", "sys/policies/acl/p", {"policy": policy})
    token = token_of(policies=["p"], ttl="1h")
    outcomes = all_of(
        server,
        change("POST", "secret/data/app", {"data": {"key": "a"}}, token=token),
        change("POST", "sys/policies/acl/p", {"policy": 'path "secret/data/app" { nonsense }'}),
        change("POST", "secret/data/app", {"data": {"key": "b"}}, token=token),
        change("POST", "sys/policies/acl/p", {"policy": 'path "x" { capabilities = ["read"] }'}),
        change("POST", "secret/data/app", {"data": {"key": "c"}}, token=token),
        change("POST", "auth/token/revoke", {"token": token}),
        change("POST", "secret/data/app", {"data": {"key": "d"}}, token=token),
    )
    assert [outcome.error is None for outcome in outcomes] == [True, False, True, True, False, True, False]
    assert isinstance(outcomes[4].error, Denied)
    assert value(server, "app") == "b"


def test_what_fails_undoes_what_it_did_and_no_more(server, monkeypatch):
    """A request that crashes after it wrote leaves nothing behind: rows, names and caches are as those before it left them."""
    wrap, crashing = server.house.wrapping.keep, []

    def crash(unit, *what, **more):
        if crashing:
            raise RuntimeError("FAKE crash")
        return wrap(unit, *what, **more)

    monkeypatch.setattr(server.house.wrapping, "keep", crash)
    server.ask("POST", "secret/data/old", {"data": {"key": "old"}})
    crashing.append(True)
    doomed = put("new/deep", "FAKE"), put("old", "FAKE"), change("DELETE", "secret/metadata/old")
    for request in doomed:
        request.wrap_ttl = 60
    outcomes = all_of(server, put("a", "FAKE"), *doomed, put("b", "FAKE"))
    assert [outcome.error is None for outcome in outcomes] == [True, False, False, True, True]
    assert server.ask("LIST", "secret/metadata").data["keys"] == ["a", "b"]
    assert server.server.barrier.verify().clean


def rewrite_and_crash(server, unit):
    """Give a secret another name, and fail."""
    store = server.house.store_of(unit, server.house.mounts.table(unit).by_path["secret/"])
    store.put(f"{META}new/deep", b"FAKE")
    store.put(f"{META}old/deep", b"FAKE")
    store.delete(f"{META}old/deep")
    raise RuntimeError("FAKE crash")


def test_names_come_back_when_their_removal_is_undone(server):
    """The names that a failed request removed are listed again, the values are there, and the store verifies."""
    server.ask("POST", "secret/data/old/deep", {"data": {"key": "old"}})
    units = server.house.units
    with units.together():
        with pytest.raises(RuntimeError), units.write() as unit:
            rewrite_and_crash(server, unit)
        with units.write() as unit:
            unit.tx.put("open/other", b"FAKE")
    assert server.ask("LIST", "secret/metadata/old").data["keys"] == ["deep"]
    assert value(server, "old/deep") == "old"
    assert server.server.barrier.verify().clean


def test_all_are_recorded_before_the_commit_and_in_their_order(server, log, monkeypatch):
    """One write for all of them; what each asked for and what came of it stand next to each other."""
    device, writes = server.house.devices.cast[0], []
    write = device.write
    monkeypatch.setattr(
        device, "write", lambda *what: (writes.append(server.house.units.stamp), write(*what))
    )
    before, known = server.house.units.stamp, len(records(log))
    all_of(server, put("a", "FAKE"), put("a", "FAKE", cas=7), put("b", "FAKE"))
    assert writes == [before]
    told = [(one["type"], one["request"]["path"], "error" in one) for one in records(log)[known:]]
    assert told == [
        ("request", "secret/data/a", False),
        ("response", "secret/data/a", False),
        ("request", "secret/data/a", False),
        ("response", "secret/data/a", True),
        ("request", "secret/data/b", False),
        ("response", "secret/data/b", False),
    ]


def test_when_nobody_records_nothing_is_kept(server, log, monkeypatch):
    """All of them get a 503, and the store is as it was."""

    device = server.house.devices.cast[0]
    write, refusals = device.write, []

    def refuse_once(*what):
        if not refusals:
            refusals.append(what)
            raise SinkFault("FAKE: no space left")
        write(*what)

    monkeypatch.setattr(device, "write", refuse_once)
    outcomes = all_of(server, put("a", "FAKE"), put("b", "FAKE"))
    assert [isinstance(outcome.error, AuditFault) for outcome in outcomes] == [True, True]
    monkeypatch.undo()
    assert ["error" in one for one in records(log)[-4:]] == [False, True] * 2
    assert [value(server, "a"), value(server, "b")] == [None, None]


def test_a_full_disk_fails_all_and_corrects_the_log(server, log, monkeypatch):
    """The log had them as done: each gets another record that says it was not, and the refused one stays refused."""

    def full(*_):
        raise StoreFull("the disk is full: nothing was written")

    monkeypatch.setattr(server.server.storage._rows.committed, "store", full)
    outcomes = all_of(server, put("a", "FAKE"), put("b", "FAKE"))
    assert [isinstance(outcome.error, StoreFull) for outcome in outcomes] == [True, True]
    monkeypatch.undo()
    assert [value(server, "a"), value(server, "b")] == [None, None]
    told = [
        one for one in records(log) if one["request"]["path"] == "secret/data/a" and one["type"] == "response"
    ]
    assert ["error" in one for one in told[:2]] == [False, True]
    asked = [one["request"]["path"] for one in records(log) if one["type"] == "request"]
    assert (
        asked.count("secret/data/a") == 2
    )  # the write and the read of it: what was recorded is not asked again


def test_a_log_that_turns_its_page_amid_them_says_when(server, log):
    """The key of the log's chain changes every hour; also when it is several at once that come then."""
    server.now += 7200
    all_of(server, put("a", "FAKE"), put("b", "FAKE"))
    opened = [one for one in map(json.loads, log.read_text().splitlines()) if one["type"] == "segment"]
    assert [one["time"][:19] for one in opened] == ["2023-11-14T22:13:20", "2023-11-15T00:13:20"]


def test_a_store_that_fails_on_the_way_fails_all(server, monkeypatch):
    """A row that cannot be read is the end of the server: nothing that came with that request is kept."""
    store_of, calls = server.house.store_of, []

    def broken(unit, mount):
        calls.append(mount)
        if len(calls) > 3:
            raise StoreFault("the disk cannot be read")
        return store_of(unit, mount)

    monkeypatch.setattr(server.house, "store_of", broken)
    outcomes = all_of(server, *(put(f"s{number}", "FAKE") for number in range(6)))
    assert all(isinstance(outcome.error, StoreFault) for outcome in outcomes)
    assert server.server.opening.sealed


def test_a_sealed_server_says_so_to_each(server):
    """Sealed before, or in between: 503 for all of them, and what may be asked of a sealed server is answered."""
    server.server.opening.seal()
    outcomes = all_of(server, put("a", "FAKE"), change("GET", "sys/seal-status"))
    assert isinstance(outcomes[0].error, Sealed)
    assert outcomes[1].error is None


def test_the_seal_overtakes_those_that_wait(server, monkeypatch):
    """Sealed while they are at it: nothing is kept, and each is told."""
    record_all = server.house.devices.record_all

    def seal_first(bundle):
        record_all(bundle)
        server.server.barrier.seal()

    monkeypatch.setattr(server.house.devices, "record_all", seal_first)
    outcomes = all_of(server, put("a", "FAKE"), put("b", "FAKE"))
    assert [isinstance(outcome.error, Sealed) for outcome in outcomes] == [True, True]


def test_a_token_of_one_use_is_used_once(server, token_of):
    """Two requests with it in one commit: the first has its effect, the second is refused."""
    token = token_of(policies=["root"], num_uses=1, ttl="1h")
    outcomes = all_of(
        server,
        change("POST", "secret/data/a", {"data": {"key": "1"}}, token=token),
        change("POST", "secret/data/b", {"data": {"key": "2"}}, token=token),
    )
    assert [outcome.error is None for outcome in outcomes] == [True, False]
    assert [value(server, "a"), value(server, "b")] == ["1", None]


def test_what_came_to_be_slow_is_not_run_as_a_change(server):
    """A login that hashes a password among them (its mount changed meanwhile, say) still hashes and logs in."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    server.ask("POST", "auth/userpass/users/ann", {"password": "FAKE-password"})
    login = change("POST", "auth/userpass/login/ann", {"password": "FAKE-password"}, token="")
    outcomes = all_of(server, put("a", "FAKE"), login)
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert outcomes[1].response.auth["metadata"] == {"username": "ann"}


def test_reads_among_them_are_answered(server):
    """A read that was sent along sees the store as it is committed."""
    server.ask("POST", "secret/data/a", {"data": {"key": "old"}})
    read = change("GET", "secret/data/a")
    assert read.verb is Verb.READ
    outcomes = all_of(server, put("a", "new"), read)
    assert [outcome.error for outcome in outcomes] == [None, None]


def damage(server, key):
    """Somebody changes the row behind the barrier's back."""
    with server.house.units.write() as unit:
        unit.tx.put(key, b"FAKE old")
    with server.server.storage.begin(write=True) as tx:
        tx.put(key, b"FAKE damage")


def row(server, key):
    with server.server.barrier.begin(write=False) as tx:
        return tx.get(key)


def test_a_damaged_row_can_be_replaced_together_with_others_as_well_as_alone(server):
    """What is there need not open for that."""
    units = server.house.units
    damage(server, "open/x")
    with units.together(), units.write() as unit:
        unit.tx.put("open/x", b"FAKE new")
    assert row(server, "open/x") == b"FAKE new"


def test_a_damaged_row_that_was_replaced_is_as_it_was_when_that_is_undone(server):
    """It shows again that it is damaged, and what others did beside it is kept."""
    units = server.house.units
    damage(server, "open/x")
    with units.together():
        with units.write() as unit:
            unit.tx.put("open/y", b"FAKE")
        with suppress(RuntimeError), units.write() as unit:
            unit.tx.put("open/x", b"FAKE new")
            raise RuntimeError("FAKE crash")
    with pytest.raises(TamperFault):
        row(server, "open/x")
    assert row(server, "open/y") == b"FAKE"


def test_nobody_waits_to_begin(server, log, monkeypatch):
    """Where a writer has the turn, the store is sealed or recording waits, nothing is begun, and nothing is recorded."""
    pipeline, house = server.server.pipeline, server.house

    def is_refused(name):
        before = len(records(log))
        return pipeline.begin_all([put(name, "FAKE")]) is None and len(records(log)) == before

    with house.units.write():
        assert is_refused("a")
    with house.units.turn():
        assert is_refused("a")
    first = pipeline.begin_all([put("a", "first")])
    assert is_refused("a")
    assert [outcome.error for outcome in first()] == [None]
    assert value(server, "a") == "first"
    with socket.socket(type=socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        options = {"address": f"127.0.0.1:{far.getsockname()[1]}", "socket_type": "udp"}
        server.ask("PUT", "sys/audit/far", {"type": "socket", "options": options})
        assert is_refused("a")
        server.ask("DELETE", "sys/audit/far")
    monkeypatch.setattr(server.server.opening, "_open", False)
    assert not server.server.barrier.sealed  # while it opens, nothing is recorded yet
    assert is_refused("a")
    server.server.opening.seal()
    assert is_refused("a")
    monkeypatch.setattr(server.server.opening, "_open", True)
    assert is_refused("a")


def test_a_writer_of_another_thread_waits_for_the_commit(server):
    """What it writes meanwhile is no part of what was begun, and comes after it."""
    pipeline, house = server.server.pipeline, server.house
    commit = pipeline.begin_all([put("a", "first", cas=0)])
    written = []
    other = threading.Thread(target=lambda: written.append(pipeline.handle(put("a", "second", cas=1)).error))
    other.start()
    other.join(0.1)
    assert not written
    assert commit()[0].error is None
    other.join(5)
    assert written == [None]
    assert value(server, "a") == "second"
    assert house.units.try_together() is not None


def test_the_seal_overtakes_what_was_begun(server):
    """Its commit is refused, and the turn is free."""
    commit = server.server.pipeline.begin_all([put("a", "FAKE")])
    server.server.opening.seal()
    assert [type(outcome.error) for outcome in commit()] == [Sealed]
    assert [type(outcome.error) for outcome in all_of(server, put("b", "FAKE"))] == [Sealed]


def test_what_follows_a_commit_may_write_again(server):
    """It is done by the thread that commits, which still has the turn: the seal, say, that writes where the store is."""
    pipeline = server.server.pipeline
    commit = pipeline.begin_all([put("a", "FAKE"), change("PUT", "sys/seal")])
    with ThreadPoolExecutor(1) as other:
        assert [outcome.error for outcome in other.submit(commit).result(5)] == [None, None]
    assert server.server.opening.sealed


def test_what_nobody_foresaw_lets_the_turn_go(server, monkeypatch):
    """A failure while they are made, or at their commit, is answered to each, and the next writer has the turn."""
    pipeline, house = server.server.pipeline, server.house

    def broken(*_):
        raise RuntimeError("FAKE")

    with monkeypatch.context() as patch:
        patch.setattr(house.devices, "record_all", broken)
        outcomes = pipeline.begin_all([put("a", "FAKE")])()
    assert [type(outcome.error) for outcome in outcomes] == [Fault]
    commit = pipeline.begin_all([put("a", "FAKE")])
    with monkeypatch.context() as patch:
        patch.setattr("ml_secrets.storage.staged._Rows.commit", broken)
        assert [type(outcome.error) for outcome in commit()] == [Fault]
    assert value(server, "a") is None
    assert all_of(server, put("a", "kept"))[0].error is None
    assert value(server, "a") == "kept"
