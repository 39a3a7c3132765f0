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


@pytest.mark.parametrize("prefix", ["sys/mounts/secret", "sys/auth/up"])
def test_tuning_says_which_fields_it_takes(server, prefix):
    """Help names them, and a wrong type is refused by name."""
    server.ask("POST", "sys/auth/up", {"type": "userpass"})
    told = server.ask("GET", f"{prefix}/tune?help=1").json["help"]
    assert "listing_visibility" in told
    assert "user_lockout_config" in told
    answer = server.ask("POST", f"{prefix}/tune", {"options": {"a": [1]}})
    assert (answer.status, "'options'" in answer.errors[0]) == (400, True)
    before = server.ask("GET", f"{prefix}/tune").data
    unchanged = {"default_lease_ttl": "", "max_lease_ttl": "", "options": None, "description": None}
    assert server.ask("POST", f"{prefix}/tune", unchanged).status == 204
    assert server.ask("GET", f"{prefix}/tune").data == before


def test_a_mount_keeps_what_it_is_tuned_to(server):
    """Each field as the wire sends it: durations, lists with commas, texts, truths."""
    fields = {
        "default_lease_ttl": "1h",
        "max_lease_ttl": 7200,
        "listing_visibility": "unauth",
        "force_no_cache": "true",
        "audit_non_hmac_request_keys": "a, b",
        "allowed_response_headers": ["x-a"],
        "options": {"mine": True},
    }
    assert server.ask("POST", "sys/mounts/secret/tune", fields).status == 204
    tuned = server.ask("GET", "sys/mounts/secret/tune").data
    assert {name: tuned[name] for name in fields} == {
        "default_lease_ttl": 3600,
        "max_lease_ttl": 7200,
        "listing_visibility": "unauth",
        "force_no_cache": True,
        "audit_non_hmac_request_keys": ["a", "b"],
        "allowed_response_headers": ["x-a"],
        "options": {"version": "2", "mine": "true"},
    }
    too_long = server.ask("POST", "sys/mounts/secret/tune", {"default_lease_ttl": "3h"})
    assert (too_long.status, "above the maximum" in too_long.errors[0]) == (400, True)


@pytest.mark.parametrize(
    "config",
    [
        {"force_no_cache": 1},
        {"listing_visibility": "all"},
        {"description": 1},
        {"token_type": "x"},
        {"allowed_response_headers": [1]},
        {"user_lockout_config": [1]},
        {"user_lockout_config": {"lockout_threshold": "5m"}},
        {"user_lockout_config": {"lockout_threshold": True}},
        {"user_lockout_config": {"lockout_disable": "perhaps"}},
        {"user_lockout_config": {"lockout_duration": -1}},
        [],
    ],
)
def test_a_mount_is_not_made_with_settings_that_make_no_sense(server, config):
    """They are refused, and nothing is mounted."""
    answer = server.ask("POST", "sys/mounts/new", {"type": "kv", "config": config or "text"})
    assert answer.status == 400
    assert server.ask("GET", "sys/mounts/new").status == 400


def test_lockouts_are_switched_off_by_that_word_only(server):
    """A threshold of 0 is the server's own, as on OpenBao, and `lockout_disable` false takes an earlier true back."""
    server.ask("POST", "sys/auth/up", {"type": "userpass"})

    def tuned(**config):
        assert server.ask("POST", "sys/auth/up/tune", {"user_lockout_config": config}).status == 204
        data = server.ask("GET", "sys/auth/up/tune").data
        own = {name: data[name] for name in data if "lockout" in name}
        assert server.ask("GET", "sys/auth/up").data["config"].get("user_lockout_config", {}) == own
        return {name.removeprefix("user_lockout_"): data[name] for name in data if "lockout" in name}

    own = {"threshold": 7, "duration": 300, "counter_reset_duration": 0, "disable": False}
    assert tuned(lockout_threshold="7", lockout_duration="5m") == own
    assert tuned(lockout_disable=True) == own | {"threshold": 0, "disable": True}
    assert tuned(lockout_duration=0) == own | {"threshold": 0, "duration": 0, "disable": True}
    assert tuned(lockout_disable="false") == {}
    assert tuned(lockout_threshold=0) == {}
    tries = [
        server.ask("POST", "auth/up/login/nobody", {"password": "fake-wrong"}, token=None).status
        for _ in range(6)
    ]
    assert tries == [400] * 5 + [403]


@pytest.mark.parametrize(("where", "other"), [("mounts", "userpass"), ("auth", "kv"), ("mounts", "nothing")])
def test_a_mount_is_of_a_kind_that_belongs_there(server, where, other):
    """A login method is no secrets engine, nor the other way round; who asks is told what there is."""
    refused = server.ask("POST", f"sys/{where}/x", {"type": other})
    assert (refused.status, refused.errors) == (400, [f"plugin not found in the catalog: {other}"])
    offered = refused.json["hint"].removeprefix("this build has: ").split(", ")
    assert offered
    for kind in offered:
        assert server.ask("POST", f"sys/{where}/{kind}-here", {"type": kind}).status == 204
