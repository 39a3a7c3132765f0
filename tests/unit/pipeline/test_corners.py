"""What a request seldom meets: help, a seal in its way, a store that fails, a router that forgets."""

import json
from itertools import pairwise

import pytest
from msgspec.structs import replace

from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Request
from ml_secrets.errors import Sealed, StoreFault
from ml_secrets.pipeline import route
from ml_secrets.pipeline.house import clear
from ml_secrets.pipeline.look import Kind
from ml_secrets.pipeline.steps import Steps, _NoStore
from ml_secrets.storage.memory import MemoryStorage
from ml_secrets.testing.programs import ROOT_TOKEN

ITSELF = "auth/token/lookup-self"

# ── authorize, route ────────────────────────────────────────────────────────────────────────────────────────────────


def test_help_is_for_whoever_has_a_right_in_the_mount(server, policy, token_of):
    """One right below a mount opens the help on all its paths; elsewhere, or where no mount is, it is denied."""
    token = token_of(policies=[policy("reader", {"secret/data/app": ["read"]})], no_default_policy=True)
    shown = server.ask("GET", "secret/data/other?help=1", token=token)
    assert shown.status == 200
    assert shown.json["help"] == server.ask("GET", "secret/data/other?help=1").json["help"]
    for path in ("cubbyhole/x?help=1", "nowhere/x?help=1"):
        refused = server.ask("GET", path, token=token)
        assert (refused.status, refused.errors) == (403, ["1 error occurred:\n\t* permission denied\n\n"])
        assert refused.json["hint"] == "your token has no right in that mount, or there is none"
    assert server.ask("GET", "cubbyhole/x?help=1").status == 200


def test_a_rule_that_asks_for_wrapping_looks_at_what_the_request_asked_for(server, token_of):
    """Within its bounds it is answered; outside, or without wrapping, denied."""
    text = 'path "secret/data/app" { capabilities = ["read"] min_wrapping_ttl = 60 max_wrapping_ttl = 90 }'
    assert server.ask("POST", "sys/policies/acl/wrapped", {"policy": text}).status == 204
    server.ask("POST", "secret/data/app", {"data": {"key": "FAKE-value"}})
    token = token_of(policies=["wrapped"])
    for wrap, status in (("", 403), ("59", 403), ("60", 200), ("90", 200), ("91", 403)):
        assert server.ask("GET", "secret/data/app", token=token, wrap=wrap).status == status


def test_a_rule_about_parameters_looks_at_what_the_request_has(server, token_of):
    """What it denies, what it does not allow and what it requires and misses is denied, and nothing is written."""
    rules = {"a": "denied_parameters = { options = [] }", "b": 'required_parameters = ["options"]'}
    text = "".join(
        f'path "secret/data/{name}" {{ capabilities = ["create", "update"] {extra} }}\n'
        for name, extra in rules.items()
    )
    assert server.ask("POST", "sys/policies/acl/narrow", {"policy": text}).status == 204
    token = token_of(policies=["narrow"])
    plain, optional = {"data": {}}, {"data": {}, "options": {"cas": 0}}
    for name, body, status in (
        ("a", optional, 403),
        ("b", plain, 403),
        ("a", plain, 200),
        ("b", optional, 200),
    ):
        assert server.ask("POST", f"secret/data/{name}", body, token=token).status == status


def test_a_token_that_is_bound_to_addresses_is_told_so_elsewhere(server):
    """It works where it is bound to; from elsewhere it is denied, which is no wrong token."""
    server.ask("POST", "sys/auth/approle", {"type": "approle"})
    server.ask("POST", "auth/approle/role/ci", {"bind_secret_id": False, "token_bound_cidrs": "127.0.0.0/8"})
    role_id = server.ask("GET", "auth/approle/role/ci/role-id").data["role_id"]
    login = server.ask("POST", "auth/approle/login", {"role_id": role_id}, token=None)
    token = login.json["auth"]["client_token"]
    assert server.ask("GET", ITSELF, token=token).status == 200
    refused = server.ask("GET", ITSELF, token=token, address="192.0.2.7")
    assert (refused.status, refused.errors) == (403, ["permission denied"])
    assert refused.json["hint"] == "the token is bound to other addresses"


