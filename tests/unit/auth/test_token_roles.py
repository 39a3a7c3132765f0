"""auth/token: token roles."""

import pytest

ROLE = "auth/token/roles/x"
DEFAULTS = {
    "name": "x",
    "allowed_entity_aliases": None,
    "allowed_policies": [],
    "allowed_policies_glob": [],
    "disallowed_policies": [],
    "disallowed_policies_glob": [],
    "explicit_max_ttl": 0,
    "orphan": False,
    "path_suffix": "",
    "period": 0,
    "renewable": True,
    "token_explicit_max_ttl": 0,
    "token_no_default_policy": False,
    "token_period": 0,
    "token_type": "default-service",
}


def test_a_role_comes_and_goes(server):
    """Absent, made with defaults, listed, changed field by field, deleted."""
    assert server.ask("GET", ROLE).status == 404
    assert server.ask("LIST", "auth/token/roles").status == 404
    assert server.ask("POST", ROLE, {}).status == 204
    assert server.ask("GET", ROLE).data == DEFAULTS
    assert server.ask("LIST", "auth/token/roles").data == {"keys": ["x"]}
    assert (
        server.ask(
            "POST",
            ROLE,
            {"period": "1h", "token_bound_cidrs": ["127.0.0.1/32", "10.1.2.3/8"], "token_num_uses": "4"},
        ).status
        == 204
    )
    assert server.ask("POST", ROLE, {"allowed_policies": "b, A"}).status == 204
    changed = {
        "period": 3600,
        "token_period": 3600,
        "token_bound_cidrs": ["127.0.0.1", "10.0.0.0/8"],
        "token_num_uses": 4,
        "allowed_policies": ["a", "b"],
    }
    assert server.ask("GET", ROLE).data == DEFAULTS | changed
    assert server.ask("DELETE", ROLE).status == 204
    assert server.ask("GET", ROLE).status == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"token_type": "odd"},
        {"token_type": "batch"},
        {"token_type": "batch", "orphan": True},
        {"token_type": "batch", "orphan": True, "renewable": False, "period": "1h"},
        {"path_suffix": "../x"},
        {"path_suffix": "a/b"},
        {"path_suffix": "-a"},
        {"token_num_uses": -1},
        {"token_bound_cidrs": "10.0.0.0/99"},
        {"token_period": "-1h"},
        {"allowed_policies": "root"},
        {"allowed_policies": "a b"},
    ],
)
def test_a_role_that_makes_no_sense_is_refused(server, fields):
    """With 400, and nothing is stored."""
    assert server.ask("POST", ROLE, fields).status == 400
    assert server.ask("GET", ROLE).status == 404


def test_a_lookup_shows_the_period_that_was_asked_for(server):
    """Not the role's, as in Vault; it holds all the same, again and again."""
    server.ask("POST", ROLE, {"token_period": "1h"})
    for asked, shown in ({"period": "30m"}, 1800), ({"period": "2h"}, 3600), ({}, None):
        token = server.ask("POST", "auth/token/create/x", asked).json["auth"]["client_token"]
        assert server.ask("GET", "auth/token/lookup-self", token=token).data.get("period") == shown
    server.now += 3000
    assert server.ask("POST", "auth/token/renew-self", token=token).json["auth"]["lease_duration"] == 3600
    assert server.ask("GET", "auth/token/lookup-self", token=token).data.get("period") is None


def test_what_a_role_says_holds_for_its_tokens(server):
    """Orphans, suffix, no renewal, period, the lesser of two limits, uses, addresses."""
    role = {
        "allowed_policies": "a,b",
        "orphan": True,
        "period": "1h",
        "path_suffix": "sfx",
        "renewable": False,
        "token_bound_cidrs": "127.0.0.1",
        "token_explicit_max_ttl": "5h",
        "token_num_uses": 4,
    }
    server.ask("POST", ROLE, role)
    made = server.ask(
        "POST",
        "auth/token/create/x",
        {"explicit_max_ttl": "9h", "period": "3h", "num_uses": 9, "renewable": True},
    ).json
    assert made["warnings"][:2] == [
        "Explicit max TTL specified both during creation call and in role; using the lesser value of 18000 seconds",
        "Period specified both during creation call and in role; using the lesser value of 3600 seconds",
    ]
    auth = made["auth"]
    assert (
        auth["policies"],
        auth["orphan"],
        auth["renewable"],
        auth["num_uses"],
        auth["lease_duration"],
    ) == (["a", "b", "default"], True, False, 4, 3600)
    shown = server.ask("POST", "auth/token/lookup-accessor", {"accessor": auth["accessor"]}).data
    assert (shown["path"], shown["role"], shown["bound_cidrs"], shown["id"]) == (
        "auth/token/create/x/sfx",
        "x",
        ["127.0.0.1"],
        "",
    )
    assert (
        server.ask("GET", "auth/token/lookup-self", token=auth["client_token"], address="10.9.9.9").status
        == 403
    )
    assert server.ask("GET", "auth/token/lookup-self", token=auth["client_token"]).status == 200


