"""A login inside a request: it acts once, costs what a login costs, and leaves nothing behind."""

import base64
import json

import pytest

from ml_secrets.dialects.vault import wire
from ml_secrets.errors import Unauthenticated
from ml_secrets.pipeline import inline
from ml_secrets.testing.programs import ROOT_TOKEN

PASSWORD = "FAKE-password"
BOB = "auth/userpass/login/bob"
SECRET = "secret/data/team/db"


def headers_of(path, **fields):
    """The headers of a login with these fields."""
    pairs = [("X-Vault-Inline-Auth-Path", path)]
    for name, value in fields.items():
        text = json.dumps({"key": name, "value": value}).encode()
        coded = base64.urlsafe_b64encode(text).rstrip(b"=").decode()
        pairs.append((f"X-Vault-Inline-Auth-Parameter-{name}", coded))
    return pairs


@pytest.fixture
def house(server, policy, tmp_path):
    """A server with a user, a role, a secret that both may read, and an audit log."""
    policy(
        "team",
        {"secret/data/team/*": ["read"], "secret/metadata/team/*": ["list"], "cubbyhole/*": ["create"]},
    )
    server.ask("POST", SECRET, {"data": {"key": "FAKE-value"}})
    for method in ("userpass", "approle"):
        server.ask("POST", f"sys/auth/{method}", {"type": method})
    server.ask(
        "POST", "auth/userpass/users/bob", {"password": PASSWORD, "token_policies": "team", "token_ttl": 60}
    )
    server.ask("POST", "auth/approle/role/job", {"token_policies": "team", "secret_id_num_uses": 2})
    server.ask("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": str(tmp_path / "log")}})
    return server


@pytest.fixture
def bob(house):
    """Ask as bob, who logs in inside the request."""

    def ask(method, path, body=None, *, password=PASSWORD, **more):
        return house.ask(method, path, body, token=None, headers=headers_of(BOB, password=password), **more)

    return ask


@pytest.fixture
def job(house):
    """Ask as the role, with a secret id that is good for two logins."""
    role_id = house.ask("GET", "auth/approle/role/job/role-id").data["role_id"]
    secret_id = house.ask("POST", "auth/approle/role/job/secret-id").data["secret_id"]
    headers = headers_of("auth/approle/login", role_id=role_id, secret_id=secret_id)
    return lambda method, path, body=None: house.ask(method, path, body, token=None, headers=headers)


# ── what it may, and what it leaves ─────────────────────────────────────────────────────────────────────────────────


def test_it_acts_with_the_rights_of_the_login_and_stores_nothing(house, bob):
    """A read with a login inside is answered; another's secret is not; no row is there that was not there before."""
    before = house.rows()
    assert bob("GET", SECRET).data["data"] == {"key": "FAKE-value"}
    assert bob("GET", "secret/data/other").status == 403
    assert bob("LIST", "secret/metadata/team").data["keys"] == ["db"]
    assert house.rows() == before


@pytest.mark.parametrize("fields", [{"token_num_uses": 1}, {"token_period": 60}, {"token_type": "batch"}])
def test_every_kind_of_token_that_a_login_gives_will_do(house, bob, fields):
    """Whether the role's tokens count their uses, renew for ever or are batch tokens is nothing to a login inside."""
    house.ask("POST", "auth/userpass/users/bob", fields)
    assert [bob("GET", SECRET).status for _ in range(3)] == [200, 200, 200]


def test_nothing_can_hang_on_it(house, bob, policy):
    """It has no children, no cubbyhole, no renewal and no end of its own; what it is called opens nothing later."""
    house.ask(
        "POST",
        "sys/policies/acl/team",
        {"policy": 'path "*" { capabilities = ["create", "update", "read", "sudo"] }'},
    )
    before = house.rows()
    paths = [
        "auth/token/create",
        "auth/token/create-orphan",
        "auth/token/renew-self",
        "auth/token/revoke-self",
        "cubbyhole/a",
    ]
    assert [bob("POST", path, {}).status for path in paths] == [400] * len(paths)
    itself = bob("GET", "auth/token/lookup-self").data
    assert (itself["policies"], itself["ttl"], itself["meta"]) == (
        ["default", "team"],
        60,
        {"username": "bob"},
    )
    assert house.ask("GET", SECRET, token=itself["id"]).status == 403
    assert house.rows() == before


