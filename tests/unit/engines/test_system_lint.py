"""sys/policies/lint: what it finds beside what is mounted, whose policies it shows, and at what cost."""

import pytest
from tests.unit.domain.rules import rule

from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Request
from ml_secrets.pipeline.look import Detour, Kind
from ml_secrets.testing.programs import ROOT_TOKEN

LINT = "sys/policies/lint"


def codes(answer):
    assert answer.status == 200, answer
    return [(finding["path"], finding["code"]) for finding in answer.data["findings"]]


def test_lint_is_not_for_the_event_loop(server):
    """It compares every rule with every other: that is done in a thread, and for so many rules only."""
    request = Request("1", Verb.WRITE, LINT, token=ROOT_TOKEN)
    detour = server.server.pipeline.glance(request)
    assert isinstance(detour, Detour)
    assert detour.kind is not Kind.CHANGE
    text = "".join(rule(f"secret/data/{number}", "read") for number in range(501))
    answer = server.ask("POST", LINT, {"policy": text})
    assert (answer.status, "500 rules" in answer.errors[0]) == (400, True)
    assert server.ask("POST", LINT, {"policy": text[: text.index("\n")]}).status == 200


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (rule("sys/polices/acl/*", "read"), "no-operation"),
        (rule("auth/token/creat", "update"), "no-operation"),
        (rule("secret/undelete/app", "read"), "not-asked-for"),
        (rule("secret/dat/app", "read"), "kv2-part"),
        (rule("nowhere/app", "read"), "no-mount"),
        (rule("sys/nothing", "deny"), "no-operation"),
    ],
)
def test_a_rule_that_no_request_can_meet_is_found(server, text, code):
    """The server knows every operation of what is mounted: a rule that none asks for is named, once."""
    assert [found for _, found in codes(server.ask("POST", LINT, {"policy": text}))] == [code]


def test_rules_that_some_request_meets_are_left_alone(server):
    """Globs over several operations, folders, names inside a path, and `sudo` where it is asked for."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    text = "".join(
        (
            rule("secret/+/app", "delete"),
            rule("secret/metadata/", "list"),
            rule("secret/metadata", "list"),
            rule("sys/mounts/team/a/tune", "update"),
            rule("auth/userpass/users/*", "create", "update"),
            rule("auth/token/accessors/", "list", "sudo"),
            rule("s*", "read"),
        )
    )
    assert codes(server.ask("POST", LINT, {"policy": text})) == []


def test_what_is_there_is_named(server):
    """The finding tells what the matched operations ask for."""
    (finding,) = server.ask("POST", LINT, {"policy": rule("secret/destroy/app", "list", "read")}).data[
        "findings"
    ]
    assert finding["text"] == "what is there asks for update: this rule gives nothing"


def test_the_stored_policies_of_a_mount_are_looked_at_each_by_itself(server, policy):
    """Only rules that reach into the mount are told of; a deny in another policy does not count as beside them."""
    server.ask("POST", "sys/mounts/team", {"type": "kv-v2"})
    policy("one", {"team/app": ["read"], "secret/app": ["read"], "team/data/x": ["read"]})
    policy("two", {"team/data/x": ["deny"], "team/d+": ["read"]})
    answer = server.ask("POST", LINT, {"mount": "team"})
    assert codes(answer) == [("team/app", "kv2-part"), ("team/d+", "literal-plus"), ("team/d+", "kv2-part")]
    assert {finding["policy"] for finding in answer.data["findings"]} == {"one", "two"}
    assert server.ask("POST", LINT, {"mount": "nowhere/"}).status == 404


def test_policies_that_one_may_not_read_are_left_out(server, policy, token_of):
    """A finding names a rule, so it is for those who may read it: by name 403, of a mount a count of the others."""
    policy("hidden", {"secret/hidden": ["read"]})
    policy("shown", {"secret/shown": ["read"]})
    policy("linter", {LINT: ["update"], "sys/policies/acl/shown": ["read"], "secret/mine": ["read"]})
    token = token_of(policies=["linter"], no_default_policy=True)
    assert server.ask("POST", LINT, {"name": "hidden"}, token=token).status == 403
    assert server.ask("POST", LINT, {"name": "nobody"}, token=token).status == 403
    assert codes(server.ask("POST", LINT, {"name": "SHOWN"}, token=token)) == [("secret/shown", "kv2-part")]
    answer = server.ask("POST", LINT, {"mount": "secret/"}, token=token)
    assert codes(answer) == [("secret/mine", "kv2-part"), ("secret/shown", "kv2-part")]
    assert answer.json["warnings"] == ["3 policies that you may not read were left out"]
    policy("linter", {LINT: ["update"]})
    assert server.ask("POST", LINT, {"mount": "secret/"}, token=token).status == 404


@pytest.mark.parametrize("body", [{}, {"policy": "x", "mount": "secret"}, {"name": "x", "mount": "secret"}])
def test_one_thing_is_looked_at(server, body):
    """A text, a stored policy, or a mount."""
    assert server.ask("POST", LINT, body).status == 400
    assert server.ask("POST", LINT, {"name": "nobody"}).status == 404
