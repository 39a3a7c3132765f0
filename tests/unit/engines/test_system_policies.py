"""Policies: what capabilities tell, and at what cost."""

import pytest


@pytest.mark.parametrize("name", ["alice", "ALICE", "Alice"])
def test_capabilities_know_that_names_have_no_case(server, policy, token_of, name):
    """What they tell of a name's spelling is what holds for it: a rule for `alice` is a rule for `ALICE`."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    token = token_of(
        policies=[
            policy("p", {"auth/userpass/users/*": ["read"], "auth/userpass/users/alice": ["deny"]}),
            "default",
        ]
    )
    path = f"auth/userpass/users/{name}"
    told = server.ask("POST", "sys/capabilities-self", {"path": path}, token=token)
    assert told.data["capabilities"] == ["deny"]
    told = server.ask("POST", "sys/policies/simulate-self", {"requests": [{"path": path}]}, token=token)
    assert told.data["allowed"] is False
    assert server.ask("GET", path, token=token).status == 403


def test_capabilities_are_asked_for_so_many_paths(server):
    """A list without end is refused: every token may ask, and the answer takes its time."""
    paths = [f"secret/data/{number}" for number in range(1001)]
    assert server.ask("POST", "sys/capabilities-self", {"paths": paths}).status == 400
    assert server.ask("POST", "sys/capabilities-self", {"paths": paths[1:]}).status == 200


def test_capabilities_of_a_folder_keep_their_slash(server, policy, token_of):
    """A path with a slash at its end is asked about as a folder, and answered under that name."""
    token = token_of(policies=[policy("p", {"secret/metadata/team/": ["list"]})])
    told = server.ask("POST", "sys/capabilities-self", {"path": "/secret/metadata/team/"}, token=token)
    assert told.data["/secret/metadata/team/"] == ["list"]