def test_who_logs_in_inside_is_somebody_in_particular(house):
    """Each has a key of their own, as live tokens have: it names them in the line of those who wait."""
    tokens = house.house.tokens

    def lend(unit):
        entry = tokens.find(unit, ROOT_TOKEN)[1]
        return [inline.lend(unit, tokens, entry) for _ in range(2)]

    one, other = house.house.units.read(lend)
    assert (one.key, other.key) == (tokens.key_of(one.token), tokens.key_of(other.token))
    assert one.key != other.key


@pytest.mark.parametrize("fields", [{}, {"token_num_uses": 1}, {"token_period": 60}])
def test_it_shows_itself_as_what_it_is(house, bob, fields):
    """A name that no store has: no accessor, no uses to count, no period, no renewal, whatever a login's token would have."""
    house.ask("POST", "auth/userpass/users/bob", fields)
    itself = bob("GET", "auth/token/lookup-self").data
    assert (itself["accessor"], itself["type"], itself["renewable"]) == ("", "batch", False)
    assert (itself["num_uses"], itself.get("period", 0)) == (0, 0)


def test_who_logs_in_after_all_logins_were_ended_is_somebody_new(house, bob):
    """What was revoked below the path were the tokens until then."""
    assert house.ask("PUT", "sys/leases/revoke-prefix/auth/userpass").status == 204
    assert bob("GET", SECRET).status == 200


def test_it_may_change_what_its_rights_allow(house, bob):
    """A write is carried out like anybody's, and a login as the request itself gives a token as ever."""
    house.ask(
        "POST", "sys/policies/acl/team", {"policy": 'path "secret/*" { capabilities = ["create", "update"] }'}
    )
    assert bob("POST", "secret/data/new", {"data": {"a": "b"}}).status == 200
    assert bob("POST", BOB, {"password": PASSWORD}).json["auth"]["client_token"].startswith("mls_s_")


def test_its_answer_can_be_wrapped(house, bob):
    """The wrapping outlives the login inside the request: whoever has it unwraps."""
    token = bob("GET", SECRET, wrap="60").json["wrap_info"]["token"]
    inside = house.ask("POST", "sys/wrapping/unwrap", token=token)
    assert inside.data["data"] == {"key": "FAKE-value"}


def test_one_login_does_for_a_batch(house, job):
    """A batch of reads with a login inside uses a secret id once, and each path has its own answer."""
    body = {"paths": [SECRET, "secret/data/other", SECRET]}
    for _ in range(2):
        results = job("POST", "sys/batch", body).data["results"]
        assert [result["status"] for result in results] == [200, 403, 200]
    assert job("POST", "sys/batch", body).status == 400


# ── what it costs ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_use_of_a_secret_id_is_spent_whatever_comes_of_the_request(job):
    """Two logins are two, though the first request was refused; the third login is."""
    answers = [job("GET", "secret/data/other"), job("GET", SECRET), job("GET", SECRET)]
    assert [(a.status, a.headers.get("x-vault-inline-auth-failed")) for a in answers] == [
        (403, None),
        (200, None),
        (400, "true"),
    ]


def test_failures_lead_to_a_lockout(bob):
    """Wrong passwords count as those of any login: after five, the right one helps no more."""
    assert [bob("GET", SECRET, password="FAKE-wrong").status for _ in range(5)] == [400] * 5
    assert bob("GET", SECRET).status == 403


def test_a_refused_login_says_so(bob):
    """The header tells a refused login from a refused request."""
    wrong, denied = bob("GET", SECRET, password="FAKE-wrong"), bob("GET", "secret/data/other")
    assert (wrong.status, wrong.errors) == (400, ["invalid username or password"])
    assert (wrong.headers["x-vault-inline-auth-failed"], denied.status) == ("true", 403)
    assert "x-vault-inline-auth-failed" not in denied.headers


def test_both_have_their_quota(house, bob):
    """The login counts where logins do."""
    house.ask("POST", "sys/quotas/rate-limit/q", {"path": "auth/userpass/", "rate": 1, "interval": "1m"})
    assert [bob("GET", SECRET).status for _ in range(2)] == [200, 429]


