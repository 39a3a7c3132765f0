"""Policies: what lint and capabilities tell, and at what cost."""

import pytest

from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Request
from ml_secrets.testing.programs import ROOT_TOKEN


def test_lint_is_not_for_the_event_loop(server):
    """It compares every rule with every other: that is done in a thread, and for so many rules only."""
    request = Request("1", Verb.WRITE, "sys/policies/lint", token=ROOT_TOKEN)
    assert server.server.pipeline.glance(request) is None
    text = "".join(f'path "a/{number}" {{ capabilities = ["read"] }}\n' for number in range(501))
    answer = server.ask("POST", "sys/policies/lint", {"policy": text})
    assert (answer.status, "500 rules" in answer.errors[0]) == (400, True)
    assert server.ask("POST", "sys/policies/lint", {"policy": text[: text.index("\n")]}).status == 200


@pytest.mark.parametrize("name", ["alice", "ALICE", "Alice"])
def test_capabilities_know_that_names_have_no_case(server, policy, token_of, name):
    """What they tell of a name's spelling is what holds for it: a rule for `alice` is a rule for `ALICE`."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    token = token_of(
        policies=[
            policy("p", {"auth/userpass/users/*": ["read"], "auth/userpass/users/alice": ["deny"]}),
            policy("ask", {"sys/policies/explain": ["update"]}),
        ]
    )
    path = f"auth/userpass/users/{name}"
    told = server.ask("POST", "sys/capabilities-self", {"path": path}, token=token)
    assert told.data["capabilities"] == ["deny"]
    assert server.ask("POST", "sys/policies/explain", {"path": path}, token=token).data["allowed"] is False
    assert server.ask("GET", path, token=token).status == 403


def test_only_what_can_be_asked_for_is_explained(server):
    """`deny` is no operation, and neither is a word that no policy knows."""
    for operation in ("deny", "write", "READ"):
        answer = server.ask("POST", "sys/policies/explain", {"path": "secret/data/x", "operation": operation})
        assert (answer.status, "one of create, read" in answer.json["hint"]) == (400, True)
    told = server.ask("POST", "sys/policies/explain", {"path": "secret/metadata/", "operation": "scan"})
    assert told.data["allowed"] is True


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
