"""auth/token: looking up, renewing, revoking."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_secrets.testing.whole import Whole

SELF = "auth/token/lookup-self"


def alive(server, token):
    return server.ask("GET", SELF, token=token).status == 200


def make(server, **fields):
    return server.ask("POST", "auth/token/create", {"policies": ["default"], **fields}).json["auth"]


# ── looking up ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_token_in_five_ways(server):
    """By itself (GET and POST), by the caller's, by an accessor (then without the token)."""
    made = make(server)
    shown = server.ask("GET", SELF, token=made["client_token"]).data
    assert server.ask("POST", "auth/token/lookup", {"token": made["client_token"]}).data == shown
    assert server.ask("POST", "auth/token/lookup-accessor", {"accessor": made["accessor"]}).data == shown | {
        "id": ""
    }
    own = server.ask("GET", SELF).data
    for method, path in (("POST", SELF), ("POST", "auth/token/lookup"), ("GET", "auth/token/lookup")):
        assert server.ask(method, path).data == own


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("lookup", {"token": "nope"}, 403, "bad token"),
        ("lookup", {"token": "n\u00f6pe"}, 403, "bad token"),
        ("lookup", {"token": "x" * 9000}, 403, "bad token"),
        ("lookup", {"token": "mls_b_!!!"}, 403, "bad token"),
        ("lookup-accessor", {"accessor": "nope"}, 400, "invalid accessor"),
        ("lookup-accessor", {}, 400, "missing accessor"),
        ("renew", {"token": "nope"}, 400, "token not found"),
        ("renew", {}, 400, "missing token ID"),
        ("renew-self", {}, 400, "lease is not renewable"),
        ("renew-accessor", {"accessor": "nope"}, 400, "invalid accessor"),
        ("revoke", {}, 400, "missing token ID"),
        ("revoke-accessor", {}, 400, "missing accessor"),
        ("revoke-orphan", {"token": "nope"}, 400, "token to revoke not found"),
        ("revoke-orphan", {}, 400, "missing token ID"),
    ],
)
def test_what_is_not_there_gets_the_texts_of_the_wire(server, path, body, status, text):
    """As OpenBao says it."""
    answer = server.ask("POST", f"auth/token/{path}", body)
    assert (answer.status, answer.errors) == (status, [text])


@pytest.mark.parametrize(
    "token",
    ["", "nope", "\u00e9\u00e9", "a\x00b", "x" * 9000, "mls_s_", "mls_b_", "mls_b_AAAA", "mls_s_" + "A" * 43],
)
def test_odd_tokens_are_refused_and_break_nothing(server, token):
    """Matrix 27: 403 (or 400), never 500."""
    assert server.ask("GET", SELF, token=token).status in (400, 403)


def test_revoking_what_has_ended_is_no_error(server):
    """204; by an accessor with a warning."""
    assert server.ask("POST", "auth/token/revoke", {"token": "nope"}).status == 204
    answer = server.ask("POST", "auth/token/revoke-accessor", {"accessor": "nope"})
    assert (answer.status, answer.json["warnings"]) == (200, ["No token found with this accessor"])


def test_accessors_are_listed_to_sudo_only(server, policy, token_of):
    """They open revoke-accessor and lookup-accessor."""
    made = make(server)
    assert made["accessor"] in server.ask("LIST", "auth/token/accessors").data["keys"]
    plain = token_of(policies=[policy("lister", {"auth/token/accessors": ["list"]})])
    assert server.ask("LIST", "auth/token/accessors", token=plain).status == 403
    sudo = token_of(policies=[policy("lister-sudo", {"auth/token/accessors": ["list", "sudo"]})])
    assert server.ask("GET", "auth/token/accessors?list=true", token=sudo).status == 200


def test_tidy_answers_as_clients_expect(server):
    """202 and a warning."""
    answer = server.ask("POST", "auth/token/tidy")
    assert answer.status == 202
    assert answer.json["warnings"]


# ── lifetimes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_expired_token_is_refused_though_nobody_swept_it(server):
    """At its very moment, and before any upkeep."""
    token = make(server, ttl="1h")["client_token"]
    server.now += 3599.999
    assert alive(server, token)
    server.now += 0.001
    assert server.ask("GET", SELF, token=token).errors == ["permission denied"]
    assert server.ask("POST", "auth/token/renew", {"token": token}).errors == ["token not found"]