def test_help_is_recorded_as_a_read(server, tmp_path):
    """Whatever the verb it was asked with: nothing is listed or written."""
    log = tmp_path / "log"
    server.ask("POST", "sys/audit/file", {"type": "file", "options": {"file_path": str(log)}})
    for method in ("LIST", "GET"):
        assert server.ask(method, "secret/metadata?help=1").status == 200
        assert json.loads(log.read_text().splitlines()[-1])["request"]["operation"] == "read"


def test_what_a_stranger_may_ask_of_an_open_server_is_recorded(server, tmp_path):
    """Only what is asked of sealed servers as well, all the time, is not."""
    log = tmp_path / "log"
    server.ask("POST", "sys/audit/file", {"type": "file", "options": {"file_path": str(log)}})
    before = len(log.read_text().splitlines())
    assert server.ask("GET", "sys/health", token=None).status == 200
    assert len(log.read_text().splitlines()) == before
    assert server.ask("GET", "sys/internal/ui/mounts", token=None).status == 200
    assert json.loads(log.read_text().splitlines()[-1])["request"]["path"] == "sys/internal/ui/mounts"


def test_a_path_outside_of_every_mount_is_named_to_who_may_ask(server):
    """Root learns that no mount is there, and how to list the mounts of that kind."""
    answers = {path: server.ask("GET", path) for path in ("nowhere/x", "auth/nowhere/x")}
    assert [answer.status for answer in answers.values()] == [404, 404]
    for path, answer in answers.items():
        assert answer.errors == [f'no handler for route "{path}". route entry not found.']


@pytest.mark.parametrize(("method", "folder"), [("GET", "data"), ("LIST", "metadata"), ("SCAN", "metadata")])
def test_a_path_without_its_data_is_told_the_right_one(server, method, folder):
    """The commonest mistake with KV 2 is answered with the path that was meant."""
    answer = server.ask(method, "secret/app")
    assert (answer.status, answer.errors[0]) == (404, "unsupported path")
    assert f"the path is secret/{folder}/app" in answer.json["warnings"][0]


def test_another_mount_is_told_nothing_of_kv(server):
    """The advice on `data/` is for KV 2 alone."""
    answer = server.ask("GET", "sys/nothing-here")
    assert (answer.status, answer.errors) == (404, ["unsupported path"])
    assert not answer.json.get("warnings")
    server.ask("POST", "sys/mounts/plain", {"type": "kv", "options": {"version": "1"}})
    assert "version 2" not in server.ask("GET", "plain").body.decode()


def test_a_wrong_verb_is_told_the_right_ones(server):
    """A path that exists, asked with a verb it does not know, is 405 with the verbs it knows."""
    answer = server.ask("DELETE", "sys/mounts")
    assert (answer.status, answer.errors) == (405, ["unsupported operation"])
    assert answer.json["hint"] == "this path knows: read"


def test_the_router_keeps_a_bounded_number_of_routes(server):
    """However many paths are asked for, the table remembers only so many, and routes on correctly."""
    house = server.house
    table = house.units.read(house.mounts.table)
    for number in range(route._MOST_REMEMBERED + 1):
        found = route.find(Request("1", Verb.READ, f"secret/data/n{number}"), table, house.engine)
        assert found.captures["path"] == f"n{number}"
        assert len(table.routes) <= route._MOST_REMEMBERED
    assert route.find(Request("1", Verb.READ, "secret/data/n0"), table, house.engine).captures == {
        "path": "n0"
    }


# ── what a sealed or failing store does ─────────────────────────────────────────────────────────────────────────────


