"""The audit trail in a whole server: real barrier, engines, policies and dialect; only the sockets are left out."""

import contextlib
import hashlib
import json
import logging
import os
import resource
import socket
import threading

import httpx
import pytest

from ml_secrets.barrier.barrier import Barrier
from ml_secrets.contract import Engine, Login, Response
from ml_secrets.dialects.vault import wire
from ml_secrets.domain.audit_chain import verify
from ml_secrets.domain.audit_log import rows
from ml_secrets.domain.token import TokenEntry, TokenParameters
from ml_secrets.engines.cubbyhole import ENGINE as CUBBYHOLE
from ml_secrets.engines.kv import KV1, KV2
from ml_secrets.engines.system import ENGINE as SYSTEM
from ml_secrets.errors import AuditFault, Invalid, Refusal
from ml_secrets.pipeline.devices import AuditTrail
from ml_secrets.pipeline.first_run import first_run
from ml_secrets.pipeline.handle import Pipeline
from ml_secrets.pipeline.house import House
from ml_secrets.pipeline.outcome import Outcome
from ml_secrets.pipeline.units import Units
from ml_secrets.registry.tokens import Keys
from ml_secrets.server.config import Config
from ml_secrets.server.settings import settings_of
from ml_secrets.storage.memory import MemoryStorage
from ml_secrets.testing.programs import free_port, openbao_program, running

ROOT = "root-token-for-tests"
BADGE = Engine("badge", summary="Lets in whoever says the magic word; for tests.")


@BADGE.write("login", public=True)
def login(ctx, word: str = "") -> Response:
    """Log in."""
    if word != "please":
        raise Invalid("that is not the word")
    return Response(login=Login("badge-ada", "ada", TokenParameters(), metadata={"badge": "7"}))


@BADGE.read("broken")
def broken(ctx) -> Response:
    """Fail with a secret in the exception, as careless code would."""
    raise ValueError("canary-in-exception")


class Server:
    """A server without sockets. `now` is its clock."""

    def __init__(self, configured=(), storage=None):
        self.now = 1_800_000_000.0
        self.storage = storage or MemoryStorage()
        self.barrier = Barrier(self.storage, os.urandom)
        self.units = Units(self.barrier, lambda: self.now)
        self.trail = AuditTrail(self.barrier.subkey, lambda: self.now, configured=configured)
        self.house = House(
            units=self.units,
            keys=Keys(self.barrier.subkey, self.barrier.seal_blob, self.barrier.open_blob),
            engines={"system": SYSTEM, "kv-v1": KV1, "kv-v2": KV2, "cubbyhole": CUBBYHOLE},
            auth_methods={"badge": BADGE},
            devices=self.trail,
            settings=settings_of(Config()),
            clock=lambda: self.now,
            random=os.urandom,
        )
        self.house.seal = self.barrier
        self.pipeline = Pipeline(self.house, wire.envelope)
        root_key = b"r" * 32
        if not self.barrier.initialized:
            self.barrier.initialize(root_key, b"")
            with self.units.write() as unit:
                first_run(self.house, unit, kv_at_secret=True, root_token=ROOT)
                self.house.mounts.add(unit, self.house.mounts.new("auth/badge/", "badge", now=self.now))
        elif self.barrier.sealed:
            self.barrier.unseal(root_key)
        self.units.read(self.trail.load)

    def ask(self, method, path, body=None, *, token=ROOT, headers=(), raw=None, query=b""):
        sent = [(name.encode(), value.encode()) for name, value in headers]
        if token:
            sent.append((b"x-vault-token", token.encode()))
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        http = wire.HttpRequest(method, b"/v1/" + path.encode(), query, sent, ("127.0.0.1", 5), data)
        request = wire.blank(http)
        try:
            wire.read(http, request)
        except Refusal as error:
            outcome = self.pipeline.reject(request, error)
        else:
            glance = self.pipeline.glance(request)
            outcome = glance if isinstance(glance, Outcome) else self.pipeline.handle(request)
        answer = wire.write(outcome, request)
        return answer.status, json.loads(answer.body) if answer.body else None

    def token(self, policy):
        """A token that may do what `policy` says."""
        assert self.ask("POST", "sys/policies/acl/p", {"policy": policy})[0] in (200, 204)
        entry = TokenEntry(
            accessor=f"a{os.urandom(4).hex()}",
            policies=("p",),
            path="t",
            created=self.now,
            expires=self.now + 1e6,
        )
        with self.units.write() as unit:
            return self.house.tokens.issue(unit, entry)


