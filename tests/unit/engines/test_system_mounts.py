"""Mounts: what moving one means for its tokens, and where it can go."""

import pytest


def test_moving_an_auth_method_ends_the_tokens_it_gave(server, policy):
    """They would outlive it: nothing that is done to the method at its new path would reach them."""
    server.ask("POST", "sys/auth/old", {"type": "approle"})
    policies = [policy("p", {"secret/data/x": ["read"]})]
    role = {"bind_secret_id": False, "token_bound_cidrs": "127.0.0.0/8", "token_policies": policies}
    server.ask("POST", "auth/old/role/ci", role)
    role_id = server.ask("GET", "auth/old/role/ci/role-id").data["role_id"]

    def log_in(mount):
        answer = server.ask("POST", f"auth/{mount}/login", {"role_id": role_id}, token=None)
        return answer.json["auth"]["client_token"]

    token = log_in("old")
    assert server.ask("GET", "auth/token/lookup-self", token=token).status == 200
    assert server.ask("POST", "sys/remount", {"from": "auth/old", "to": "auth/new"}).status == 200
    assert server.ask("GET", "auth/token/lookup-self", token=token).status == 403
    assert server.ask("GET", "auth/token/lookup-self", token=log_in("new")).status == 200


@pytest.mark.parametrize(
    "target",
    ["a/../b", "a//b", "./a", "bad\u0007", "cafe\u0301", "sys/x", "auth/x", "cubbyhole", "/", "a" * 600],
)
def test_a_mount_moves_to_a_path_that_can_be_asked_for(server, target):
    """A path that no request can have would hide the mount with all its secrets for good."""
    server.ask("POST", "secret/data/app", {"data": {"a": 1}})
    assert server.ask("POST", "sys/remount", {"from": "secret", "to": target}).status == 400
    assert server.ask("GET", "secret/data/app").status == 200


def test_an_auth_method_is_unmounted_with_sudo_only(server, policy, token_of):
    """The right to unmount secrets engines does not reach auth methods, whose unmounting takes `sudo`."""
    server.ask("POST", "sys/auth/up", {"type": "userpass"})
    token = token_of(policies=[policy("p", {"sys/mounts/*": ["delete"], "sys/auth/*": ["delete"]})])
    answer = server.ask("DELETE", "sys/mounts/auth/up", token=token)
    assert (answer.status, answer.errors) == (400, ['cannot unmount "auth/up/"'])
    assert server.ask("DELETE", "sys/auth/up", token=token).status == 403
    assert server.ask("GET", "sys/auth/up").status == 200
