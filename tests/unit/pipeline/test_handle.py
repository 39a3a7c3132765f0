"""The order of a request: what strangers cannot do, what counts against a quota, what is never answered unrecorded."""

import json

import pytest

from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Request
from ml_secrets.errors import Sealed, StoreFault, StoreFull, Unauthenticated
from ml_secrets.pipeline.brief import MOST
from ml_secrets.pipeline.look import Detour, Kind
from ml_secrets.pipeline.outcome import Outcome
from ml_secrets.storage.interface import Moved
from ml_secrets.testing.programs import ROOT_TOKEN


@pytest.mark.parametrize("path", ["sys/health", "sys/seal-status", "sys/leader", "sys/init"])
def test_what_anybody_may_ask_is_never_wrapped(server, path):
    """A wrapping header changes nothing about the answers that tell a server's state, and makes no token."""
    before = server.rows("open/token/")
    plain, wrapped = server.ask("GET", path, token=None), server.ask("GET", path, token=None, wrap="1h")
    assert (wrapped.status, wrapped.json) == (plain.status, plain.json)
    assert server.rows("open/token/") == before


def test_strangers_fill_no_store_with_wrappings(server):
    """Without a token, nothing but the answer to a login can be wrapped."""
    before = server.rows()
    answer = server.ask("GET", "sys/internal/ui/mounts", token=None, wrap="87000h")
    assert (answer.status, answer.errors) == (403, ["permission denied"])
    assert answer.json["hint"] == "to have an answer wrapped, send a token"
    assert server.rows() == before


def test_a_login_can_be_wrapped(server):
    """Whoever logs in may have the token wrapped: they send none yet."""
    server.ask("POST", "sys/auth/approle", {"type": "approle"})
    server.ask("POST", "auth/approle/role/ci", {"bind_secret_id": False, "token_bound_cidrs": "127.0.0.0/8"})
    role_id = server.ask("GET", "auth/approle/role/ci/role-id").data["role_id"]
    answer = server.ask("POST", "auth/approle/login", {"role_id": role_id}, token=None, wrap="60")
    inside = server.ask("POST", "sys/wrapping/unwrap", token=answer.json["wrap_info"]["token"])
    assert inside.json["auth"]["client_token"].startswith("mls_s_")


def test_a_bare_answer_that_is_wrapped_tells_its_token(server):
    """An operation that answers without an envelope gets one when its answer is wrapped."""
    answer = server.ask("GET", "sys/metrics", wrap="60")
    inside = server.ask("POST", "sys/wrapping/unwrap", token=answer.json["wrap_info"]["token"])
    assert inside.status == 200


def test_strangers_do_not_wait_in_line(server):
    """A write without a live token is refused at once: it takes no thread and no writer's turn."""
    request = Request("1", Verb.WRITE, "secret/data/app", token="mls_s_unknown")
    outcome = server.server.pipeline.glance(request)
    assert isinstance(outcome.error, Unauthenticated)


def test_a_long_list_leaves_the_event_loop(server):
    """What reads more rows than is good for the loop is not answered there, and in a thread it is whole."""
    pipeline, count = server.server.pipeline, MOST + 1
    for _ in range(count):
        server.ask("POST", "auth/token/create", {"ttl": "1h"})
    lists = [("secret/metadata", Verb.LIST), ("auth/token/accessors", Verb.LIST)]
    few = pipeline.glance(Request("1", Verb.LIST, "secret/metadata", token=ROOT_TOKEN))
    assert isinstance(few, Outcome)
    for number in range(count):
        server.ask("POST", f"secret/data/n{number:04d}", {"data": {}})
    for path, verb in lists:
        many = pipeline.glance(Request("1", verb, path, token=ROOT_TOKEN))
        assert isinstance(many, Detour)
        assert many.kind is Kind.READ
    assert len(server.ask("LIST", "secret/metadata").data["keys"]) == count
    page = server.ask("GET", "secret/metadata?list=true&limit=3&after=n0001").data["keys"]
    assert page == ["n0002", "n0003", "n0004"]


# ── quotas ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def quota(server):
    """Three requests a minute from one address below secret/."""
    answer = server.ask("POST", "sys/quotas/rate-limit/q", {"path": "secret/", "rate": 3, "interval": "1m"})
    assert answer.status == 204


@pytest.mark.usefixtures("quota")
@pytest.mark.parametrize(("method", "token"), [("GET", None), ("POST", None), ("GET", "mls_s_unknown")])
def test_refused_requests_count_against_a_quota(server, method, token):
    """A flood of requests without a right is a flood: it meets its limit like any other."""
    answers = [server.ask(method, "secret/data/app", token=token).status for _ in range(5)]
    assert answers == [403, 403, 403, 429, 429]


@pytest.mark.usefixtures("quota")
def test_a_read_that_is_done_again_counts_once(server, monkeypatch):
    """A read that a writer overtook is run again, and still is one request for its quota."""
    house, tries = server.house, []
    store_of = house.store_of

    def overtaken(unit, mount):
        tries.append(mount)
        if len(tries) % 3:
            raise Moved
        return store_of(unit, mount)

    monkeypatch.setattr(house, "store_of", overtaken)
    statuses = [server.ask("GET", "secret/data/none").status for _ in range(4)]
    assert statuses == [404, 404, 404, 429]


