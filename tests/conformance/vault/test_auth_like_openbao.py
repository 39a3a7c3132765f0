"""Tokens, userpass, approle, wrapping and leases beside a real OpenBao: the same calls, the same answers.

Each story is told to both servers; every answer is compared: status, error texts, and all of data, auth and wrap_info,
with what is random or a time made equal. Where we differ on purpose, the call says how and why.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import httpx
import pytest

RANDOM = (
    (re.compile(r"\b(?:s\.[A-Za-z0-9]{24}|b\.[A-Za-z0-9_-]{40,}|mls_[sb]_[A-Za-z0-9_-]{40,})"), "TOKEN"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "TIME"),
)
ACCESSOR = re.compile(r"[A-Za-z0-9]{24}")
WRAPPED_ERROR = re.compile(r"1 error occurred:\n\t\* (.*)\n\n", re.DOTALL)


@dataclass(frozen=True)
class Heard:
    """What a server said to one call."""

    call: str
    status: int
    said: object


class Side:
    """One server, and what it has said so far. `ours` of a call is what we answer on purpose where that differs."""

    def __init__(self, server, *, us):
        self.http = httpx.Client(base_url=f"{server.url}/v1/", timeout=30)
        self.root, self.us, self.heard = server.token, us, []

    def ask(self, method, path, body=None, *, token="root", wrap="", ours=None, why=""):
        """Make the call; the JSON of the answer."""
        headers = {} if token is None else {"X-Vault-Token": self.root if token == "root" else token}
        if wrap:
            headers["X-Vault-Wrap-TTL"] = wrap
        answer = self.http.request(method, path, json=body, headers=headers)
        told = json.loads(answer.content) if answer.content else {}
        status, said = answer.status_code, equal(told, self.root)
        if ours is not None:
            assert why, "a difference needs its reason"
            if self.us:
                assert status == ours, (method, path, body, told)
            status, said = ours, None
        self.heard.append(Heard(f"{method} {path} {json.dumps(body)}", status, said))
        return told

    def token(self, **fields):
        """A token with these fields."""
        return self.ask("POST", "auth/token/create", fields)["auth"]["client_token"]


def equal(told, root):
    """The comparable part of an answer."""
    if not isinstance(told, dict):
        return told
    parts = {key: told[key] for key in ("data", "auth", "wrap_info") if told.get(key) is not None}
    if "errors" in told:
        parts["errors"] = [WRAPPED_ERROR.sub(r"\1", text) for text in told["errors"]]
    text = json.dumps(plain(parts), sort_keys=True).replace(json.dumps(root)[1:-1], "ROOT")
    for pattern, name in RANDOM:
        text = pattern.sub(name, text)
    return json.loads(text)


def plain(value, key=""):
    """Moments, remaining times, accessors and the identity engine's ids made equal."""
    if isinstance(value, dict):
        return {name: plain(part, name) for name, part in value.items() if name != "entity_id"}
    if isinstance(value, list):
        return [plain(part, key) for part in value]
    if key in ("creation_time", "last_renewal_time") and isinstance(value, int):
        return "MOMENT"
    if key in ("ttl", "lease_duration") and isinstance(value, int):
        return (value + 2) // 5 * 5
    if key in ("accessor", "wrapped_accessor") and ACCESSOR.fullmatch(value):
        return "ACCESSOR"
    return value


@pytest.fixture
def told(openbao, dev_server):
    """Tell a story to both, and compare."""

    def tell(story):
        theirs, ours = Side(openbao, us=False), Side(dev_server, us=True)
        for side in (theirs, ours):
            with side.http:
                story(side)
        for they, we in zip(theirs.heard, ours.heard, strict=True):
            assert (we.call if "TOKEN" in we.call else "", we.status, we.said) == (
                "",
                they.status,
                they.said,
            ), we.call

    return tell


