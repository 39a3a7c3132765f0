"""What the policy lint finds."""

import pytest
from tests.unit.domain.rules import rule

from ml_secrets.domain.capability import Capability as C
from ml_secrets.domain.lint import lint
from ml_secrets.domain.policy import BUILT_IN, parse_policy

MOUNTS = {"secret/": "kv-v2", "kv1/": "kv-v1", "transit/": "transit", "team/a/": "kv-v2"}


def codes(*texts, mounts=None, asked_for=None):
    policies = [parse_policy(f"p{at}", text) for at, text in enumerate(texts)]
    return [(finding.pattern, finding.code) for finding in lint(policies, mounts=mounts, asked_for=asked_for)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (rule("a/*/b", "read"), "literal-star"),
        (rule("a/b*c*", "read"), "literal-star"),
        (rule("a/b+", "read"), "literal-plus"),
        (rule("v1/secret/x", "read"), "api-prefix"),
        (rule("a//b", "read"), "no-such-path"),
        (rule("a/../b", "read"), "no-such-path"),
        (rule("a/{{identity.entity.id}}", "read"), "template"),
        (rule("a/{{identity.entity.id}}", "deny"), "template"),
        (rule("a/b"), "no-capabilities"),
        (rule("a/b", "deny", "read"), "deny-and-more"),
        (rule("a/b", "sudo"), "sudo-alone"),
        (rule("a/b/", "read", "list"), "folder"),
        (rule("a/b", "list", extra="allowed_parameters = { a = [] }"), "unused-parameters"),
        (rule("a/b", "update", extra='allowed_parameters = { a = ["*"] }'), "star-value"),
        (rule("a/b", "update", extra='denied_parameters = { a = [] "*" = [] }'), "deny-all-parameters"),
    ],
)
def test_a_rule_that_does_not_mean_what_it_seems_to(text, code):
    """One defect, one finding."""
    assert [found for _, found in codes(text)] == [code]


def test_a_folder_may_be_listed_with_sudo():
    """Some lists ask for `sudo` besides."""
    assert codes(rule("a/b/", "list", "sudo")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rule("a/b", "deny") + rule("a/b", "read"), [("a/b", "repeated"), ("a/b", "denied-elsewhere")]),
        (rule("a/b", "list") + rule("a/b", "read"), [("a/b", "repeated")] * 2),
        (rule("a/*", "list") + rule("a/+/b*", "read"), [("a/+/b*", "overruled")]),
        (rule("*", "list") + rule("+/b*", "read"), [("+/b*", "overruled")]),
        (rule("a/+/*", "list") + rule("+/+/b*", "read"), []),
        (rule("a/*", "list") + rule("a/+/b", "read") + rule("a/b/*", "read"), []),
        (rule("a/*", "deny") + rule("a/b", "read"), [("a/b", "exception-to-deny")]),
        (rule("a/*", "deny") + rule("a/b/*", "read"), [("a/b/*", "exception-to-deny")]),
        (rule("a/b/*", "deny") + rule("a/*", "read"), []),
        (rule("a/+/c*", "deny") + rule("a/+/cd*", "read"), [("a/+/cd*", "exception-to-deny")]),
        (rule("a/*", "deny") + rule("a/b", "deny"), []),
        (rule("a/*", "deny") + rule("a/{{b}}", "read"), [("a/{{b}}", "template")]),
        (rule("a/*", "deny") + rule("a/b"), [("a/b", "no-capabilities")]),
        (rule("a/*", "list") + rule("a/+/{{b}}*", "read"), [("a/+/{{b}}*", "template")]),
        (
            rule("a/b", "list") + rule("x/*", "list") + rule("a/*", "list") + rule("a/+/b*", "read"),
            [("a/+/b*", "overruled")],
        ),
    ],
)
def test_rules_beside_each_other(text, expected):
    """Repeated, denied, overruled everywhere, or an exception to a deny."""
    assert codes(text) == expected


@pytest.mark.parametrize(
    "extra",
    [
        "allowed_parameters = { a = [] }",
        "denied_parameters = { a = [] }",
        'required_parameters = ["a"]',
    ],
)
def test_parameters_of_a_list_are_never_looked_at(extra):
    """Allowed, denied or required."""
    assert codes(rule("a/b", "list", extra=extra)) == [("a/b", "unused-parameters")]


