"""engines/system/leases.py: what lives for a while, as `sys/leases` shows and ends it."""

import pytest


@pytest.fixture
def lease(server):
    """A login's (token, lease id)."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    server.ask("POST", "auth/userpass/users/ada", {"password": "fake", "token_ttl": "1h"})
    auth = server.ask("POST", "auth/userpass/login/ada", {"password": "fake"}, token=None).json["auth"]
    return auth["client_token"], f"auth/userpass/login/ada/{auth['accessor']}"


def test_a_lease_is_found_by_going_down_its_path(server, lease):
    """LIST by LIST, then a lookup. Its id is the path and 24 characters, and tells nothing of the token's name in the store."""
    token, name = lease
    assert server.ask("LIST", "sys/leases/lookup").data == {"keys": ["auth/"]}
    assert server.ask("LIST", "sys/leases/lookup/auth/userpass").data == {"keys": ["login/"]}
    assert server.ask("LIST", "sys/leases/lookup/auth/userpass/login/ada").data == {
        "keys": [name.rsplit("/", 1)[1]]
    }
    assert server.ask("LIST", "sys/leases/lookup/nothing").status == 404
    assert len(name.rsplit("/", 1)[1]) == 24
    server.now += 60
    assert server.ask("POST", "sys/leases/lookup", {"lease_id": name}).data == {
        "id": name,
        "path": "auth/userpass/login/ada",
        "issue_time": "2023-11-14T22:13:20Z",
        "expire_time": "2023-11-14T23:13:20Z",
        "last_renewal": None,
        "renewable": True,
        "ttl": 3540,
    }
    assert server.house.tokens.key_of(token) not in name


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("lookup", {}, "lease_id must be specified"),
        ("lookup", {"lease_id": "nope/x"}, "invalid lease"),
        ("renew", {}, "lease_id must be specified"),
        ("renew", {"lease_id": "nope/x"}, "lease not found"),
        ("revoke", {}, "lease_id must be specified"),
    ],
)
def test_what_is_no_lease_gets_the_texts_of_the_wire(server, path, body, text):
    """400."""
    answer = server.ask("POST", f"sys/leases/{path}", body)
    assert (answer.status, answer.errors) == (400, [text])


def test_a_lease_with_another_path_is_none(server, lease):
    """The accessor alone is not enough."""
    accessor = lease[1].rsplit("/", 1)[1]
    for name in (f"auth/userpass/login/bob/{accessor}", accessor, f"/{accessor}"):
        assert server.ask("POST", "sys/leases/lookup", {"lease_id": name}).errors == ["invalid lease"]
        assert server.ask("POST", "sys/leases/revoke", {"lease_id": name}).status == 204
    assert server.ask("GET", "auth/token/lookup-self", token=lease[0]).status == 200


def test_tokens_are_not_renewed_by_their_leases(server, lease):
    """As in OpenBao; in the body and in the path."""
    for path, body in (("renew", {"lease_id": lease[1]}), (f"renew/{lease[1]}", {})):
        assert server.ask("POST", f"sys/leases/{path}", body).errors == [
            "tokens cannot be renewed through this endpoint"
        ]


@pytest.mark.parametrize("how", ["body", "path", "prefix", "force"])
def test_the_end_of_a_lease_is_the_end_of_its_token(server, lease, how):
    """At once, whatever `sync` says; a second time it is no error."""
    token, name = lease
    path, body = {
        "body": ("revoke", {"lease_id": name}),
        "path": (f"revoke/{name}", {}),
        "prefix": ("revoke-prefix/auth/userpass", {}),
        "force": ("revoke-force/auth/userpass/login/ada", {"sync": False}),
    }[how]
    for _ in range(2):
        assert server.ask("POST", f"sys/leases/{path}", body).status == 204
    assert server.ask("GET", "auth/token/lookup-self", token=token).status == 403
    assert server.ask("POST", "sys/leases/lookup", {"lease_id": name}).errors == ["invalid lease"]


def test_who_does_not_want_to_wait_is_told_so(server, lease):
    """202 for sync=false, which the command line sends."""
    assert server.ask("POST", "sys/leases/revoke", {"lease_id": lease[1], "sync": "false"}).status == 202
    assert server.ask("POST", "sys/leases/revoke-prefix/auth/userpass", {"sync": False}).status == 202


def test_prefixes_and_lists_need_sudo(server, policy, token_of):
    """They reach into everybody's leases."""
    token = token_of(policies=[policy("leaser", {"sys/leases/*": ["read", "list", "update"]})])
    for method, path in (
        ("LIST", "lookup/auth"),
        ("POST", "revoke-prefix/auth"),
        ("POST", "revoke-force/auth"),
        ("POST", "tidy"),
        ("GET", "count"),
    ):
        assert server.ask(method, f"sys/leases/{path}", token=token).status == 403


def test_old_paths_are_not_there(server, lease):
    """Matrix 37: sys/revoke and sys/renew have no back door."""
    for path in (
        "revoke",
        "renew",
        "revoke-prefix/auth",
        "revoke-force/auth",
        f"revoke/{lease[1]}",
        f"renew/{lease[1]}",
    ):
        assert server.ask("POST", f"sys/{path}", {"lease_id": lease[1]}).status in (404, 405)
    assert server.ask("GET", "auth/token/lookup-self", token=lease[0]).status == 200


def test_leases_are_counted_by_mount(server, lease):
    """Root tokens without an end are none."""
    assert server.ask("GET", "sys/leases/count").data == {"lease_count": 1, "counts": {"auth/userpass/": 1}}
    assert server.ask("GET", "sys/leases?type=irrevocable").data == {"lease_count": 0, "leases": []}
    assert server.ask("GET", "sys/leases/count?type=irrevocable").data == {"lease_count": 0, "counts": {}}
    assert server.ask("POST", "sys/leases/tidy").status == 202


def test_the_list_of_leases_is_not_asked_for_by_its_root(server):
    """`type` must say which ones."""
    assert server.ask("GET", "sys/leases").status == 400