def test_a_login_is_looked_at_afresh_once_it_has_thought(server, monkeypatch):
    """A password that was changed while the old one was being checked is the one that counts."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    server.ask("POST", "auth/userpass/users/ann", {"password": "FAKE-old"})
    units, changed = server.house.units, []
    write = units.write

    def change_first():
        if not changed:
            changed.append(True)
            changed.append(server.ask("POST", "auth/userpass/users/ann", {"password": "FAKE-new"}).status)
        return write()

    monkeypatch.setattr(units, "write", change_first)
    old, new = (
        server.ask("POST", "auth/userpass/login/ann", {"password": password}, token=None)
        for password in ("FAKE-old", "FAKE-new")
    )
    assert changed == [True, 204]
    assert (old.status, new.status) == (400, 200)


def test_who_is_locked_out_is_told_so(server):
    """What a method says of a refused login stays."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    server.ask("POST", "auth/userpass/users/ann", {"password": "FAKE-password"})
    tries = [
        server.ask("POST", "auth/userpass/login/ann", {"password": "FAKE-wrong"}, token=None)
        for _ in range(6)
    ]
    assert tries[-1].status == 403
    assert "this name is locked out" in tries[-1].json["hint"]


# ── recorded, or not answered ───────────────────────────────────────────────────────────────────────────────────────


def test_a_read_that_the_seal_overtakes_is_not_answered(server, tmp_path):
    """When the server seals between looking and recording, nobody records: so there is no answer either."""
    server.ask("POST", "sys/audit/file", {"type": "file", "options": {"file_path": str(tmp_path / "log")}})
    server.ask("POST", "secret/data/app", {"data": {"key": "FAKE-value"}})
    devices = server.house.devices
    record = devices.record

    def seal_first(*what):
        server.server.opening.seal()
        record(*what)

    devices.record = seal_first
    request = Request("1", Verb.READ, "secret/data/app", token=ROOT_TOKEN)
    outcome = server.server.pipeline.handle(request)
    assert isinstance(outcome.error, Sealed)
    assert (outcome.error.message, outcome.response) == ("Vault is sealed", None)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_token_that_is_used_up_is_swept_away_at_once(server, token_of, method):
    """Nothing of it is left when its last answer leaves."""
    server.ask("POST", "secret/data/app", {"data": {"a": 1}})
    before = server.rows("open/token/")
    token = token_of(policies=["root"], num_uses=2, ttl="1h")
    for left in (True, False):
        assert server.ask(method, "secret/data/app", {"data": {}}, token=token).status in (200, 400)
        assert (server.rows("open/token/") != before) is left


@pytest.mark.parametrize("verb", [Verb.READ, Verb.WRITE])
@pytest.mark.parametrize("way", ["glance", "handle", "handle_all"])
def test_a_store_that_cannot_even_be_begun_is_an_answer(server, monkeypatch, verb, way):
    """Nobody knows by then where the request leads; still nothing is raised."""
    pipeline = server.server.pipeline

    def broken(*_):
        raise StoreFault("the disk cannot be read")

    monkeypatch.setattr(server.house.units, "read", broken)
    monkeypatch.setattr(server.house.units, "write", broken)
    request = Request("1", verb, "secret/data/app", token=ROOT_TOKEN)
    outcome = pipeline.handle_all([request])[0] if way == "handle_all" else getattr(pipeline, way)(request)
    assert isinstance(outcome.error, StoreFault)
    assert server.server.opening.sealed


def test_an_answer_survives_the_failure_to_sweep_its_token(server, token_of, monkeypatch, caplog):
    """The last use of a token has had its effect when its row is removed: if that fails, the caller still gets the answer."""
    token = token_of(policies=["root"], num_uses=1, ttl="1h")

    def full(unit, key):
        raise StoreFull("the disk is full")

    monkeypatch.setattr(server.house, "end_token", full)
    assert server.ask("POST", "secret/data/app", {"data": {"a": 1}}, token=token).status == 200
    assert "a used-up token was not swept away: StoreFull" in caplog.text
    assert server.ask("GET", "secret/data/app", token=token).status == 403


def test_the_servers_log_says_where_a_request_broke(server, monkeypatch, caplog):
    """The kind of the error, and the function and line that it came from; not what it said, nor to whom."""

    def broken(unit, mount):
        raise RuntimeError("FAKE-value")

    monkeypatch.setattr(server.house, "store_of", broken)
    answer = server.ask("GET", "secret/data/app")
    assert answer.status == 500
    (said,) = caplog.messages
    number = said.split()[1]
    assert said.startswith(f"request {number} failed: ")
    assert answer.json["hint"] == f"the server's log has request {number}"
    assert f"failed: RuntimeError in broken:{broken.__code__.co_firstlineno + 1}" in said
    assert "FAKE" not in said + answer.body.decode()


def test_a_malformed_name_does_not_come_ahead_of_the_denial(server, policy, token_of):
    """Who has no right is told just that, also for a name that nothing could have."""
    token = token_of(policies=[policy("nothing", {"secret/data/x": ["read"]})])
    answer = server.ask("POST", "auth/token/roles/%21bad", {"orphan": True}, token=token)
    assert answer.status == 403
    assert server.ask("POST", "auth/token/roles/%21bad", {"orphan": True}).status == 400
    assert "value" not in json.dumps(answer.json)