def test_an_unknown_role_and_an_entity_alias_are_refused_clearly(server):
    """There is no identity engine to find an alias in."""
    assert server.ask("POST", "auth/token/create/none", {}).errors == ["unknown role none"]
    server.ask("POST", ROLE, {"allowed_entity_aliases": "known"})
    assert (
        "invalid 'entity_alias'"
        in server.ask("POST", "auth/token/create/x", {"entity_alias": "other"}).errors[0]
    )
    assert "identity engine" in server.ask("POST", "auth/token/create/x", {"entity_alias": "known"}).errors[0]


def test_a_role_of_batch_tokens_makes_batch_tokens(server):
    """And none of root's."""
    server.ask("POST", ROLE, {"token_type": "batch", "orphan": True, "renewable": False})
    assert (
        server.ask("POST", "auth/token/create/x", {"policies": ["a"]}).json["auth"]["token_type"] == "batch"
    )
    assert "root" in server.ask("POST", "auth/token/create/x", {}).errors[0]


def test_older_names_lose_against_newer_ones(server):
    """With a warning."""
    answer = server.ask("POST", ROLE, {"token_period": "10h", "period": "3h"})
    assert answer.json["warnings"] == [
        "Both 'token_period' and deprecated 'period' value supplied, ignoring the deprecated value"
    ]
    assert server.ask("GET", ROLE).data == DEFAULTS | {"token_period": 36_000}


def test_limits_of_a_role_hold_where_nothing_is_asked_for(server):
    """An explicit maximum and a period; one above the server's own maximum comes with a warning."""
    answer = server.ask("POST", ROLE, {"token_explicit_max_ttl": "9999h", "token_period": "2h"})
    assert "greater than system/mount allowed value" in answer.json["warnings"][0]
    assert (
        server.ask("POST", "auth/token/create/x", {"policies": ["a"]}).json["auth"]["lease_duration"] == 7200
    )
    assert server.ask("POST", ROLE, {"token_explicit_max_ttl": "1h", "token_period": 0}).status == 204
    shown = server.ask("POST", "auth/token/create/x", {"policies": ["root"]}).json["auth"]
    assert (shown["policies"], shown["lease_duration"]) == (["root"], 3600)


def test_a_batch_role_with_limits_makes_no_sense(server):
    """A batch token has none of them."""
    for limit in ({"token_explicit_max_ttl": "1h"}, {"token_num_uses": 2}):
        fields = {"token_type": "batch", "orphan": True, "renewable": False, **limit}
        assert server.ask("POST", ROLE, fields).status == 400


@pytest.mark.parametrize("name", ["a%20b", "-a", "a%C3%A9", "a" * 129])
def test_a_role_has_a_plain_name(server, name):
    """400 for writing, reading, making tokens with it."""
    assert server.ask("POST", f"auth/token/roles/{name}", {}).status == 400
    assert server.ask("POST", f"auth/token/create/{name}", {}).status == 400


@pytest.mark.parametrize("kind", ["default-batch", "default-service"])
def test_a_role_that_limits_uses_makes_no_batch_tokens(server, kind):
    """Uses of a batch token cannot be counted: it is refused, instead of made and never accepted."""
    server.ask("POST", ROLE, {"token_type": kind, "token_num_uses": 3})
    answer = server.ask("POST", "auth/token/create/x", {"policies": ["a"], "type": "batch"})
    assert (answer.status, answer.errors) == (400, ['batch tokens cannot have "num_uses" set'])
    assert server.ask("POST", "auth/token/create/x", {"policies": ["a"], "type": "service"}).status == 200
