"""What answers say beside what was asked for: what was not understood, and why nothing else came."""

import pytest

IGNORED = "Endpoint ignored these unrecognized parameters: [nonsense other]"
MORE = {"nonsense": 1, "other": 2}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("secret/data/app", {"data": {}}),
        ("auth/token/create", {"ttl": "1h"}),
        ("auth/userpass/login/ann", {"password": "FAKE-password"}),
    ],
)
def test_what_an_operation_does_not_know_is_told(server, path, body):
    """Whatever the answer has: data, a token, or that of a login. Nothing is told where all is known."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    server.ask("POST", "auth/userpass/users/ann", {"password": "FAKE-password"})
    assert server.ask("POST", path, body | MORE).json["warnings"] == [IGNORED]
    assert server.ask("POST", path, body).json["warnings"] is None


def test_an_answer_without_a_body_has_no_place_for_that(server):
    """It stays without one."""
    answer = server.ask("POST", "secret/metadata/app", {"max_versions": 3, **MORE})
    assert (answer.status, answer.body) == (204, b"")


def test_a_login_tells_what_was_cut_and_what_was_not_understood(server):
    """In that order."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    user = {"password": "FAKE-password", "token_ttl": 600, "token_explicit_max_ttl": 300}
    server.ask("POST", "auth/userpass/users/ann", user)
    answer = server.ask("POST", "auth/userpass/login/ann", {"password": "FAKE-password", **MORE}, token=None)
    cut, ignored = answer.json["warnings"]
    assert 'exceeded the effective max_ttl of "5m"' in cut
    assert ignored == IGNORED


@pytest.mark.parametrize(("right", "status"), [("create", 400), ("update", 403)])
def test_a_name_that_nothing_can_have_is_new(server, policy, token_of, right, status):
    """Who may create is told by the operation that it is none; who may only update is denied."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    token = token_of(policies=[policy("writer", {"auth/userpass/users/*": [right]})])
    user = {"password": "FAKE-password"}
    assert server.ask("POST", "auth/userpass/users/-ann", user, token=token).status == status


def test_quotas_count_each_address(server):
    """One that has used its own up is refused; another is not."""
    assert (
        server.ask("POST", "sys/quotas/rate-limit/q", {"path": "secret/", "rate": 1, "interval": "1h"}).status
        == 204
    )
    asked = [
        server.ask("GET", "secret/data/app", address=address).status
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2")
    ]
    assert asked == [404, 429, 404]
