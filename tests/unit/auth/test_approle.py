"""auth/approle: roles, secret ids, logins."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

ROLE = "auth/approle/role/web"
REFUSED = "invalid role or secret ID"


@pytest.fixture
def defaults(token_defaults):
    """A new role as it is shown."""
    return token_defaults | {
        "bind_secret_id": True,
        "local_secret_ids": False,
        "secret_id_bound_cidrs": None,
        "secret_id_num_uses": 0,
        "secret_id_ttl": 0,
    }


@pytest.fixture
def roles(server):
    """The server, with the method mounted and two roles."""
    assert server.ask("POST", "sys/auth/approle", {"type": "approle"}).status == 204
    assert server.ask("POST", ROLE, {}).status == 204
    assert server.ask("POST", "auth/approle/role/other", {}).status == 204
    return server


def secret(server, role="web", **fields):
    answer = server.ask("POST", f"auth/approle/role/{role}/secret-id", fields)
    assert answer.status == 200, answer.body
    return answer.data


def login(server, secret_id=None, role="web", **more):
    body = {"role_id": server.ask("GET", f"auth/approle/role/{role}/role-id").data["role_id"]}
    if secret_id is not None:
        body["secret_id"] = secret_id
    return server.ask("POST", "auth/approle/login", body, token=None, **more)


# ── roles ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_role_comes_and_goes(roles, defaults):
    """Made, shown, listed, changed field by field, deleted with its secret ids."""
    assert roles.ask("GET", ROLE).data == defaults
    assert roles.ask("LIST", "auth/approle/role").data == {"keys": ["other", "web"]}
    fields = {
        "policies": "b,a",
        "token_ttl": "20m",
        "token_max_ttl": "30m",
        "secret_id_num_uses": 2,
        "secret_id_ttl": "10m",
        "secret_id_bound_cidrs": "127.0.0.0/8",
    }
    assert roles.ask("POST", ROLE, fields).status == 204
    changed = {
        "token_policies": ["b", "a"],
        "policies": ["b", "a"],
        "token_ttl": 1200,
        "token_max_ttl": 1800,
        "secret_id_num_uses": 2,
        "secret_id_ttl": 600,
        "secret_id_bound_cidrs": ["127.0.0.0/8"],
    }
    assert roles.ask("GET", ROLE).data == defaults | changed
    before = [row for row in roles.rows("open/mount/") if "/secret-id/" in row]
    secret(roles)
    assert roles.ask("DELETE", ROLE).status == 204
    assert roles.ask("DELETE", ROLE).status == 204
    assert roles.ask("GET", ROLE).status == 404
    assert [row for row in roles.rows("open/mount/") if "/secret-id/" in row] == before


@pytest.mark.parametrize(
    "fields",
    [
        {"bind_secret_id": False},
        {"token_ttl": "3h", "token_max_ttl": "1h"},
        {"token_type": "batch", "token_num_uses": 3},
        {"token_type": "odd"},
        {"secret_id_num_uses": -1},
        {"secret_id_bound_cidrs": "zz"},
        {"token_bound_cidrs": "10.0.0.0/33"},
        {"token_policies": "root"},
        {"local_secret_ids": True},
    ],
)
def test_a_role_that_makes_no_sense_is_refused(roles, fields, defaults):
    """With 400 (OpenBao: 500 for some); nothing changes."""
    assert roles.ask("POST", ROLE, fields).status == 400
    assert roles.ask("GET", ROLE).data == defaults


FIELDS = {
    "policies": ("token_policies", "b,a", ["b", "a"]),
    "token-ttl": ("token_ttl", "5m", 300),
    "token-max-ttl": ("token_max_ttl", "5h", 18_000),
    "token-num-uses": ("token_num_uses", 5, 5),
    "token-bound-cidrs": ("token_bound_cidrs", "10.0.0.0/8", ["10.0.0.0/8"]),
    "period": ("token_period", "5h", 18_000),
    "secret-id-num-uses": ("secret_id_num_uses", "5", 5),
    "secret-id-ttl": ("secret_id_ttl", 5, 5),
    "secret-id-bound-cidrs": ("secret_id_bound_cidrs", "10.0.0.1", ["10.0.0.1/32"]),
}


@pytest.mark.parametrize("path", FIELDS)
def test_each_field_has_a_path_of_its_own(roles, path, defaults):
    """Read, written, and deleted back to the default; of no role: 404, and 204 for the deletion, which makes none."""
    field, sent, shown = FIELDS[path]
    assert roles.ask("GET", f"{ROLE}/{path}").data == {field: defaults[field]}
    assert roles.ask("POST", f"{ROLE}/{path}", {}).errors == [f"missing {field}"]
    assert roles.ask("POST", f"{ROLE}/{path}", {field: sent}).status == 204
    assert roles.ask("GET", f"{ROLE}/{path}").data == {field: shown}
    assert roles.ask("GET", ROLE).data == defaults | {field: shown}
    assert roles.ask("DELETE", f"{ROLE}/{path}").status == 204
    assert roles.ask("GET", ROLE).data == defaults
    assert roles.ask("GET", f"auth/approle/role/none/{path}").status == 404
    assert roles.ask("POST", f"auth/approle/role/none/{path}", {field: sent}).status == 404
    assert roles.ask("DELETE", f"auth/approle/role/none/{path}").status == 204
    assert roles.ask("GET", "auth/approle/role/none").status == 404


def test_older_names_of_fields_work_on_their_paths(roles):
    """policies, period, bound-cidr-list; bind-secret-id, as Vault has it."""
    roles.ask("POST", f"{ROLE}/policies", {"policies": "y"})
    assert roles.ask("GET", f"{ROLE}/policies").data == {"token_policies": ["y"], "policies": ["y"]}
    roles.ask("POST", f"{ROLE}/period", {"period": "1h"})
    assert roles.ask("GET", ROLE).data["token_period"] == 3600
    roles.ask("POST", f"{ROLE}/bound-cidr-list", {"bound_cidr_list": "10.0.0.0/8"})
    assert roles.ask("GET", ROLE).data["secret_id_bound_cidrs"] == ["10.0.0.0/8"]
    assert roles.ask("POST", f"{ROLE}/bind-secret-id", {"bind_secret_id": False}).status == 204
    assert roles.ask("DELETE", f"{ROLE}/bind-secret-id").status == 204
    assert roles.ask("GET", ROLE).data["bind_secret_id"] is True
    assert roles.ask("GET", f"{ROLE}/local-secret-ids").data == {"local_secret_ids": False}


def test_a_role_id_is_chosen_once(roles):
    """Random at first; two roles cannot have the same; the old one ends."""
    first = roles.ask("GET", f"{ROLE}/role-id").data["role_id"]
    assert len(first) == 36
    assert roles.ask("POST", f"{ROLE}/role-id", {"role_id": "web-role"}).status == 204
    assert roles.ask("POST", "auth/approle/role/other/role-id", {"role_id": "web-role"}).errors == [
        "role_id already in use"
    ]
    assert roles.ask("POST", "auth/approle/role/third", {"role_id": "web-role"}).status == 400
    assert roles.ask("POST", f"{ROLE}/role-id", {}).errors == ["missing role_id"]
    made = secret(roles)["secret_id"]
    assert login(roles, made).status == 200
    old = roles.ask("POST", "auth/approle/login", {"role_id": first, "secret_id": made}, token=None)
    assert old.errors == [REFUSED]
    assert roles.ask("POST", "auth/approle/role/other/role-id", {"role_id": first}).status == 204


def test_all_spellings_of_a_role_are_one(roles, policy, token_of):
    """And a policy for one holds for all."""
    assert roles.ask("POST", "auth/approle/role/WEB", {"token_ttl": 60}).status == 204
    assert roles.ask("LIST", "auth/approle/role").data == {"keys": ["other", "web"]}
    name = policy("p", {"auth/approle/role/*": ["read", "update"], "auth/approle/role/web/*": ["deny"]})
    for spelling in ("web", "WEB", "Web"):
        assert (
            roles.ask(
                "POST", f"auth/approle/role/{spelling}/secret-id", token=token_of(policies=[name])
            ).status
            == 403
        )
    assert roles.ask("POST", "auth/approle/role/w%20b", {}).status == 400


# ── secret ids ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_secret_id_is_shown_once_and_looked_up_by_itself_or_its_accessor(roles):
    """Neither of the two is in the store in the clear."""
    made = secret(
        roles,
        metadata=json.dumps({"k": "v"}),
        ttl="5m",
        num_uses=3,
        cidr_list="127.0.0.0/8",
        token_bound_cidrs="127.0.0.1",
    )
    assert (made["secret_id_ttl"], made["secret_id_num_uses"]) == (300, 3)
    shown = {
        "cidr_list": ["127.0.0.0/8"],
        "creation_time": "2023-11-14T22:13:20Z",
        "expiration_time": "2023-11-14T22:18:20Z",
        "last_updated_time": "2023-11-14T22:13:20Z",
        "metadata": {"k": "v"},
        "secret_id_accessor": made["secret_id_accessor"],
        "secret_id_num_uses": 3,
        "secret_id_ttl": 300,
        "token_bound_cidrs": ["127.0.0.1"],
    }
    assert roles.ask("POST", f"{ROLE}/secret-id/lookup", {"secret_id": made["secret_id"]}).data == shown
    assert (
        roles.ask(
            "POST", f"{ROLE}/secret-id-accessor/lookup", {"secret_id_accessor": made["secret_id_accessor"]}
        ).data
        == shown
    )
    assert roles.ask("LIST", f"{ROLE}/secret-id").data == {"keys": [made["secret_id_accessor"]]}
    assert not [row for row in roles.rows() if made["secret_id"] in row or made["secret_id_accessor"] in row]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"num_uses": 10}, "num_uses cannot be higher than the role's secret_id_num_uses"),
        ({"num_uses": 0}, "num_uses cannot be higher than the role's secret_id_num_uses"),
        ({"num_uses": -1}, "num_uses cannot be negative"),
        ({"ttl": "5h"}, "ttl cannot be longer than the role's secret_id_ttl"),
        ({"ttl": 0}, "ttl cannot be longer than the role's secret_id_ttl"),
        ({"cidr_list": "bad"}, "not an IP address or CIDR"),
        ({"cidr_list": "192.0.2.0/24"}, "the addresses are not within those of the role"),
        ({"cidr_list": "0.0.0.0/0"}, "the addresses are not within those of the role"),
        ({"token_bound_cidrs": "::1"}, "the addresses are not within those of the role"),
        ({"metadata": "bogus"}, "field 'metadata' is not valid JSON"),
    ],
)
def test_a_secret_id_stays_within_its_role(roles, fields, text):
    """400 for what goes beyond."""
    roles.ask(
        "POST",
        ROLE,
        {
            "secret_id_num_uses": 2,
            "secret_id_ttl": "10m",
            "secret_id_bound_cidrs": "10.0.0.0/8",
            "token_bound_cidrs": "10.0.0.0/8",
        },
    )
    answer = roles.ask("POST", f"{ROLE}/secret-id", fields)
    assert (answer.status, answer.errors) == (400, [text])


def test_a_chosen_secret_id_exists_once_at_a_time(roles):
    """The second is refused; after the first has expired it can come again, and the first's end does not end it."""
    chosen = {"secret_id": "fake-chosen", "ttl": "1m"}
    assert roles.ask("POST", f"{ROLE}/custom-secret-id", chosen).data["secret_id"] == "fake-chosen"
    assert roles.ask("POST", f"{ROLE}/custom-secret-id", chosen).errors == ["SecretID is already registered"]
    assert roles.ask("POST", f"{ROLE}/custom-secret-id", {}).errors == ["missing secret_id"]
    roles.now += 60
    assert login(roles, "fake-chosen").errors == [REFUSED]
    assert roles.ask("POST", f"{ROLE}/custom-secret-id", chosen | {"ttl": "9h"}).status == 200
    roles.now += 60
    roles.ask("POST", "auth/approle/tidy/secret-id")
    assert login(roles, "fake-chosen").status == 200
    assert len(roles.ask("LIST", f"{ROLE}/secret-id").data["keys"]) == 1