def test_tokens_are_made_shown_renewed_and_revoked(told):
    """The life of a token, by itself, by root, by its accessor; and what is said of tokens that are not there."""

    def story(side):
        made = side.ask(
            "POST",
            "auth/token/create",
            {"policies": ["default", "p1"], "ttl": "1h", "meta": {"a": "b"}, "display_name": "bob c_d--"},
        )["auth"]
        token, accessor = made["client_token"], made["accessor"]
        side.ask("GET", "auth/token/lookup-self", token=token)
        side.heard.pop()
        for path, body in (
            ("lookup", {"token": token}),
            ("lookup-accessor", {"accessor": accessor}),
            ("renew", {"token": token, "increment": "2h"}),
            ("renew-accessor", {"accessor": accessor, "increment": 3000}),
            ("lookup-accessor", {"accessor": accessor}),
        ):
            side.ask("POST", f"auth/token/{path}", body)
            last = side.heard.pop()
            side.heard.append(Heard(path, last.status, last.said))
        side.ask("POST", "auth/token/renew-self", {}, token=token)
        for path in ("lookup-accessor", "renew-accessor", "revoke-accessor"):
            side.ask("POST", f"auth/token/{path}", {})
            side.ask("POST", f"auth/token/{path}", {"accessor": "nope"})
        for path in ("lookup", "renew", "revoke", "revoke-orphan"):
            side.ask("POST", f"auth/token/{path}", {"token": "nope"})
        for path in ("renew", "revoke", "revoke-orphan"):
            side.ask("POST", f"auth/token/{path}", {})
        side.ask("POST", "auth/token/renew-self", {})
        side.ask("POST", "auth/token/revoke-accessor", {"accessor": accessor})
        side.heard.pop()
        side.ask("GET", "auth/token/lookup-self", token=token)
        side.ask("GET", "auth/token/accessors")
        side.ask("POST", "auth/token/tidy")

    told(story)


@pytest.mark.parametrize(
    "fields",
    [
        {"ttl": "9999h"},
        {"ttl": "90s", "explicit_max_ttl": "60s"},
        {"period": "1h", "ttl": "5m"},
        {"period": "1h", "explicit_max_ttl": "30m"},
        {"period": "9999h"},
        {"num_uses": 3},
        {"renewable": False},
        {"lease": "3h"},
        {"type": "batch"},
        {"type": "batch", "period": "1h"},
        {"type": "batch", "num_uses": 3},
        {"type": "batch", "explicit_max_ttl": "3h"},
        {"type": "batch", "policies": ["root"]},
        {"type": "odd"},
        {"num_uses": -1},
        {"id": "a.b"},
        {"no_parent": True},
        {"policies": ["response-wrapping"]},
        {"policies": ["root"], "ttl": "1h"},
        {"entity_alias": "x"},
        {"policies": ["a"], "no_default_policy": True, "unknown": 1},
    ],
    ids=json.dumps,
)
def test_what_can_be_asked_for_in_a_token(told, fields):
    """Each field, and each combination that is refused."""

    def story(side):
        made = side.ask("POST", "auth/token/create", {"policies": ["default"], **fields})
        if "auth" in made:
            side.ask("GET", "auth/token/lookup-self", token=made["auth"]["client_token"])

    told(story)