def test_a_token_is_unknown_once_the_seal_overtakes_the_question(server, monkeypatch):
    """Sealed between the look at the seal and the look at the store: the token is not taken for live, and nothing is raised."""
    pipeline, units = server.server.pipeline, server.house.units
    read = units.read
    assert pipeline.look.knows(ROOT_TOKEN)

    def seal_first(work):
        server.server.opening.seal()
        return read(work)

    monkeypatch.setattr(units, "read", seal_first)
    assert not pipeline.look.knows(ROOT_TOKEN)


def test_a_request_is_not_slow_once_the_seal_overtakes_the_question(server, monkeypatch):
    """Sealed in between, a login is refused at once: it needs no place among the slow ones."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    pipeline, units = server.server.pipeline, server.house.units
    read, login = units.read, Request("1", Verb.WRITE, "auth/userpass/login/ann")
    assert pipeline.look.detour(login).kind is Kind.SLOW

    def seal_first(work):
        server.server.opening.seal()
        return read(work)

    monkeypatch.setattr(units, "read", seal_first)
    assert pipeline.look.detour(login).kind is not Kind.SLOW


def test_nothing_is_open_to_all_once_the_seal_overtakes_the_question(server, monkeypatch):
    """Sealed in between, a login is still not taken for what needs none, and nothing is raised."""
    pipeline, units = server.server.pipeline, server.house.units
    read = units.read

    def seal_first(work):
        server.server.opening.seal()
        return read(work)

    monkeypatch.setattr(units, "read", seal_first)
    assert not pipeline.look.open_to_all(Request("1", Verb.WRITE, "auth/userpass/login/ann"))


def test_who_waits_may_go_on_while_the_same_mount_is_there_and_open_to_them(server):
    """Another mount at that path is another secret; and so is one that is none of theirs any more."""
    mount = server.house.units.read(server.house.mounts.table).by_path["secret/"].uuid
    still = server.server.pipeline.look.still
    assert still(Request("1", Verb.READ, "secret/data/app", token=ROOT_TOKEN), mount)
    assert not still(Request("1", Verb.READ, "secret/data/app", token=ROOT_TOKEN), "another")
    assert not still(Request("1", Verb.READ, "secret/data/app", token="mls_s_unknown"), mount)
    assert not still(Request("1", Verb.READ, "nowhere/app", token=ROOT_TOKEN), mount)


def test_while_sealed_only_opening_is_slow(server):
    """Unsealing burns CPU; what is refused or answered at once does not, nor does a path outside of sys/."""
    server.server.opening.seal()

    def slow(verb, path):
        return server.server.pipeline.look.detour(Request("1", verb, path)).kind is Kind.SLOW

    assert slow(Verb.WRITE, "sys/unseal")
    assert not slow(Verb.READ, "sys/health")
    assert not slow(Verb.WRITE, "auth/userpass/login/ann")


def test_who_finds_the_server_sealed_is_told_how_to_open_it(server):
    """In the hint, for whatever is asked."""
    server.server.opening.seal()
    answer = server.ask("GET", "secret/data/app")
    assert (answer.status, answer.errors) == (503, ["Vault is sealed"])
    assert answer.json["hint"] == "unseal it with `ml-secrets operator unseal`"


def test_what_runs_while_sealed_is_handed_no_store(server, monkeypatch):
    """An operation that asked for it nevertheless would be refused as sealed, and could not write."""
    seen = []
    context = Steps.context
    monkeypatch.setattr(
        Steps, "context", lambda self, visit, unit: seen.append(unit) or context(self, visit, unit)
    )
    server.server.opening.seal()
    assert server.ask("GET", "sys/seal-status", token=None).status == 200
    (unit,) = seen
    with pytest.raises(Sealed, match="Vault is sealed"):
        unit.tx.get("open/token/x")


def test_an_operation_sees_no_store_while_sealed():
    """Whatever an operation does to the store of a sealed server is refused as sealed."""
    store = _NoStore()
    for act in (store.get, store.delete, store.list, lambda key: store.put(key, b"")):
        with pytest.raises(Sealed):
            act("open/token/x")


def test_a_store_that_fails_stops_the_server(server, monkeypatch, caplog):
    """After a StoreFault the request fails with 503, and the server seals itself."""

    def broken(unit, mount):
        raise StoreFault("the disk cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr(server.house, "store_of", broken)
        assert server.ask("GET", "secret/data/app").status == 503
    assert server.server.opening.sealed
    assert server.ask("GET", "sys/health", token=None).json["sealed"] is True
    assert "the disk cannot be read" in caplog.text


# ── the house ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_whose_mount_is_gone_renews_by_the_servers_maximum(server, token_of):
    """Without a mount there is no rule but the server's own, and the token stays as it was."""
    token = token_of(policies=["default"], ttl="1h")

    def renewal(unit):
        entry = replace(server.house.caller_of(unit, token).entry, path="auth/gone/login")
        return entry, server.house.renewal(unit, entry)

    entry, (renewed, maximum) = server.house.units.read(renewal)
    assert renewed is entry
    assert maximum == server.house.settings.max_lease_ttl