def test_a_renewal_moves_the_end_from_now(server):
    """By the increment, or by what was granted last; the answer says how long."""
    made = make(server, ttl="1h")
    server.now += 1800
    renewed = server.ask(
        "POST", "auth/token/renew-self", {"increment": "2h"}, token=made["client_token"]
    ).json["auth"]
    assert (renewed["client_token"], renewed["lease_duration"]) == (made["client_token"], 7200)
    assert (
        server.ask("POST", "auth/token/renew", {"token": made["client_token"]}).json["auth"]["lease_duration"]
        == 7200
    )
    by_accessor = server.ask(
        "POST", "auth/token/renew-accessor", {"accessor": made["accessor"], "increment": 60}
    ).json["auth"]
    assert (by_accessor["client_token"], by_accessor["lease_duration"]) == ("", 60)
    shown = server.ask("POST", "auth/token/lookup-accessor", {"accessor": made["accessor"]}).data
    assert (shown["last_renewal_time"], shown["last_renewal"], shown["ttl"]) == (
        1_700_001_800,
        "2023-11-14T22:43:20Z",
        60,
    )


@pytest.mark.parametrize("before", [1.0, 0.01, 0.001])
def test_a_renewal_just_before_the_maximum_does_not_reach_past_it(server, before):
    """Matrix 24: neither past the maximum nor into eternity."""
    token = make(server, ttl="1h", explicit_max_ttl="2h")["client_token"]
    server.now += 3599
    server.ask("POST", "auth/token/renew-self", {"increment": "9h"}, token=token)
    server.now = 1_700_000_000 + 7200 - before
    renewed = server.ask("POST", "auth/token/renew-self", {"increment": "9h"}, token=token)
    assert renewed.status == 200
    assert server.ask("GET", SELF, token=token).data["expire_time"] == "2023-11-15T00:13:20Z"
    server.now = 1_700_000_000 + 7200
    assert not alive(server, token)


@settings(max_examples=15, deadline=None)
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "ttl": st.integers(1, 4_000_000),
            "explicit_max_ttl": st.integers(1, 4_000_000),
            "period": st.integers(1, 4_000_000),
        },
    ),
    steps=st.lists(st.tuples(st.floats(0, 3_000_000), st.integers(0, 4_000_000)), max_size=8),
)
def test_no_way_of_renewing_makes_a_token_live_for_ever(fields, steps):
    """Property: an end, always; never past created + maximum (or, with a period, past now + maximum)."""
    server = Whole()
    try:
        token = make(server, **fields)["client_token"]
        _, entry = server.house.units.read(lambda unit: server.house.tokens.find(unit, token))
        maximum, born = 2_764_800, entry.created
        for wait, increment in steps:
            server.now += wait
            server.ask("POST", "auth/token/renew-self", {"increment": increment}, token=token)
            found = server.house.units.read(lambda unit: server.house.tokens.find(unit, token))
            if found is None:
                break
            expires = found[1].expires
            assert expires is not None
            assert expires <= (server.now if fields.get("period") else born) + maximum
            if fields.get("explicit_max_ttl"):
                assert expires <= born + fields["explicit_max_ttl"]
        server.now += maximum
        assert not alive(server, token)
    finally:
        server.close()


def test_limited_uses_are_exact_and_the_last_one_shows(server):
    """num_uses -1 on the last call, 403 after it."""
    token = make(server, num_uses=2)["client_token"]
    assert server.ask("GET", SELF, token=token).data["num_uses"] == 1
    assert server.ask("GET", SELF, token=token).data["num_uses"] == -1
    assert server.ask("GET", SELF, token=token).errors == ["permission denied"]
    assert len(server.rows("open/token/id/")) == 1


def test_of_sixty_parallel_uses_exactly_five_are_served(server):
    """Matrix 22."""
    token = make(server, num_uses=5)["client_token"]
    with ThreadPoolExecutor(60) as pool:
        statuses = list(pool.map(lambda _: server.ask("GET", SELF, token=token).status, range(60)))
    assert sorted(statuses) == [200] * 5 + [403] * 55


def test_renewing_and_revoking_at_once_never_leaves_a_renewed_token(server):
    """Matrix 38: whoever wins, after the revocation nothing is there."""
    with ThreadPoolExecutor(4) as pool:
        for _ in range(60):
            token = make(server)["client_token"]
            calls = [("renew", {"token": token}), ("revoke", {"token": token}), ("renew", {"token": token})]
            list(pool.map(lambda call: server.ask("POST", f"auth/token/{call[0]}", call[1]), calls))
            assert not alive(server, token)
    assert len(server.rows("open/token/id/")) == 1
    assert server.rows("open/token/expire/") == []