def test_what_plain_tokens_may_make(told):
    """The subset rule, sudo, orphans, batch and limited-use parents."""

    def story(side):
        rights = '["create", "update", "read", "list", "delete"]'
        side.ask(
            "PUT",
            "sys/policies/acl/creator",
            {"policy": f'path "auth/token/*" {{ capabilities = {rights} }}'},
        )
        side.ask(
            "PUT",
            "sys/policies/acl/su",
            {"policy": 'path "auth/token/*" { capabilities = ["create", "update", "sudo"] }'},
        )
        plain_token, sudo = side.token(policies=["creator", "p1"]), side.token(policies=["su", "p1"])
        for fields in (
            {},
            {"policies": ["p1"]},
            {"policies": ["p2"]},
            {"policies": ["root"]},
            {"no_parent": True},
            {"period": "1h"},
            {"id": "foo"},
        ):
            side.ask("POST", "auth/token/create", fields, token=plain_token)
        for fields in (
            {"policies": ["p2"], "no_parent": True},
            {"policies": ["root"], "no_parent": True},
            {"policies": ["p1"], "period": "1h"},
        ):
            side.ask("POST", "auth/token/create", fields, token=sudo)
        for fields, token in (
            ({"policies": ["p1"]}, plain_token),
            ({"policies": ["p2"]}, plain_token),
            ({"policies": ["p2"]}, sudo),
        ):
            side.ask("POST", "auth/token/create-orphan", fields, token=token)
        side.ask("POST", "auth/token/create/none", {}, token=plain_token)
        side.ask("POST", "auth/token/revoke-orphan", {"token": "nope"}, token=plain_token)
        side.ask("LIST", "auth/token/accessors", token=plain_token)
        batch = side.ask("POST", "auth/token/create", {"type": "batch"}, token=plain_token)["auth"][
            "client_token"
        ]
        for path in ("create", "renew-self", "revoke-self"):
            side.ask("POST", f"auth/token/{path}", {}, token=batch)
        limited = side.ask("POST", "auth/token/create", {"num_uses": 2}, token=plain_token)["auth"][
            "client_token"
        ]
        side.ask("POST", "auth/token/create", {}, token=limited)
        for _ in range(2):
            side.ask("GET", "auth/token/lookup-self", token=limited)
        side.ask("POST", "auth/token/revoke-self", token=plain_token)
        side.ask("GET", "auth/token/lookup-self", token=batch)
        ending = side.token(policies=["root"], ttl="1h")
        side.ask("POST", "auth/token/create", {}, token=ending)
        side.ask("POST", "auth/token/create", {"ttl": "2h"}, token=ending)

    told(story)


def test_token_roles(told):
    """Shown, merged, and what they make of a token."""

    def story(side):
        side.ask("GET", "auth/token/roles/absent")
        side.ask("DELETE", "auth/token/roles/absent")
        side.ask("POST", "auth/token/roles/x", {})
        side.ask("GET", "auth/token/roles/x")
        side.ask(
            "POST",
            "auth/token/roles/x",
            {
                "allowed_policies": "a,b",
                "orphan": True,
                "path_suffix": "sfx",
                "renewable": False,
                "token_bound_cidrs": ["127.0.0.1/32", "10.0.0.0/8"],
                "token_num_uses": 4,
                "period": "1h",
            },
        )
        side.ask("GET", "auth/token/roles/x")
        for fields in (
            {},
            {"policies": ["c"]},
            {"policies": ["a"], "no_default_policy": True, "num_uses": 9, "period": "3h"},
            {"policies": ["a", "default"]},
        ):
            side.ask("POST", "auth/token/create/x", fields)
        for fields in ({"path_suffix": "../x"}, {"token_type": "batch", "orphan": False}):
            side.ask("POST", "auth/token/roles/x", fields)
        side.ask(
            "POST",
            "auth/token/roles/y",
            {"token_type": "batch", "orphan": True, "renewable": False, "disallowed_policies": ["z"]},
        )
        for fields in ({"policies": ["z"]}, {"policies": ["w"]}, {}):
            side.ask("POST", "auth/token/create/y", fields)
        side.ask("POST", "auth/token/roles/g", {"allowed_policies_glob": "*"})
        side.ask("POST", "auth/token/create/g", {"policies": ["foo"]})
        side.ask(
            "POST", "auth/token/create/g", {"policies": ["root"]}, ours=400, why="globs never reach root"
        )
        side.ask("LIST", "auth/token/roles")
        side.ask(
            "POST",
            "auth/token/roles/r",
            {"allowed_policies": "root"},
            ours=400,
            why="root is refused when it is written",
        )
        for name in "xyg":
            side.ask("DELETE", f"auth/token/roles/{name}")
        side.ask("DELETE", "auth/token/roles/r")

    told(story)