def test_what_is_not_there_is_answered_as_clients_expect(roles):
    """lookup 204, accessor 404 with data.error, destroy 204, missing fields 400, missing roles 404."""
    assert roles.ask("POST", f"{ROLE}/secret-id/lookup", {"secret_id": "none"}).status == 204
    assert roles.ask("POST", f"{ROLE}/secret-id/destroy", {"secret_id": "none"}).status == 204
    assert roles.ask("DELETE", f"{ROLE}/secret-id/destroy", {"secret_id": "none"}).status == 204
    for what in ("lookup", "destroy"):
        answer = roles.ask("POST", f"{ROLE}/secret-id-accessor/{what}", {"secret_id_accessor": "none"})
        assert (answer.status, "failed to find accessor entry" in answer.data["error"]) == (404, True)
        assert roles.ask("POST", f"{ROLE}/secret-id/{what}", {}).errors == ["missing secret_id"]
        assert roles.ask("POST", f"{ROLE}/secret-id-accessor/{what}", {}).errors == [
            "missing secret_id_accessor"
        ]
        assert roles.ask("POST", f"auth/approle/role/none/secret-id/{what}", {"secret_id": "x"}).status == 404
    assert roles.ask("LIST", f"{ROLE}/secret-id").status == 404
    assert roles.ask("POST", "auth/approle/role/none/secret-id").status == 404