# ── families ────────────────────────────────────────────────────────────────────────────────────────────────────────


def family(server, policy, token_of):
    creator = policy("creator", {"auth/token/create": ["update"], "cubbyhole/*": ["create", "read"]})
    top = token_of(policies=[creator])
    child = server.ask("POST", "auth/token/create", {}, token=top).json["auth"]["client_token"]
    grandchild = server.ask("POST", "auth/token/create", {}, token=child).json["auth"]["client_token"]
    batch = server.ask("POST", "auth/token/create", {"type": "batch"}, token=child).json["auth"][
        "client_token"
    ]
    return top, child, grandchild, batch


@pytest.mark.parametrize("how", ["revoke", "revoke-self", "revoke-accessor", "lease", "expiry"])
def test_the_end_of_a_parent_ends_its_children(server, policy, token_of, how):
    """Grandchildren and batch tokens, too; what they kept in their cubbyholes goes with them."""
    top, _, grandchild, _ = tokens = family(server, policy, token_of)
    server.ask("POST", "cubbyhole/mine", {"a": "b"}, token=grandchild)
    assert all(alive(server, token) for token in tokens)
    shown = server.ask("GET", SELF, token=top).data
    if how == "revoke":
        server.ask("POST", "auth/token/revoke", {"token": top})
    elif how == "revoke-self":
        server.ask("POST", "auth/token/revoke-self", token=top)
    elif how == "revoke-accessor":
        server.ask("POST", "auth/token/revoke-accessor", {"accessor": shown["accessor"]})
    elif how == "lease":
        server.ask("POST", "sys/leases/revoke", {"lease_id": f"{shown['path']}/{shown['accessor']}"})
    else:
        server.now += 2_764_800
    assert not any(alive(server, token) for token in tokens)
    server.now += 1
    server.sweep()
    assert len(server.rows("open/token/id/")) == 1
    assert [row for row in server.rows("open/token/") if "/id/" not in row and "/accessor/" not in row] == []


def test_a_batch_token_cannot_be_renewed_or_revoked(server):
    """Matrix 28: a clear 400; there is no accessor."""
    batch = make(server, type="batch")
    assert (batch["accessor"], batch["renewable"], batch["token_type"]) == ("", False, "batch")
    token = batch["client_token"]
    for path in ("renew", "revoke", "revoke-orphan"):
        text = "batch tokens cannot be " + ("renewed" if path == "renew" else "revoked")
        assert server.ask("POST", f"auth/token/{path}", {"token": token}).errors == [text]
    assert server.ask("POST", "auth/token/renew-self", token=token).errors == [
        "batch tokens cannot be renewed"
    ]
    assert server.ask("POST", "auth/token/revoke-self", token=token).errors == [
        "batch tokens cannot be revoked"
    ]
    assert alive(server, token)
    server.now += 2_764_800
    assert not alive(server, token)


def test_a_batch_token_that_was_touched_is_none(server):
    """Any other byte, and nobody knows it."""
    token = make(server, type="batch")["client_token"]
    for at in (8, len(token) // 2, -2):
        other = token[:at] + ("A" if token[at] != "A" else "B") + token[at:][1:]
        assert not alive(server, other)


def test_revoke_orphan_needs_sudo_and_spares_the_children(server, policy, token_of):
    """They live on without a parent."""
    top, child, grandchild, _ = family(server, policy, token_of)
    plain = token_of(policies=[policy("ro", {"auth/token/revoke-orphan": ["update"]})])
    assert "sudo" in server.ask("POST", "auth/token/revoke-orphan", {"token": top}, token=plain).errors[0]
    assert server.ask("POST", "auth/token/revoke-orphan", {"token": top}).status == 204
    assert not alive(server, top)
    assert server.ask("GET", SELF, token=child).data["orphan"] is True
    assert alive(server, grandchild)


# ── restarts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tokens_outlive_a_restart_and_expired_ones_do_not(tmp_path):
    """Matrix 36: what expired while the server was down is refused from the first request on."""
    server = Whole(tmp_path)
    try:
        short, long = make(server, ttl="30m")["client_token"], make(server, ttl="9h")["client_token"]
        batch = make(server, ttl="9h", type="batch")["client_token"]
        server.now += 3600
        server.reopen()
        assert (alive(server, short), alive(server, long), alive(server, batch)) == (False, True, True)
    finally:
        server.close()