def records(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def told(path):
    """(operation, path, outcome) of each request in a log."""
    return [
        (row.operation, row.path, row.outcome) for row in rows(path.read_bytes().splitlines(keepends=True))
    ]


def check(server, *paths, device="file/", keyed=True):
    keys = [server.trail.verification_key(device)] if keyed else []
    return verify(
        [(p.name, p.read_bytes().splitlines(keepends=True)) for p in paths],
        keys=keys,
        head=server.trail.head(device),
    )


@pytest.fixture
def log(tmp_path):
    return tmp_path / "audit.log"


@pytest.fixture
def server(log):
    return Server([{"kind": "file", "path": "file", "file_path": str(log)}])


@contextlib.contextmanager
def full():
    """While inside, no file of this process can grow (the test runner's own output neither: leave before the test ends)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_every_request_is_told_once(server, log):
    """Writes, reads, listings, refusals, unknown paths and tokens: each is one request with its outcome, in one intact chain."""
    token = server.token('path "secret/data/mine" { capabilities = ["read"] }')
    assert server.ask("POST", "secret/data/app", {"data": {"k": "v"}})[0] == 200
    assert server.ask("GET", "secret/data/app")[0] == 200
    assert server.ask("LIST", "secret/metadata")[0] == 200
    assert server.ask("GET", "secret/data/nothing")[0] == 404
    assert server.ask("GET", "secret/data/app", token=token)[0] == 403
    assert server.ask("POST", "secret/data/app", {"data": {}}, token=token)[0] == 403
    assert server.ask("GET", "secret/data/app", token="unknown")[0] == 403
    assert server.ask("GET", "secret/data/app", token="")[0] == 403
    assert server.ask("GET", "nowhere/x")[0] == 404
    assert server.ask("DELETE", "secret/data/app")[0] == 204
    assert server.ask("POST", "secret/data/app", {"data": {}, "options": {"cas": 7}})[0] == 400
    assert told(log)[1:] == [
        ("create", "secret/data/app", "done"),
        ("read", "secret/data/app", "done"),
        ("list", "secret/metadata", "done"),
        ("read", "secret/data/nothing", "done"),
        ("read", "secret/data/app", "denied"),
        ("update", "secret/data/app", "denied"),
        ("read", "secret/data/app", "denied"),
        ("read", "secret/data/app", "denied"),
        ("read", "nowhere/x", "failed"),
        ("delete", "secret/data/app", "done"),
        ("update", "secret/data/app", "failed"),
    ]
    assert check(server, log).intact


def test_a_refusal_carries_the_decisions_reason(server, log):
    """The log says why a request was refused, in the words the caller was told."""
    token = server.token('path "secret/data/mine" { capabilities = ["read"] }')
    _, body = server.ask("GET", "secret/data/other", token=token)
    assert records(log)[-1]["reason"] == body["hint"]


def test_no_value_is_in_the_log(server, log):
    """Planted values, in bodies, queries, tokens, logins, wrapped answers, refused and unreadable requests, appear nowhere."""
    token = server.token('path "secret/data/*" { capabilities = ["create", "read", "update"] }')
    deep = {"a": "canary-1", "l": ["canary-2", {"x": "canary-3"}], "u": "canary-\u00e9"}
    server.ask("POST", "secret/data/app", {"data": deep}, token=token)
    server.ask("GET", "secret/data/app", token=token)
    server.ask("GET", "secret/data/app", token=token, query=b"fields=canary-4")
    server.ask("POST", "secret/metadata/app", {"custom_metadata": {"k": "canary-5"}}, token=token)
    server.ask("POST", "auth/badge/login", {"word": "canary-6"}, token="")
    server.ask("POST", "secret/data/app", raw=b'{"data": {"a": "canary-7", ', token=token)
    server.ask("POST", "secret/data/%2e%2e/canary-8", {"data": deep}, token=token)
    server.ask("GET", "secret/data/app", token="canary-9")
    server.ask("GET", "auth/badge/broken")
    status, body = server.ask("GET", "secret/data/app", token=token, headers=[("x-vault-wrap-ttl", "60")])
    assert status == 200
    wrapping = body["wrap_info"]["token"]
    status, body = server.ask("POST", "sys/wrapping/unwrap", {}, token=wrapping)
    assert body["data"]["data"] == deep
    status, body = server.ask("POST", "auth/badge/login", {"word": "please"}, token="")
    issued = body["auth"]
    server.ask("POST", "cubbyhole/x", {"v": "canary-10"}, token=issued["client_token"])
    text = log.read_text()
    for secret in ("canary", token, wrapping, issued["client_token"], issued["accessor"], ROOT):
        assert secret not in text
    assert check(server, log).intact


def test_a_login_is_told_with_its_name(server, log):
    """A login's response names who came in; a failed one is told too."""
    server.ask("POST", "auth/badge/login", {"word": "please"}, token="")
    request, response = records(log)[-2:]
    assert request["auth"] == {"policy_results": {"allowed": True}, "token_type": "default"}
    assert response["auth"]["display_name"] == "badge-ada"
    assert response["response"]["auth"]["client_token"] == response["auth"]["client_token"]
    server.ask("POST", "auth/badge/login", {"word": "no"}, token="")
    assert records(log)[-1]["error"] == "that is not the word"


def test_an_unforeseen_error_is_told_without_its_text(server, log):
    """A crash in an operation is recorded as a failure, without what the exception said."""
    status, _ = server.ask("GET", "auth/badge/broken")
    assert status == 500
    assert records(log)[-1]["error"] == "internal error"
    assert "canary" not in log.read_text()


def test_an_unreadable_request_is_told_without_what_was_sent(server, log):
    """1: a path that is not canonical is recorded as refused, and not repeated."""
    assert server.ask("GET", "secret/data/%2e%2e/team-b")[0] == 400
    record = records(log)[-1]
    assert record["request"]["path"] == ""
    assert record["error"]
    assert "team-b" not in log.read_text()


def test_a_write_is_told_before_it_happens(server, log):
    """Both records are in the log before the commit: nothing becomes durable that was not recorded."""
    record, revisions = server.trail.record, []

    def watched(*what):
        revisions.append(server.units.stamp)
        record(*what)
        assert [one["type"] for one in records(log)[-2:]] == ["request", "response"]
        assert records(log)[-1]["request"]["path"] == "secret/data/app"
        revisions.append(server.units.stamp)

    server.trail.record = watched
    assert server.ask("POST", "secret/data/app", {"data": {"k": "v"}})[0] == 200
    assert revisions[0] == revisions[1] < server.units.stamp


def test_a_full_device_stops_everything_before_effect(server, log):
    """105: with the only device full nothing is served or changed, health says 503, and all works again once there is room."""
    server.ask("POST", "secret/data/app", {"data": {"k": "old"}})
    size = log.stat().st_size
    with full():
        assert server.ask("POST", "secret/data/app", {"data": {"k": "new"}})[0] == 503
        status, body = server.ask("GET", "secret/data/app")
        assert status == 503
        assert "data" not in body
        assert server.ask("GET", "secret/data/app", token="x")[0] == 503
        assert server.ask("GET", "secret/data/%2e%2e/x")[0] == 503
        assert server.ask("GET", "sys/health", token="")[0] == 503
        assert server.trail.degraded == ["file/"]
        assert log.stat().st_size == size
    server.now += 1
    assert server.ask("GET", "sys/health", token="")[0] == 200
    assert server.trail.degraded == []
    _, body = server.ask("GET", "secret/data/app")
    assert body["data"]["data"] == {"k": "old"}
    assert check(server, log).intact


def test_health_does_not_hammer_a_broken_device(server, monkeypatch):
    """Asking for health tries a failed device once a second, not with every question."""
    with full():
        server.ask("GET", "secret/data/app")
        tries = []
        try_ = server.trail._try
        monkeypatch.setattr(server.trail, "_try", lambda *args: (tries.append(1), try_(*args))[1])
        for _ in range(5):
            assert server.trail.failed
    assert len(tries) == 1


def test_one_device_of_two_is_enough(tmp_path, caplog):
    """106: with one of two devices down requests are served and recorded on the other; it is named once, and in `degraded`."""
    one, two = tmp_path / "one" / "log", tmp_path / "two.log"
    blocks = [
        {"kind": "file", "path": "one", "file_path": str(one)},
        {"kind": "file", "path": "two", "file_path": str(two)},
    ]
    with caplog.at_level(logging.INFO):
        server = Server(blocks)
        for _ in range(3):
            assert server.ask("GET", "secret/data/app")[0] == 404
    assert server.trail.degraded == ["one/"]
    size = two.stat().st_size
    assert not server.trail.failed
    assert two.stat().st_size == size  # a device that records is not tried
    assert [r.message for r in caplog.records if "one/" in r.message] == [
        f"audit device one/: cannot open {str(one)!r}: No such file or directory"
    ]
    assert len(told(two)) == 3
    caplog.clear()
    one.parent.mkdir()
    server.ask("GET", "secret/data/app")
    assert server.trail.degraded == []
    assert "audit device one/ records again" in caplog.text
    assert len(told(one)) == 1


def test_all_devices_down_serves_nothing(tmp_path):
    """106: with all devices down nothing is served."""
    blocks = [{"kind": "file", "path": name, "file_path": str(tmp_path / "no" / name)} for name in ("a", "b")]
    server = Server(blocks)
    status, body = server.ask("GET", "secret/data/app")
    assert (status, body["errors"]) == (503, ["no audit device could record the request"])
    assert body["hint"].startswith("nothing was done")
    assert server.trail.degraded == ["a/", "b/"]
    assert server.trail.failed
    blocked = tmp_path / "no"
    blocked.mkdir()
    (blocked / "b").mkdir()
    server.now -= 86_400  # the clock was set right meanwhile: it is no reason to wait for a day
    assert not server.trail.failed
    assert server.trail.degraded == ["b/"]


def test_without_devices_requests_are_served():
    """No device at all is how Vault starts: requests are served."""
    server = Server()
    assert server.ask("POST", "secret/data/app", {"data": {"k": "v"}})[0] == 200
    assert not server.trail.failed
    assert server.trail.degraded == []


def test_a_record_that_cannot_be_made_stops_the_request(server, caplog):
    """What cannot be told must not happen, and the log of the failure holds no value."""
    visit = type("Strange", (), {"request": None, "bundle": None})()
    with pytest.raises(AuditFault):
        server.trail.record(visit, None)
    assert "audit device file/: a record could not be made: AttributeError" in caplog.text


# ── operators ───────────────────────────────────────────────────────────────────────────────────────────────────────


def enable(server, name, path, **options):
    return server.ask(
        "POST", f"sys/audit/{name}", {"type": "file", "options": {"file_path": str(path), **options}}
    )


def test_devices_are_enabled_listed_and_disabled(tmp_path):
    """A device is enabled with a test record, listed as Vault lists it, records from then on, and is disabled."""
    server, log = Server(), tmp_path / "a.log"
    assert enable(server, "a", log, mode="0640")[0] == 204
    assert records(log)[1]["request"]["path"] == "sys/audit/test"
    _, body = server.ask("GET", "sys/audit")
    options = {"file_path": str(log), "mode": "0640"}
    assert body["data"] == {
        "a/": {"type": "file", "description": "", "options": options, "local": False, "path": "a/"}
    }
    assert told(log) == [("read", "sys/audit", "done")]
    assert server.ask("DELETE", "sys/audit/a")[0] == 204
    assert server.ask("GET", "sys/audit")[1]["data"] == {}
    assert told(log)[-1] == ("delete", "sys/audit/a", "done")
    assert server.ask("DELETE", "sys/audit/a")[0] == 204


def test_devices_come_back_with_the_store(tmp_path):
    """Devices live in the store: the next start opens them, with the same hashes and one chain."""
    server, log = Server(), tmp_path / "a.log"
    enable(server, "a", log)
    hashed = server.ask("POST", "sys/audit-hash/a", {"input": "x"})[1]["data"]["hash"]
    server.trail.close()
    again = Server(storage=server.storage)
    assert again.ask("POST", "sys/audit-hash/a", {"input": "x"})[1]["data"]["hash"] == hashed
    assert check(again, log, device="a/").intact


@pytest.mark.parametrize("path", ["a", "a/b", "a/b/c"])
def test_a_path_in_use_is_refused(tmp_path, path):
    """A path that is taken, or lies above or below one that is, is refused in Vault's words."""
    server = Server()
    assert enable(server, "a/b", tmp_path / "1")[0] == 204
    assert enable(server, path, tmp_path / "2")[1]["errors"] == ["path already in use"]


def test_a_device_that_cannot_write_is_not_enabled(tmp_path):
    """Bad options, a place that cannot be written, or a foreign file: 400, nothing stored, and a second try may succeed."""
    server, foreign = Server(), tmp_path / "notes.txt"
    foreign.write_text("mine\n")
    for body in (
        {"type": "file", "options": {"file_path": str(tmp_path / "no" / "log")}},
        {"type": "file", "options": {"file_path": str(foreign)}},
        {"type": "file", "options": {"file_path": str(tmp_path / "x"), "log_raw": "true"}},
        {"type": "file"},
        {"type": "nope"},
        {},
    ):
        assert server.ask("POST", "sys/audit/a", body)[0] == 400
    assert foreign.read_text() == "mine\n"
    assert server.ask("GET", "sys/audit")[1]["data"] == {}
    assert enable(server, "a", tmp_path / "x")[0] == 204


def enable_and_fail(server, name, path):
    with server.units.write() as unit:
        server.trail.enable(
            unit, name, kind="file", description="", options={"file_path": str(path)}, local=False
        )
        raise ZeroDivisionError


def test_enabling_that_rolls_back_lets_go_of_the_file(tmp_path):
    """A device whose enabling was rolled back does not keep its file locked, and records nothing."""
    server, log = Server(), tmp_path / "a.log"
    with pytest.raises(ZeroDivisionError):
        enable_and_fail(server, "a/", log)
    server.ask("GET", "secret/data/app")
    assert told(log) == []
    assert enable(server, "a", log)[0] == 204
    with pytest.raises(ZeroDivisionError):
        enable_and_fail(server, "b/", tmp_path / "b.log")
    server.trail.close()
    assert server.trail._waiting is None


def test_hashes_find_values(server, log):
    """112: sys/audit-hash gives what the log holds; another device gives another hash."""
    server.ask("POST", "secret/data/app", {"data": {"k": "needle"}})
    hashed = server.ask("POST", "sys/audit-hash/file", {"input": "needle"})[1]["data"]["hash"]
    assert hashed in log.read_text()
    assert enable(server, "other", log.with_name("other"))[0] == 204
    other = server.ask("POST", "sys/audit-hash/other", {"input": "needle"})[1]["data"]["hash"]
    assert other.startswith("hmac-sha256:")
    assert other != hashed
    status, body = server.ask("POST", "sys/audit-hash/none", {"input": "x"})
    assert (status, body["errors"]) == (400, ['unknown audit backend "none/"'])


def test_operators_get_what_checks_a_log(server, log):
    """The verification key and head of a device are to be had over the wire, and check its log."""
    server.ask("GET", "secret/data/app")
    key = bytes.fromhex(server.ask("GET", "sys/audit-verification-key/file")[1]["data"]["key"])
    head = server.ask("GET", "sys/audit-head/file")[1]["data"]
    end = server.trail.head("file/")
    assert server.trail.heads() == f"file/{end.seq}:{end.hash}"
    lines = log.read_bytes().splitlines(keepends=True)
    assert verify([("log", lines)], keys=[key]).intact
    assert hashlib.sha256(lines[head["seq"] - 1].rstrip(b"\n")).hexdigest() == head["hash"]
    assert key.hex() not in log.read_text()


def test_audited_headers_are_chosen_over_the_wire(server, log):
    """Headers are recorded once chosen, hashed where asked for, no more once removed, and still after a restart."""
    assert server.ask("POST", "sys/config/auditing/request-headers/X-Plain", {})[0] == 204
    assert server.ask("POST", "sys/config/auditing/request-headers/X-Hash", {"hmac": True})[0] == 204
    assert server.ask("POST", "sys/config/auditing/request-headers/X-Vault-Token", {})[0] == 400
    assert server.ask("GET", "sys/config/auditing/request-headers")[1]["data"] == {
        "headers": {"x-plain": {"hmac": False}, "x-hash": {"hmac": True}}
    }
    assert server.ask("GET", "sys/config/auditing/request-headers/X-Hash")[1]["data"] == {
        "x-hash": {"hmac": True}
    }
    sent = [("x-plain", "hi"), ("x-hash", "canary")]
    server.units.read(server.trail.load)
    server.ask("GET", "secret/data/app", headers=sent)
    shown = records(log)[-1]["request"]["headers"]
    assert shown == {"x-plain": ["hi"], "x-hash": [server.trail.hash("file/", "canary")]}
    assert server.ask("DELETE", "sys/config/auditing/request-headers/x-plain")[0] == 204
    server.ask("GET", "secret/data/app", headers=sent)
    assert "x-plain" not in records(log)[-1]["request"]["headers"]
    status, body = server.ask("GET", "sys/config/auditing/request-headers/nope")
    assert (status, body["errors"]) == (400, ["Could not find header in config"])


def test_configured_devices_are_the_files_to_change(server):
    """A device of the configuration file is listed, and cannot be disabled or shadowed over the wire."""
    assert list(server.ask("GET", "sys/audit")[1]["data"]) == ["file/"]
    assert server.ask("DELETE", "sys/audit/file")[1]["errors"] == [
        "cannot disable configuration-managed audit device"
    ]
    assert enable(server, "file", "/tmp/nowhere")[1]["errors"] == ["path already in use"]


def test_rotation_follows_moved_files(server, log, caplog):
    """111: after a move and SIGHUP both files check as one log; a place that cannot be had keeps the old file in use."""
    server.ask("GET", "secret/data/app")
    old = log.rename(log.with_name("old"))
    server.trail.reopen()
    server.ask("GET", "secret/data/app")
    assert check(server, old, log).intact
    older = log.rename(log.with_name("older"))
    log.mkdir()
    server.trail.reopen()
    assert "audit device file/ stays with its old file: " in caplog.text
    assert server.ask("GET", "secret/data/app")[0] == 404
    assert check(server, old, older).intact


def test_a_closed_trail_holds_no_keys(server, log):
    """When the store closes the devices go: nothing is recorded, nothing hashed, and the file is free."""
    device = server.trail.cast[0]
    server.trail.close()
    assert bytes(device._chain._key) == bytes(32)
    with pytest.raises(Invalid):
        server.trail.hash("file/", "x")
    size = log.stat().st_size
    server.trail.record(type("Strange", (), {"bundle": None})(), None)
    assert log.stat().st_size == size


def test_a_collector_that_comes_back_gets_the_chain_on():
    """A socket device whose collector restarts goes on in the same chain, and loses no request that was answered."""
    got = []

    def collect(there, until):
        with there.accept()[0] as stream, stream.makefile("rb") as lines:
            for line in lines:
                got.append(line)
                if len(got) >= until:
                    return

    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        there.listen()
        collector = threading.Thread(target=collect, args=(there, 3))
        collector.start()
        address = f"127.0.0.1:{there.getsockname()[1]}"
        server = Server([{"kind": "socket", "path": "s", "address": address}])
        assert server.ask("GET", "secret/data/one")[0] == 404
        collector.join()
        collector = threading.Thread(target=collect, args=(there, 8))
        collector.start()
        assert server.ask("GET", "secret/data/two")[0] == 404
        assert server.ask("GET", "secret/data/three")[0] == 404
        collector.join()
        verdict = verify(
            [("collected", got)], keys=[server.trail.verification_key("s/")], head=server.trail.head("s/")
        )
        server.trail.close()
    assert verdict.intact
    assert [row.path for row in rows(got)] == ["secret/data/one", "secret/data/two", "secret/data/three"]


def test_four_threads_and_moving_files_lose_nothing(server, log):
    """111: requests from four threads while the file is moved away: each is there once, the chain is whole."""
    each, files = 60, []

    def work(name):
        for number in range(each):
            server.ask("GET", f"secret/data/{name}-{number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and len(files) < 10:
        if log.exists() and log.stat().st_size > 20_000:
            files.append(log.rename(log.with_name(f"old.{len(files)}")))
            server.trail.reopen()
    for thread in threads:
        thread.join()
    files.append(log)
    assert check(server, *files).intact
    paths = [path for file in files for _, path, _ in told(file)]
    assert len(paths) == len(set(paths)) == 4 * each


def test_clocks_that_go_back_do_no_harm(server, log):
    """A clock that jumps back or ahead leaves a whole chain; an hour ahead opens a new segment."""
    for step in (0.25, -5000.0, 10_000.0, 3600.0):
        server.now += step
        server.ask("GET", "secret/data/app")
    assert check(server, log).intact
    assert [record["segment"]["number"] for record in records(log) if record["type"] == "segment"] == [
        0,
        1,
        2,
    ]
    times = [record["time"] for record in records(log)]
    assert times[1] == "2027-01-15T08:00:00.250000Z"


# ── the real thing ──────────────────────────────────────────────────────────────────────────────────────────────────

OURS = {
    "seq",
    "prev",
    "mac",
    "reason",
    "auth.policy_results.allowed",
    "request.mount_accessor",
    "response.mount_accessor",
}
"""Members that OpenBao's records lack: the chain, why a request was refused, that a stranger was not let, and a mount's accessor
where OpenBao forgets it."""
THEIRS = {
    "request.client_id",
    "request.mount_running_version",
    "response.mount_running_plugin_version",
    "response.data.error",
}
"""Members that ours lack: an id made from policies, the version of `sys/`, and the error a second time as a hash."""
SHOWN_THERE = {"response.data.created_time", "response.data.metadata.created_time"}
"""Shown by OpenBao because its type is a time; here a text is hashed unless declared plain."""
SHOWN_HERE = {"request.data.policy"}
"""Declared plain here: who reads an audit log wants to see what a policy was changed to."""


def calls(ask):
    """The same requests to either server."""
    secret = {
        "data": {"a": "hello", "n": 5, "l": ["one", 3, True, None, {"k": "v"}], "o": {"p": ""}},
        "options": {"cas": 0},
    }
    ask("POST", "secret/data/app", secret)
    ask("GET", "secret/data/app")
    ask("LIST", "secret/metadata")
    ask("GET", "secret/data/nothing")
    ask("GET", "secret/data/app", headers=[("x-vault-wrap-ttl", "60")])
    ask("GET", "secret/data/app", token="unknown")
    ask("GET", "secret/data/app", token="")
    ask("DELETE", "secret/data/app")
    ask("POST", "sys/policies/acl/p", {"policy": 'path "x" { capabilities = ["read"] }'})


def shape(value, where=""):
    """Path of each member -> what kind of value it has; a hash is a kind of its own."""
    if isinstance(value, dict):
        found = {}
        for name, part in value.items():
            found |= shape(part, f"{where}.{name}" if where else name)
        return found or {where: "map"}
    if isinstance(value, list):
        found = {}
        for part in value:
            found |= shape(part, f"{where}[]")
        return found or {where: "list"}
    hashed = isinstance(value, str) and value.startswith("hmac-sha256:")
    return {where: "hash" if hashed else type(value).__name__}


def asker(url):
    def ask(method, path, body=None, *, token=ROOT, headers=()):
        sent = {**dict(headers), **({"x-vault-token": token} if token else {})}
        with httpx.Client() as client:
            client.request(method, f"{url}/v1/{path}", json=body, headers=sent)

    return ask


@pytest.mark.skipif(openbao_program() is None, reason="OpenBao is not installed")
def test_records_are_those_of_openbao(tmp_path, server, log):
    """For the same requests a real OpenBao writes the same records: same order, same members, same types, same values hashed."""
    theirs, port = tmp_path / "theirs.log", free_port()
    config = tmp_path / "bao.hcl"
    config.write_text(f'audit "file" "file" {{\n  options {{ file_path = "{theirs}" }}\n}}\n')
    arguments = [
        "server",
        "-dev",
        "-dev-no-store-token",
        f"-dev-root-token-id={ROOT}",
        f"-dev-listen-address=127.0.0.1:{port}",
    ]
    command = [openbao_program(), *arguments, f"-config={config}"]
    with running(command, url=f"http://127.0.0.1:{port}", token=ROOT, log=tmp_path / "bao.out") as bao:
        already = len(theirs.read_bytes().splitlines())
        calls(asker(bao.url))
        expected = records(theirs)[already:]
    calls(server.ask)
    found = records(log)[1:]
    assert [(r["type"], r["request"]["operation"]) for r in found] == [
        (r["type"], r["request"]["operation"]) for r in expected
    ]
    for mine, real in zip(map(shape, found), map(shape, expected), strict=True):
        assert mine.keys() - real.keys() <= OURS
        assert real.keys() - mine.keys() <= THEIRS
        different = {name for name in mine.keys() & real.keys() if mine[name] != real[name]}
        assert {name for name in different if mine[name] == "hash"} <= SHOWN_THERE
        assert {name for name in different if mine[name] != "hash"} <= SHOWN_HERE