def test_a_renewal_goes_by_the_period_that_holds_now(server):
    """A user's period that was changed since the login counts from the next renewal on."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    user = {"password": "FAKE-password", "token_period": 60}
    server.ask("POST", "auth/userpass/users/ann", user)
    login = server.ask("POST", "auth/userpass/login/ann", {"password": "FAKE-password"}, token=None)
    token = login.json["auth"]["client_token"]
    for period in (60, 120, 30):
        server.ask("POST", "auth/userpass/users/ann", {"token_period": period})
        renewed = server.ask("POST", "auth/token/renew-self", {}, token=token)
        assert renewed.json["auth"]["lease_duration"] == period


def test_a_login_gives_as_many_uses_as_its_user_has(server):
    """And not one more."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    server.ask("POST", "auth/userpass/users/ann", {"password": "FAKE-password", "token_num_uses": 2})
    login = server.ask("POST", "auth/userpass/login/ann", {"password": "FAKE-password"}, token=None)
    token = login.json["auth"]["client_token"]
    assert [server.ask("GET", ITSELF, token=token).status for _ in range(3)] == [200, 200, 403]


def test_a_renewal_goes_by_the_maximum_that_holds_now(server):
    """As by the period; what was asked for beyond it is told."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    user = {"password": "FAKE-password", "token_ttl": 60, "token_max_ttl": 600}
    server.ask("POST", "auth/userpass/users/ann", user)
    login = server.ask("POST", "auth/userpass/login/ann", {"password": "FAKE-password"}, token=None)
    token = login.json["auth"]["client_token"]
    for maximum, shown in ((300, "5m"), (900, "15m")):
        server.ask("POST", "auth/userpass/users/ann", {"token_max_ttl": maximum})
        renewed = server.ask("POST", "auth/token/renew-self", {"increment": "1h"}, token=token)
        assert renewed.json["auth"]["lease_duration"] == maximum
        assert f'effective max_ttl of "{shown}"' in renewed.json["warnings"][0]


@pytest.mark.parametrize("way", ["revoke", "revoke-orphan"])
def test_what_hangs_on_a_token_goes_with_it(server, token_of, way):
    """Its drawer is empty, also where its children stay, and nothing of it is left in the store."""
    before = server.rows("mount/")
    token = token_of(policies=["default"], ttl="1h")
    assert server.ask("POST", "cubbyhole/a", {"b": "c"}, token=token).status == 204
    assert server.rows("mount/") != before
    assert server.ask("POST", f"auth/token/{way}", {"token": token}).status == 204
    server.sweep()
    assert server.rows("mount/") == before


@pytest.mark.parametrize("token", [None, "mls_s_unknown"])
def test_who_has_no_token_is_denied_like_everybody(server, token):
    """In the words that clients know; whether there is anything at the path is not told."""
    for path in ("secret/data/app", "nowhere/app"):
        refused = server.ask("GET", path, token=token)
        assert (refused.status, refused.errors) == (403, ["permission denied"])


def test_who_has_to_wait_is_known_by_the_key_of_their_token(server):
    """Strangers by none: they share one place in the line. Which changes are short is told too; to wrap an answer makes it none."""
    detour = server.server.pipeline.look.detour
    asked = Request("1", Verb.WRITE, "secret/data/app", token=ROOT_TOKEN)
    assert detour(asked) == (Kind.CHANGE, server.house.tokens.key_of(ROOT_TOKEN), True)
    assert detour(Request("1", Verb.WRITE, "secret/data/app", token="mls_s_unknown")) == (
        Kind.CHANGE,
        "",
        True,
    )
    assert not detour(Request("1", Verb.WRITE, "sys/policies/acl/app", token=ROOT_TOKEN)).short
    asked.wrap_ttl = 60
    assert not detour(asked).short
    assert detour(Request("1", Verb.READ, "nowhere/app", token=ROOT_TOKEN)).kind is Kind.READ


def test_the_rights_of_a_token_can_be_asked_for(server, policy, token_of):
    """By the token itself; one that nobody has is refused."""
    token = token_of(policies=[policy("reader", {"secret/data/app": ["read"]})])
    asked = {"token": token, "paths": ["secret/data/app"]}
    assert server.ask("POST", "sys/capabilities", asked).data["secret/data/app"] == ["read"]
    refused = server.ask("POST", "sys/capabilities", asked | {"token": "mls_s_unknown"})
    assert (refused.status, refused.errors) == (400, ["invalid token"])


@pytest.mark.parametrize("limit", [1, 2, 3, 4, -1])
def test_a_mount_is_cleared_in_rounds(limit):
    """No more rows go than were asked for, also when the names listed are folders that hold several; and no others."""
    storage, names = MemoryStorage(), ["m/a", "m/b/1", "m/b/2", "m/b/3", "m/c/d/1", "m/c/d/2", "m/e"]
    with storage.begin(write=True) as tx:
        for name in [*names, "other"]:
            tx.put(name, b"x")
        while names:
            gone = len(names) if limit < 0 else min(limit, len(names))
            assert clear(tx, "m/", limit=limit) == gone
            names = names[gone:]
            assert [name for name in (*names, "other") if tx.get(name) is None] == []
        assert tx.list("") == ["other"]


def test_mounts_that_are_gone_are_swept_in_rounds(server):
    """However many of them there are, no round removes more rows than it may."""
    for mount in ("one", "two"):
        server.ask("POST", f"sys/mounts/{mount}", {"type": "kv"})
        for name in ("a", "b", "c"):
            server.ask("POST", f"{mount}/{name}", {"key": "FAKE-value"})
        server.ask("DELETE", f"sys/mounts/{mount}")
    house, left = server.house, [len(server.rows("mount/"))]
    while house.units.read(house.has_doomed_mounts):
        with house.units.write() as unit:
            house.sweep_mounts(unit, limit=2)
        left.append(len(server.rows("mount/")))
    assert max(before - after for before, after in pairwise(left)) == 2
    assert left[0] - left[-1] == 6
    assert server.rows("open/doomed/") == []


def test_no_answer_is_wrapped_for_no_time(server):
    """Nor for longer than ten years; whatever way a dialect came by that."""
    handle, longest = server.server.pipeline.handle, 10 * 365 * 86_400
    for ttl, good in ((0, False), (1, True), (longest, True), (longest + 1, False)):
        request = Request("1", Verb.WRITE, "sys/wrapping/wrap", token=ROOT_TOKEN, wrap_ttl=ttl)
        error = handle(request).error
        assert (error is None) is good
        assert good or error.message == "the wrapping TTL must be between one second and ten years"