def test_userpass(told):
    """Users, logins, refusals, lockout."""

    def story(side):
        side.ask("POST", "sys/auth/like-up", {"type": "userpass"})
        users = "auth/like-up/users"
        side.ask("LIST", users)
        side.ask(
            "POST", f"{users}/Ada", {"password": "fake-pw-1", "token_policies": "b,a", "token_ttl": "1h"}
        )
        side.ask("GET", f"{users}/ada")
        side.ask("POST", f"{users}/bo", {"policies": "a"})
        side.ask(
            "POST",
            f"{users}/bo",
            {
                "password": "fake-pw-2",
                "policies": "a",
                "ttl": "1h",
                "max_ttl": "2h",
                "bound_cidrs": "127.0.0.1",
            },
        )
        side.ask("GET", f"{users}/bo")
        for fields in (
            {"token_ttl": "3h"},
            {"token_type": "batch", "token_num_uses": 3},
            {"token_type": "batch", "token_period": 3},
        ):
            side.ask("POST", f"{users}/bo", fields)
        side.ask(
            "POST",
            f"{users}/bo",
            {"token_policies": "ROOT"},
            ours=400,
            why="root is refused when it is written",
        )
        side.ask("POST", f"{users}/bo/policies", {"policies": "a"})
        side.ask("LIST", users)
        auth = side.ask("POST", "auth/like-up/login/BO", {"password": "fake-pw-2"}, token=None)["auth"]
        side.ask("POST", "auth/token/renew-self", {}, token=auth["client_token"])
        for name, password in (("bo", "wrong"), ("ghost", "x")):
            side.ask("POST", f"auth/like-up/login/{name}", {"password": password}, token=None)
        side.ask(
            "POST",
            "auth/like-up/login/bo",
            {},
            token=None,
            ours=400,
            why="a missing field is the caller's mistake, not a fault",
        )
        side.ask(
            "GET",
            "auth/like-up/login/bo",
            token=None,
            ours=403,
            why="without a token no path is told from another",
        )
        side.ask("POST", f"{users}/bo/password", {"password": "fake-pw-3"})
        side.ask("POST", f"{users}/bo/password", {})
        side.ask(
            "POST",
            f"{users}/ghost/password",
            {"password": "fake"},
            ours=404,
            why="the user is missing, nothing failed",
        )
        side.ask("DELETE", f"{users}/ghost")
        side.ask("GET", f"{users}/ghost")
        for _ in range(6):
            side.ask("POST", "auth/like-up/login/ada", {"password": "wrong"}, token=None)
        side.ask("POST", "auth/like-up/login/ada", {"password": "fake-pw-1"}, token=None)
        side.ask("DELETE", "sys/auth/like-up")
        side.ask("GET", "auth/token/lookup-self", token=auth["client_token"])

    told(story)


def test_approle_roles(told):
    """Roles and their fields."""

    def story(side):
        side.ask("POST", "sys/auth/like-roles", {"type": "approle"})
        role = "auth/like-roles/role"
        side.ask("LIST", role)
        side.ask("GET", f"{role}/x")
        side.ask("POST", f"{role}/x", {})
        side.ask("GET", f"{role}/x")
        side.ask(
            "POST",
            f"{role}/Web",
            {
                "token_policies": "b,a",
                "token_ttl": "20m",
                "token_max_ttl": "30m",
                "secret_id_num_uses": 2,
                "secret_id_ttl": "10m",
                "secret_id_bound_cidrs": "127.0.0.0/8",
                "token_bound_cidrs": "127.0.0.1",
            },
        )
        side.ask("GET", f"{role}/web")
        side.ask("LIST", role)
        side.ask(
            "POST",
            f"{role}/bad",
            {"bind_secret_id": False},
            ours=400,
            why="the caller's mistake, not a fault",
        )
        for fields in (
            {"token_ttl": "3h", "token_max_ttl": "1h"},
            {"token_type": "batch", "token_num_uses": 3},
            {"secret_id_num_uses": -1},
        ):
            side.ask("POST", f"{role}/bad", fields)
        side.ask("POST", f"{role}/named", {"role_id": "like-role", "policies": "q"})
        side.ask("GET", f"{role}/named")
        side.ask(
            "POST",
            f"{role}/other",
            {"role_id": "like-role"},
            ours=400,
            why="the caller's mistake, not a fault",
        )
        for path in (
            "policies",
            "token-ttl",
            "token-max-ttl",
            "token-num-uses",
            "period",
            "secret-id-num-uses",
            "secret-id-ttl",
            "secret-id-bound-cidrs",
            "token-bound-cidrs",
            "local-secret-ids",
        ):
            side.ask("GET", f"{role}/web/{path}")
        for path, field, value in (
            ("policies", "token_policies", "x"),
            ("token-ttl", "token_ttl", "5m"),
            ("period", "token_period", "5h"),
            ("token-num-uses", "token_num_uses", 5),
            ("secret-id-ttl", "secret_id_ttl", 5),
        ):
            if path != "period":  # the text there has the older name
                side.ask("POST", f"{role}/web/{path}", {})
            side.ask("POST", f"{role}/web/{path}", {field: value})
            side.ask("GET", f"{role}/web/{path}")
            side.ask("DELETE", f"{role}/web/{path}")
            side.ask("GET", f"{role}/web/{path}")
        side.ask("GET", f"{role}/web/role-id")
        side.ask("POST", f"{role}/web/role-id", {"role_id": "like-web"})
        side.ask("POST", f"{role}/web/role-id", {})
        side.ask("GET", f"{role}/web/role-id")
        side.ask("GET", f"{role}/none/role-id")
        side.ask("DELETE", f"{role}/web")
        side.ask("GET", f"{role}/web")
        side.ask("DELETE", "sys/auth/like-roles")

    told(story)


