"""What is said of a decision."""

import pytest
from tests.unit.domain.rules import acl, raw, rule

from ml_secrets.domain.acl import Reason
from ml_secrets.domain.advice import explain, missing, refusal
from ml_secrets.domain.capability import Capability as C


@pytest.mark.parametrize(
    ("text", "path", "capability", "words"),
    [
        ("", "k/x", C.READ, ["no rule", 'path "k/x" { capabilities = ["read"] }']),
        ("", "k/x", C.LIST, ['path "k/x/" { capabilities = ["list"] }']),
        (
            rule("k/*", "read"),
            "k/x",
            C.UPDATE,
            ['rule "k/*" of policy "p0"', "gives read but not update", 'add "update"', 'path "k/x"'],
        ),
        (rule("k/x", "read"), "k/x", C.UPDATE, ['add "update"']),
        (rule("k/x"), "k/x", C.UPDATE, ["gives nothing"]),
        (rule("k/*", "deny"), "k/x", C.READ, ["denies", "more exact", 'path "k/x"']),
        (rule("k/x", "deny"), "k/x", C.READ, ["no other rule can allow it"]),
        (
            rule("k/x", "read", extra="max_wrapping_ttl = 60"),
            "k/x",
            C.READ,
            ["X-Vault-Wrap-TTL", "at most 1m0s"],
        ),
        (rule("k/x", "read", extra="min_wrapping_ttl = 60"), "k/x", C.READ, ["of at least 1m0s"]),
        (
            rule("k/x", "read", extra='required_parameters = ["v"]'),
            "k/x",
            C.READ,
            ['requires the parameter "v"'],
        ),
        (rule("k/x", "read"), "k/x", C.READ, ['the rule "k/x" of policy "p0" gives read']),
        (rule('k/\\"x', "read"), 'k/"x', C.UPDATE, ['"k/\\"x"']),
        ("", "k/caf\u00e9", C.READ, ['path "k/caf\u00e9"']),
    ],
)
def test_a_decision_says_what_to_do_next(text, path, capability, words):
    """The rule, its policies, what is missing, and a rule that would give it."""
    said = explain(acl(text).check(path, capability))
    for word in words:
        assert word in said


def test_other_sayings():
    """Root, sudo, several policies, and parameters, whose values are never said."""
    assert explain(acl(root=True).check("x", C.READ)) == "the root policy allows everything"
    assert '"sudo"' in explain(acl(rule("x", "read")).check("x", C.READ, sudo=True))
    assert 'policies "p0", "p1"' in explain(acl(rule("x", "read"), rule("x", "read")).check("x", C.READ))
    secret = "hunter2-not-a-secret"  # obviously fake
    for extra in (
        'denied_parameters = { a = ["hunter2*"] }',
        "denied_parameters = { a = [] }",
        'denied_parameters = { "*" = [] }',
        'allowed_parameters = { a = ["x"] }',
        "allowed_parameters = { b = [] }",
    ):
        decision = acl(rule("x", "update", extra=extra)).check("x", C.UPDATE, fields=raw(a=secret))
        assert decision.reason is Reason.PARAMETER
        assert secret not in explain(decision)
        assert secret not in repr(decision)


def test_an_unfilled_template_is_named_as_the_reason():
    """It denies what it could stand for, and says so."""
    decision = acl(rule("k/{{a}}", "deny"), rule("*", "read")).check("k/x", C.READ)
    assert "template" in explain(decision)


def test_other_peoples_policies_are_not_called_yours():
    """Where they are only tried."""
    assert "no rule of these policies" in explain(acl().check("x", C.READ), whose="these")


@pytest.mark.parametrize(
    ("text", "sudo", "lacks"),
    [
        (rule("x", "read", "sudo"), True, []),
        (rule("x", "read"), False, []),
        (rule("x", "read"), True, ["sudo"]),
        (rule("x", "list"), True, ["read", "sudo"]),
        (rule("x", "deny"), False, ["read"]),
        (rule("y", "read"), True, ["read", "sudo"]),
    ],
)
def test_what_is_missing_is_named(text, sudo, lacks):
    """Each capability that was asked for and is not given; a deny and a missing rule give none."""
    assert missing(acl(text).check("x", C.READ, sudo=sudo), sudo=sudo) == lacks


def test_a_refusal_says_what_would_have_to_change():
    """In its hint; its text is the one that clients know."""
    refused = refusal("write a rule")
    assert (refused.message.split(), refused.hint) == (
        ["1", "error", "occurred:", "*", "permission", "denied"],
        "write a rule",
    )