def test_another_roles_secret_id_is_as_unknown_as_none(roles):
    """Matrix 52: looking up and destroying tell nothing and do nothing."""
    made = secret(roles)
    other = "auth/approle/role/other"
    for path, field, value, unknown in (
        ("secret-id", "secret_id", made["secret_id"], "none"),
        ("secret-id-accessor", "secret_id_accessor", made["secret_id_accessor"], "none"),
    ):
        for what in ("lookup", "destroy"):
            theirs = roles.ask("POST", f"{other}/{path}/{what}", {field: value})
            nobodys = roles.ask("POST", f"{other}/{path}/{what}", {field: unknown})
            assert (theirs.status, theirs.status and theirs.body and theirs.data) == (
                nobodys.status,
                nobodys.body and nobodys.data,
            )
    assert login(roles, made["secret_id"], role="other").errors == [REFUSED]
    assert login(roles, made["secret_id"]).status == 200


def test_a_role_of_the_same_name_gets_none_of_the_old_secret_ids(roles):
    """Not even with the same role id."""
    roles.ask("POST", f"{ROLE}/role-id", {"role_id": "web-role"})
    made = secret(roles)["secret_id"]
    roles.ask("DELETE", ROLE)
    roles.ask("POST", ROLE, {"role_id": "web-role"})
    assert login(roles, made).errors == [REFUSED]