def test_approle_secret_ids_and_logins(told):
    """Made, looked up, used up, destroyed; and what is said of those that are not there."""

    def story(side):
        side.ask("POST", "sys/auth/like-ids", {"type": "approle"})
        role = "auth/like-ids/role/sec"
        side.ask(
            "POST",
            role,
            {"token_policies": "a", "secret_id_num_uses": 2, "secret_id_ttl": "10m", "role_id": "like-sec"},
        )
        side.ask("LIST", f"{role}/secret-id")
        made = side.ask("POST", f"{role}/secret-id", {"metadata": json.dumps({"k": "v"})})["data"]
        for fields in ({"ttl": "5m", "num_uses": 1}, {"num_uses": 10}, {"num_uses": 0}, {"num_uses": -1}):
            side.ask("POST", f"{role}/secret-id", fields)
        side.ask("POST", f"{role}/custom-secret-id", {})
        side.ask("POST", f"{role}/custom-secret-id", {"secret_id": "fake-chosen"})
        for path, field in (("secret-id", "secret_id"), ("secret-id-accessor", "secret_id_accessor")):
            side.ask("POST", f"{role}/{path}/lookup", {field: made[field]})
            side.heard[-1] = Heard(path, side.heard[-1].status, side.heard[-1].said)
            side.ask("POST", f"{role}/{path}/lookup", {})
            side.ask("POST", f"{role}/{path}/destroy", {})
        side.ask("POST", f"{role}/secret-id/lookup", {"secret_id": "none"})
        side.ask("POST", f"{role}/secret-id/destroy", {"secret_id": "none"})
        side.ask(
            "POST",
            f"{role}/secret-id-accessor/lookup",
            {"secret_id_accessor": "none"},
            ours=404,
            why="as OpenBao, but the text does not repeat what was sent",
        )
        side.ask(
            "POST",
            f"{role}/secret-id-accessor/destroy",
            {"secret_id_accessor": "none"},
            ours=404,
            why="absent, not a fault",
        )
        side.ask("POST", "auth/like-ids/role/none/secret-id", {})
        for body in (
            {"role_id": "like-sec", "secret_id": made["secret_id"]},
            {"role_id": "like-sec", "secret_id": made["secret_id"]},
            {"role_id": "like-sec", "secret_id": made["secret_id"]},
            {"role_id": "like-sec", "secret_id": "wrong"},
            {"role_id": "like-sec"},
            {"role_id": "unknown", "secret_id": "x"},
            {"role_id": "like-sec", "secret_id": "fake-chosen"},
        ):
            side.ask("POST", "auth/like-ids/login", body, token=None)
            side.heard[-1] = Heard("login", side.heard[-1].status, side.heard[-1].said)
        side.ask(
            "POST",
            "auth/like-ids/login",
            {},
            token=None,
            ours=400,
            why="a missing field is the caller's mistake, not a fault",
        )
        side.ask("POST", "auth/like-ids/tidy/secret-id")
        side.ask("POST", f"{role}/secret-id", {}, wrap="60")
        side.ask("DELETE", "sys/auth/like-ids")

    told(story)