@pytest.mark.parametrize("denied", ["{ a = [] b = [] }", '{ "*" = [] }'])
def test_denied_parameters_that_say_it_once(denied):
    """Several names, or all of them."""
    assert codes(rule("a/b", "update", extra=f"denied_parameters = {denied}")) == []


@pytest.mark.parametrize(
    ("right", "effect"),
    [("read", "matches nothing"), ("deny", "denies whatever the template could stand for")],
)
def test_what_a_template_does_here_is_told(right, effect):
    """Nothing fills it in."""
    (finding,) = lint([parse_policy("p", rule("a/{{x}}", right))])
    assert finding.text == f"templates are not filled in by this server: this rule {effect}"


def test_a_deny_in_another_policy_is_named_with_its_line():
    """The finding says where to look."""
    policies = [parse_policy("p", rule("x", "read")), parse_policy("q", "\n" + rule("x", "deny"))]
    (finding,) = lint(policies)
    assert finding.shown() == {
        "policy": "p",
        "path": "x",
        "line": 1,
        "code": "denied-elsewhere",
        "text": 'policy "q", line 2 denies the same path, so this rule gives nothing',
    }


def test_a_policy_in_json_is_named_without_a_line():
    """There is none to look at."""
    deny = parse_policy("q", '{"path": {"x": {"capabilities": ["deny"]}}}')
    (finding,) = lint([parse_policy("p", rule("x", "read")), deny])
    assert finding.text.startswith('policy "q" denies')


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (rule("nowhere/x", "read"), "no-mount"),
        (rule("team/b/*", "read"), "no-mount"),
        (rule("secret/app", "read"), "kv2-part"),
        (rule("secret/app/*", "read"), "kv2-part"),
        (rule("secret/ap*", "read"), "kv2-part"),
        (rule("secret/da", "read"), "kv2-part"),
        (rule("secret/da/*", "read"), "kv2-part"),
        (rule("team/a/app", "read"), "kv2-part"),
        (rule("secret/data/app/*", "read", "list"), "kv2-list"),
    ],
)
def test_rules_that_fit_no_mount(text, code):
    """Nothing is mounted there, or a KV v2 rule lacks its data/ or metadata/."""
    assert [found for _, found in codes(text, mounts=MOUNTS)] == [code]
    (finding,) = lint([parse_policy("p", text)], mounts=MOUNTS)
    assert finding.text


@pytest.mark.parametrize(
    "pattern",
    [
        "secret/*",
        "secret/data/*",
        "secret/metadata/app/*",
        "secret/+/app",
        "sec*",
        "*",
        "+/data/x",
        "secret/me*",
        "kv1/app",
        "transit/encrypt/app",
        "sys/mounts",
        "auth/token/create",
        "cubbyhole/*",
        "team/*",
        "secret/config",
        "secret/metadata",
    ],
)
def test_a_sound_rule_has_no_finding(pattern):
    """Globs above mounts, every part of KV v2, and what is always mounted."""
    assert codes(rule(pattern, "read"), mounts=MOUNTS) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rule("a/x", "read"), []),
        (rule("a/x", "read", "patch"), []),
        (rule("a/x", "list"), ["not-asked-for"]),
        (rule("a/x", "deny"), []),
        (rule("b/x", "read"), ["no-operation"]),
        (rule("b/x", "deny"), ["no-operation"]),
        (rule("b/x"), ["no-capabilities"]),
        (rule("b/{{x}}", "read"), ["template"]),
        (rule("v1/a/x", "read"), ["api-prefix"]),
    ],
)
def test_rules_that_no_operation_asks_for(text, expected):
    """A rule is dead where no operation has such a path, or none of those asks for what it gives; it is said once."""

    def asked_for(pattern):
        return frozenset({C.READ, C.UPDATE}) if pattern.text.startswith("a/") else None

    assert [code for _, code in codes(text, asked_for=asked_for)] == expected


def test_what_mounts_tell_comes_before_what_operations_tell():
    """One finding for one mistake."""
    found = codes(rule("nowhere/x", "read"), mounts=MOUNTS, asked_for=lambda _: None)
    assert found == [("nowhere/x", "no-mount")]


def test_a_templated_rule_is_not_looked_for_among_mounts():
    """It is one finding that it matches nothing."""
    assert codes(rule("nowhere/{{x}}", "read"), mounts=MOUNTS) == [("nowhere/{{x}}", "template")]


def test_the_built_in_policies_are_sound():
    """Ours follow the advice."""
    for name, text in BUILT_IN.items():
        assert lint([parse_policy(name, text)], mounts=MOUNTS) == []