# ── where it leads ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    [
        "auth/token/create",
        "auth/userpass/users/bob",
        "auth/none/login",
        "sys/seal-status",
        "sys/unseal",
        SECRET,
    ],
)
def test_it_leads_to_logins_only(house, path):
    """Whatever else a path names, it is refused alike, and counted: a stranger learns nothing of what is there."""
    house.ask("POST", "sys/quotas/rate-limit/q", {"path": "", "rate": 2, "interval": "1m"})
    answers = [house.ask("GET", SECRET, token=None, headers=headers_of(path, key="00")) for _ in range(3)]
    assert [(a.status, a.headers["x-vault-inline-auth-failed"]) for a in answers] == [
        (403, "true"),
        (403, "true"),
        (429, "true"),
    ]
    assert answers[0].json["hint"] == inline.NO_LOGIN


def test_what_anybody_may_ask_needs_no_login(house, bob):
    """Health is told whatever is logged in with, also while the server is sealed; all else is not."""
    assert bob("GET", "sys/health", password="FAKE-wrong").status == 200
    house.ask("PUT", "sys/seal")
    assert bob("GET", "sys/health").status == 503
    assert bob("GET", "sys/seal-status").json["sealed"] is True
    assert bob("GET", SECRET).errors == ["Vault is sealed"]


def test_a_sealed_server_does_nothing_for_a_login_inside(house):
    """The path of a login cannot be used to unseal, or to ask anything else of a sealed server."""
    house.ask("PUT", "sys/seal")
    answer = house.ask("GET", SECRET, token=None, headers=headers_of("sys/unseal", key="FAKE"))
    assert (answer.status, answer.errors) == (503, ["Vault is sealed"])


# ── what is remembered, recorded, ended ─────────────────────────────────────────────────────────────────────────────


def test_it_is_never_answered_from_memory(house, bob):
    """Each request logs in: no read of it is remembered, so a changed password counts at once."""
    assert [bob("GET", SECRET).status for _ in range(4)] == [200] * 4
    assert house.house.recalls._known == {}
    house.ask("POST", "auth/userpass/users/bob", {"password": "FAKE-other"})
    assert bob("GET", SECRET).status == 400


def test_login_and_request_are_recorded(house, bob, tmp_path):
    """Four records, in order; both of the login and the request name one token by its hash, and none shows the password."""
    house.ask(
        "PUT", "sys/config/auditing/request-headers/x-vault-inline-auth-parameter-password", {"hmac": False}
    )
    before = (tmp_path / "log").read_text()
    bob("GET", SECRET)
    text = (tmp_path / "log").read_text().removeprefix(before)
    records = [record for line in text.splitlines() if "request" in (record := json.loads(line))]
    assert [(r["type"], r["request"]["path"]) for r in records] == [
        ("request", BOB),
        ("response", BOB),
        ("request", SECRET),
        ("response", SECRET),
    ]
    assert len({r["auth"]["client_token"] for r in records[1:]}) == 1
    assert records[2]["auth"]["display_name"] == "userpass-bob"
    assert records[2]["request"]["id"] != records[0]["request"]["id"]
    coded = dict(headers_of(BOB, password=PASSWORD))["X-Vault-Inline-Auth-Parameter-password"]
    assert PASSWORD not in text
    assert coded not in text


def lent(house):
    """A request that has logged in, and still has to be served."""
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers_of(BOB, password=PASSWORD)]
    http = wire.HttpRequest("GET", f"/v1/{SECRET}".encode(), b"", pairs, ("127.0.0.1", 1))
    request = wire.blank(http)
    wire.read(http, request)
    assert inline.enter(request, house.server.pipeline.handle(request.login)) is None
    return request


def test_a_request_that_waits_outlives_no_login(house):
    """A login is good for as long as its token would be, and ends with all tokens of its mount."""
    handle = house.server.pipeline.handle
    first, second = lent(house), lent(house)
    assert handle(first).error is None
    house.ask("DELETE", "sys/auth/userpass")
    assert isinstance(handle(first).error, Unauthenticated)
    house.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    assert isinstance(handle(second).error, Unauthenticated)


def test_a_login_inside_lasts_as_long_as_its_ttl(house):
    """After the TTL that the user's tokens have, the request is refused."""
    request = lent(house)
    house.now += 61
    error = house.server.pipeline.handle(request).error
    assert isinstance(error, Unauthenticated)
    assert (error.message, error.hint) == ("permission denied", inline.ENDED)