def test_destroyed_secret_ids_log_nobody_in(roles):
    """By the secret id, by its accessor."""
    one, two = secret(roles), secret(roles)
    assert roles.ask("POST", f"{ROLE}/secret-id/destroy", {"secret_id": one["secret_id"]}).status == 204
    assert (
        roles.ask(
            "POST", f"{ROLE}/secret-id-accessor/destroy", {"secret_id_accessor": two["secret_id_accessor"]}
        ).status
        == 204
    )
    for made in (one, two):
        assert login(roles, made["secret_id"]).errors == [REFUSED]


def test_expired_secret_ids_do_not_pile_up(roles):
    """Making new ones sweeps old ones away; so does tidy."""

    def count():
        return len([row for row in roles.rows("open/mount/") if "/secret-id/" in row])

    for _ in range(30):
        secret(roles, ttl="1m")
        roles.now += 61
    assert count() <= 2
    roles.now += 61
    assert roles.ask("POST", "auth/approle/tidy/secret-id").status == 202
    assert [
        row
        for row in roles.rows("open/mount/")
        if "/secret-id/" in row or "/accessor/" in row or "/expire/" in row
    ] == []


# ── logins ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_login_gives_the_token_that_the_role_is_to_have(roles):
    """With the secret id's metadata, which cannot pass for another role."""
    roles.ask("POST", ROLE, {"token_policies": "a", "token_ttl": "20m"})
    made = secret(roles, metadata=json.dumps({"k": "v", "role_name": "admin"}))
    auth = login(roles, made["secret_id"]).json["auth"]
    assert (
        auth["policies"],
        auth["metadata"],
        auth["lease_duration"],
        auth["orphan"],
        auth["renewable"],
    ) == (["a", "default"], {"k": "v", "role_name": "web"}, 1200, True, True)
    shown = roles.ask("GET", "auth/token/lookup-self", token=auth["client_token"]).data
    assert (shown["display_name"], shown["path"]) == ("approle", "auth/approle/login")


def test_unknown_and_wrong_ids_look_alike(roles):
    """Whether a role id exists is not told, with a secret id or without."""
    made = secret(roles)["secret_id"]
    known = roles.ask("GET", f"{ROLE}/role-id").data["role_id"]

    def refusal(**body):
        answer = roles.ask("POST", "auth/approle/login", body, token=None)
        return answer.status, answer.errors

    assert (
        refusal(role_id=known, secret_id="wrong")
        == refusal(role_id="unknown", secret_id=made)
        == (400, [REFUSED])
    )
    assert refusal(role_id=known) == refusal(role_id="unknown") == (400, ["missing secret_id"])
    assert refusal(secret_id=made) == refusal() == (400, ["missing role_id"])


