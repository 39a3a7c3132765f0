"""auth/token: making tokens, through the whole pipeline."""

import pytest

from ml_secrets.auth.token.create import MOST_ANCESTORS

CREATE = "auth/token/create"


def errors(answer):
    assert answer.status == 400, answer.body
    return answer.errors[0]


@pytest.fixture
def plain(policy, token_of):
    """A token that may make tokens, without sudo."""
    return token_of(
        policies=[policy("creator", {"auth/token/*": ["create", "update", "read", "list", "delete"]}), "p1"]
    )


@pytest.fixture
def sudo(policy, token_of):
    """A token that may make tokens, with sudo."""
    return token_of(policies=[policy("su", {"auth/token/*": ["create", "update", "sudo"]}), "p1"])


def test_a_new_token_is_shown_as_the_contract_says(server):
    """Every field of a lookup, with its type."""
    made = server.ask(
        "POST", CREATE, {"policies": ["default"], "ttl": "1h", "meta": {"a": "b"}, "display_name": "bob c"}
    )
    auth = made.json["auth"]
    assert {k: v for k, v in auth.items() if k not in ("client_token", "accessor")} == {
        "policies": ["default"],
        "token_policies": ["default"],
        "metadata": {"a": "b"},
        "lease_duration": 3600,
        "renewable": True,
        "entity_id": "",
        "token_type": "service",
        "orphan": False,
        "mfa_requirement": None,
        "num_uses": 0,
    }
    assert server.ask("GET", "auth/token/lookup-self", token=auth["client_token"]).data == {
        "accessor": auth["accessor"],
        "creation_time": 1_700_000_000,
        "creation_ttl": 3600,
        "display_name": "token-bob-c",
        "entity_id": "",
        "expire_time": "2023-11-14T23:13:20Z",
        "explicit_max_ttl": 0,
        "id": auth["client_token"],
        "issue_time": "2023-11-14T22:13:20Z",
        "meta": {"a": "b"},
        "num_uses": 0,
        "orphan": False,
        "path": "auth/token/create",
        "policies": ["default"],
        "renewable": True,
        "ttl": 3600,
        "type": "service",
    }


def test_tokens_and_accessors_leave_no_trace_in_the_store(server):
    """Matrix 21: names of rows are HMACs, and what a row is called is no token."""
    made = server.ask("POST", CREATE, {"policies": ["default"]}).json["auth"]
    rows = server.rows()
    assert not [row for row in rows if made["client_token"] in row or made["accessor"] in row]
    names = [row.rsplit("/", 1)[1] for row in rows if row.startswith("open/token/id/")]
    assert len(names) == 2
    for name in names:
        assert server.ask("GET", "auth/token/lookup-self", token=name).status == 403


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"policies": ["p2"]}, "child policies must be subset of parent"),
        ({"policies": ["root"]}, "child policies must be subset of parent"),
        ({"no_parent": True}, "root or sudo privileges required to create orphan token"),
        ({"period": "1h"}, "root or sudo privileges required to create periodic token"),
        ({"id": "chosen"}, "root or sudo privileges required to specify token id"),
        ({"num_uses": -1}, "number of uses cannot be negative"),
        ({"type": "odd"}, "invalid 'token_type' value"),
        ({"ttl": "-1h"}, "field 'ttl'"),
        ({"ttl": "1w"}, "field 'ttl'"),
        ({"entity_alias": "x"}, "'entity_alias' is only allowed in combination with token role"),
        ({"type": "batch", "period": "1h"}, 'batch tokens cannot have "period" set'),
        ({"type": "batch", "num_uses": 3}, 'batch tokens cannot have "num_uses" set'),
        ({"type": "batch", "explicit_max_ttl": "3h"}, 'batch tokens cannot have "explicit_max_ttl" set'),
    ],
)
def test_what_a_plain_caller_may_not_ask_for(server, plain, fields, text):
    """Each with the wire's text and 400, and no token is made."""
    before = server.rows("open/token/")
    assert text in errors(server.ask("POST", CREATE, fields, token=plain))
    assert server.rows("open/token/") == before


def test_sudo_opens_orphans_periods_and_ids_but_never_root(server, sudo):
    """Sudo on the path also lifts the subset rule."""
    made = server.ask(
        "POST", CREATE, {"policies": ["p2"], "no_parent": True, "period": "1h", "id": "chosen-id"}, token=sudo
    )
    assert made.json["auth"]["orphan"] is True
    assert made.json["auth"]["client_token"] == "chosen-id"
    assert made.json["auth"]["lease_duration"] == 3600
    assert "root" in errors(server.ask("POST", CREATE, {"policies": ["root"]}, token=sudo))


@pytest.mark.parametrize("name", ["ROOT", " root ", "Root\t", "ro\u200bot", "\uff52oot", "root\n"])
def test_other_spellings_of_root_are_refused_when_they_are_written(server, plain, name):
    """Matrix 9: in tokens, token roles, users and approles, for root's own calls, too."""
    for token in (plain, "root-token-for-tests"):
        assert server.ask("POST", CREATE, {"policies": [name]}, token=token).status == 400
    assert server.ask("POST", "auth/token/roles/r", {"allowed_policies": [name]}).status == 400
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    server.ask("POST", "sys/auth/approle", {"type": "approle"})
    assert (
        server.ask("POST", "auth/userpass/users/u", {"password": "fake", "token_policies": [name]}).status
        == 400
    )
    assert server.ask("POST", "auth/approle/role/r", {"token_policies": [name]}).status == 400