def test_wrapping(told):
    """Wrapped, looked at, unwrapped in each way, rewrapped; spent, and used elsewhere."""

    def story(side):
        def wrapped():
            made = side.ask("POST", "sys/wrapping/wrap", {"a": 1, "b": {"c": 2}}, wrap="60")
            return made["wrap_info"]["token"]

        token = wrapped()
        for header, body in (("root", {"token": token}), (None, {"token": token}), (token, {})):
            side.ask("POST", "sys/wrapping/lookup", body, token=header)
            side.heard[-1] = Heard("lookup", side.heard[-1].status, side.heard[-1].said)
        side.ask("GET", "sys/wrapping/lookup", token=token)
        for header, body in (
            (token, {}),
            (token, {}),
            ("root", {"token": token}),
            (None, {"token": "nope"}),
            (None, {}),
            ("root", {}),
        ):
            side.ask("POST", "sys/wrapping/unwrap", body, token=header)
            side.heard[-1] = Heard("unwrap", side.heard[-1].status, side.heard[-1].said)
        for path in ("secret/data/x", "auth/token/lookup-self"):
            token = wrapped()
            side.ask("GET", path, token=token)
            side.ask("POST", "sys/wrapping/unwrap", {}, token=token)
        fresh = side.ask("POST", "sys/wrapping/rewrap", {"token": wrapped()})["wrap_info"]["token"]
        side.heard.pop()
        side.ask("POST", "sys/wrapping/unwrap", {}, token=fresh)
        side.ask("POST", "sys/wrapping/rewrap", {"token": "nope"})
        side.ask("POST", "sys/wrapping/wrap", {"a": 1})
        for ttl in ("-1", "9999999h", "bogus"):
            side.ask(
                "POST", "sys/wrapping/wrap", {"a": 1}, wrap=ttl, ours=400, why="the same refusal in our words"
            )
        side.ask(
            "POST",
            "sys/wrapping/wrap",
            {"a": 1},
            wrap="99999h",
            ours=400,
            why="nobody waits for eleven years",
        )
        token = side.ask("POST", "auth/token/create", {"policies": ["default"]}, wrap="60")["wrap_info"][
            "token"
        ]
        side.ask("POST", "sys/wrapping/unwrap", {}, token=token)
        side.ask("POST", "sys/wrapping/unwrap", {"token": wrapped()}, token="nope")
        side.heard.pop()
        side.ask("GET", "secret/data/nothing-here", wrap="60")

    told(story)


def test_leases(told):
    """Down the path of a login's lease, and its end."""

    def story(side):
        side.ask("POST", "sys/auth/like-leases", {"type": "userpass"})
        side.ask("POST", "auth/like-leases/users/ada", {"password": "fake", "token_ttl": "1h"})
        token = side.ask("POST", "auth/like-leases/login/ada", {"password": "fake"}, token=None)["auth"][
            "client_token"
        ]
        side.ask("LIST", "sys/leases/lookup/auth/like-leases")
        last = side.ask("LIST", "sys/leases/lookup/auth/like-leases/login/ada")["data"]["keys"][0]
        side.heard.pop()
        name = f"auth/like-leases/login/ada/{last}"
        said = side.ask("POST", "sys/leases/lookup", {"lease_id": name})["data"]
        side.heard.pop()
        assert set(said) == {"id", "path", "issue_time", "expire_time", "last_renewal", "renewable", "ttl"}
        side.ask("POST", "sys/leases/renew", {"lease_id": name})
        side.heard[-1] = Heard("renew", side.heard[-1].status, side.heard[-1].said)
        for path in ("lookup", "renew", "revoke"):
            side.ask("POST", f"sys/leases/{path}", {})
            side.ask("POST", f"sys/leases/{path}", {"lease_id": "nope/x"})
        side.ask("LIST", "sys/leases/lookup/nothing")
        side.ask("GET", "sys/leases?type=irrevocable")
        side.ask("GET", "sys/leases/count?type=irrevocable")
        side.ask("PUT", "sys/leases/revoke-prefix/auth/like-leases/login", {})
        side.ask("GET", "auth/token/lookup-self", token=token)
        side.ask("PUT", "sys/leases/revoke-force/auth/like-leases", {})
        side.ask("POST", "sys/leases/tidy")
        side.ask("DELETE", "sys/auth/like-leases")

    told(story)