def test_of_sixty_parallel_logins_with_one_use_one_works(roles):
    """Matrix 51; and afterwards nothing of the secret id is left."""
    made = secret(roles, num_uses=1)["secret_id"]
    with ThreadPoolExecutor(60) as pool:
        statuses = list(pool.map(lambda _: login(roles, made).status, range(60)))
    assert sorted(statuses) == [200] + [400] * 59
    assert roles.ask("POST", f"{ROLE}/secret-id/lookup", {"secret_id": made}).status == 204


def test_uses_are_counted_down(roles):
    """Each login takes one; the last ends it."""
    made = secret(roles, num_uses=2)
    assert login(roles, made["secret_id"]).status == 200
    roles.now += 5
    shown = roles.ask("POST", f"{ROLE}/secret-id/lookup", {"secret_id": made["secret_id"]}).data
    assert shown["secret_id_num_uses"] == 1
    assert login(roles, made["secret_id"]).status == 200
    assert login(roles, made["secret_id"]).errors == [REFUSED]


def test_addresses_bind_logins_and_tokens(roles):
    """The role's, the secret id's, and those of the tokens; a refused login costs no use."""
    roles.ask("POST", ROLE, {"secret_id_bound_cidrs": "10.0.0.0/8"})
    made = secret(roles, cidr_list="10.1.0.0/16", token_bound_cidrs="10.1.2.0/24", num_uses=1)["secret_id"]
    assert "CIDR restrictions on the secret ID" in login(roles, made, address="10.2.0.1").errors[0]
    assert login(roles, made, address="10.1.9.9").status == 403
    token = login(roles, made, address="10.1.2.3").json["auth"]["client_token"]
    assert roles.ask("GET", "auth/token/lookup-self", token=token, address="10.1.9.9").status == 403
    assert roles.ask("GET", "auth/token/lookup-self", token=token, address="10.1.2.4").status == 200
    assert (
        "CIDR restrictions on the role"
        in login(roles, secret(roles)["secret_id"], address="192.0.2.1").errors[0]
    )


def test_a_role_may_do_without_secret_ids(roles):
    """Then its addresses bind; and no secret id is made for it."""
    roles.ask("POST", ROLE, {"bind_secret_id": False, "secret_id_bound_cidrs": "127.0.0.1/32"})
    assert login(roles).status == 200
    assert login(roles, address="10.0.0.1").status == 400
    assert roles.ask("POST", f"{ROLE}/secret-id").errors == ["bind_secret_id is not set on the role"]


def test_a_failing_login_leaves_no_row(roles):
    """Matrix 54."""
    before = roles.rows()
    assert login(roles, "wrong").status == 400
    assert roles.rows() == before


def test_a_wrapped_secret_id_comes_with_its_accessor(roles):
    """So that it can be destroyed without being seen."""
    wrapped = roles.ask("POST", f"{ROLE}/secret-id", wrap="60").json["wrap_info"]
    assert (
        roles.ask(
            "POST", f"{ROLE}/secret-id-accessor/lookup", {"secret_id_accessor": wrapped["wrapped_accessor"]}
        ).status
        == 200
    )
    inside = roles.ask("POST", "sys/wrapping/unwrap", token=wrapped["token"]).data
    assert inside["secret_id_accessor"] == wrapped["wrapped_accessor"]
    assert login(roles, inside["secret_id"]).status == 200


def test_a_renewal_asks_whether_the_role_is_still_there(roles):
    """It takes over new limits; gone, the token is not renewed."""
    token = login(roles, secret(roles)["secret_id"]).json["auth"]["client_token"]
    roles.ask("POST", ROLE, {"token_max_ttl": "1h", "token_policies": "more"})
    assert (
        roles.ask("POST", "auth/token/renew-self", {"increment": "9h"}, token=token).json["auth"][
            "lease_duration"
        ]
        == 3600
    )
    roles.ask("DELETE", ROLE)
    assert "does not exist" in roles.ask("POST", "auth/token/renew-self", token=token).errors[0]


def test_a_comma_too_many_names_no_policy(roles):
    """What stands between two commas may be nothing, as on OpenBao; a blank inside quotes is still no name."""
    assert roles.ask("POST", ROLE, {"policies": "a,,b,"}).status == 204
    assert roles.ask("GET", ROLE).data["token_policies"] == ["a", "b"]
    assert roles.ask("POST", ROLE, {"token_policies": ["a", ""]}).status == 204
    assert roles.ask("GET", ROLE).data["token_policies"] == ["a"]
    assert roles.ask("POST", ROLE, {"token_policies": ["a", " b"]}).status == 400