@pytest.mark.parametrize(
    "chosen", ["a.b", "s.abc", "hvs.abc", "mls_s_abc", "mls_b_abc", "a b", "a\u00e9", "x" * 257, "a\nb"]
)
def test_a_chosen_token_is_no_odd_text_and_none_of_ours(server, chosen):
    """No dots, no known prefixes, printable ASCII only."""
    assert server.ask("POST", CREATE, {"id": chosen, "policies": ["default"]}).status == 400


def test_a_chosen_token_exists_once_and_comes_with_a_warning(server):
    """The second one is refused."""
    made = server.ask("POST", CREATE, {"id": "chosen-id", "policies": ["default"]})
    assert any("hard to guess" in warning for warning in made.json["warnings"])
    assert "duplicate ID" in errors(server.ask("POST", CREATE, {"id": "chosen-id", "policies": ["default"]}))


def test_only_endless_roots_make_endless_tokens(server):
    """Every other token has an end; a root token that has one makes none without."""
    endless = server.ask("POST", CREATE, {}).json["auth"]
    assert (endless["lease_duration"], endless["renewable"], endless["policies"]) == (0, False, ["root"])
    ending = server.ask("POST", CREATE, {"ttl": "1h"}).json["auth"]["client_token"]
    assert "non-expiring" in errors(server.ask("POST", CREATE, {}, token=ending))
    assert server.ask("POST", CREATE, {"ttl": "2h"}, token=ending).json["auth"]["lease_duration"] == 7200


def test_times_are_cut_to_what_is_allowed_and_the_answer_says_so(server):
    """TTL at the server's maximum, explicit maximum, and period."""

    def made(**fields):
        answer = server.ask("POST", CREATE, {"policies": ["default"], **fields}).json
        return answer["auth"]["lease_duration"], answer["warnings"]

    assert made(ttl="9999h") == (
        2_764_800,
        ['TTL of "9999h" exceeded the effective max_ttl of "768h"; TTL value is capped accordingly'],
    )
    assert made(ttl="400s", explicit_max_ttl="100s") == (
        100,
        ['TTL of "6m40s" exceeded the effective max_ttl of "1m40s"; TTL value is capped accordingly'],
    )
    assert made(period="1h", explicit_max_ttl="30m") == (
        1800,
        ['period of "1h" exceeded the effective max_ttl of "30m"; period value is capped accordingly'],
    )
    assert made(period="1h", ttl="5m") == (3600, None)
    assert made() == (2_764_800, None)


def test_a_token_with_few_uses_and_a_batch_token_make_no_children(server, policy, token_of):
    """They could be used to get around their own limits."""
    creator = policy("creator", {"auth/token/create": ["update"]})
    assert (
        errors(server.ask("POST", CREATE, {}, token=token_of(policies=[creator], num_uses=2)))
        == "restricted use token cannot generate child tokens"
    )
    assert (
        errors(server.ask("POST", CREATE, {}, token=token_of(policies=[creator], type="batch")))
        == "batch tokens cannot create more tokens"
    )


def test_an_unknown_policy_is_named_in_a_warning(server):
    """It may be written later."""
    assert server.ask("POST", CREATE, {"policies": ["later"]}).json["warnings"] == [
        'Policy "later" does not exist'
    ]


def test_a_line_of_ancestors_has_an_end(server, policy, token_of):
    """A token's ancestors are looked at with each request, so nobody makes that expensive."""
    creator = policy("creator", {"auth/token/create": ["update"]})
    token = token_of(policies=[creator])
    for _ in range(MOST_ANCESTORS - 1):
        token = server.ask("POST", CREATE, {}, token=token).json["auth"]["client_token"]
    assert "too many ancestors" in errors(server.ask("POST", CREATE, {}, token=token))
    assert server.ask("GET", "auth/token/lookup-self", token=token).status == 200


def test_create_orphan_needs_no_sudo_but_keeps_the_subset_rule(server, plain):
    """The orphan outlives its maker."""
    made = server.ask("POST", "auth/token/create-orphan", {"policies": ["p1"]}, token=plain).json["auth"]
    assert made["orphan"] is True
    assert "subset" in errors(
        server.ask("POST", "auth/token/create-orphan", {"policies": ["p2"]}, token=plain)
    )
    assert server.ask("POST", "auth/token/revoke-self", token=plain).status == 204
    assert server.ask("GET", "auth/token/lookup-self", token=made["client_token"]).status == 200


def test_a_field_named_role_in_the_body_chooses_no_role(server, plain):
    """Only the path does, and that is what policies guard."""
    server.ask("POST", "auth/token/roles/wide", {"allowed_policies_glob": "*", "orphan": True})
    made = server.ask("POST", CREATE, {"role": "wide"}, token=plain).json
    assert made["auth"]["orphan"] is False
    assert any("unrecognized" in warning for warning in made["warnings"])


@pytest.mark.parametrize("path", [CREATE, "auth/token/create-orphan", "auth/token/create/wide"])
@pytest.mark.parametrize("names", [[""], ["", ""], ","])
def test_names_that_are_all_empty_do_not_mean_the_parents(server, path, names):
    """A program whose name for a policy is empty would otherwise be given root's own policies."""
    server.ask("POST", "auth/token/roles/wide", {"allowed_policies": ["p1"], "orphan": True})
    answer = server.ask("POST", path, {"policies": names, "no_default_policy": True})
    assert (answer.status, "names no policy" in errors(answer)) == (400, True)
