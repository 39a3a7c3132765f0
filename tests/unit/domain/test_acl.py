"""Decisions: which rule wins, and how rules unite."""

import msgspec
import pytest
from tests.unit.domain.rules import acl, raw, rule

from ml_secrets.domain.acl import Acl, Reason
from ml_secrets.domain.capability import Capability

C = Capability


def test_no_policy_allows_nothing():
    """Not the root path, not one's own; and the wire says deny."""
    empty = acl()
    for path in ("", "x", "sys/health", "cubbyhole/x"):
        for capability in C:
            assert not empty.check(path, capability).allowed
        assert empty.capabilities(path) == ["deny"]
    assert not empty.reaches("secret/")
    assert not Acl.compile([]).root


def test_root_allows_everything():
    """Whatever policies stand beside it."""
    all_ = acl(rule("*", "deny"), root=True)
    assert all(all_.check("any/path", capability, sudo=True).allowed for capability in C)
    assert all_.capabilities("x") == ["root"]
    assert all_.check("x", C.READ).policies == ("root",)
    assert all_.reaches("x/")


WINNERS = [
    # (patterns from loser to winner, path)
    (["*", "k/*", "k/x/*", "k/x/y*", "k/x/y"], "k/x/y"),
    (["k/+/y", "k/x/*"], "k/x/y"),  # first wildcard further right
    (["k/*", "k/+"], "k/x"),  # no `*` at the end
    (["k/+/*", "k/+/y"], "k/x/y"),
    (["k/+/+", "k/+/y"], "k/x/y"),  # fewer `+`
    (["k/+/+/z", "k/+/y/+"], "k/x/y/z"),  # as many `+`, as long: the later in the alphabet
    (["k/+/y*", "k/+/yz*"], "k/x/yzz"),  # longer
    (["k/+/y", "k/!/+"], "k/!/y"),  # which is not the order of their texts
    (["k/+/+", "k/+/!"], "k/x/!"),
    (["k/*", "k/+b*"], "k/+bx"),  # and then the longer one wins
    (["+/b*", "*"], "a/bc"),  # a `+` counts against a rule even beside a shorter glob
    (["k/+/b*", "k/*"], "k/a/bc"),
    (["+x/a/+b", "+x/a/*"], "+x/a/+b"),  # a plain "+" ranks like a wildcard, as with the peer
]


@pytest.mark.parametrize(("patterns", "path"), WINNERS)
def test_the_most_exact_rule_wins_alone(patterns, path):
    """Each rule gives a capability of its own: only the winner's is there."""
    names = ["read", "update", "delete", "create", "patch"]
    given = dict(zip(patterns, names, strict=False))
    decided = acl("".join(rule(pattern, name) for pattern, name in given.items()))
    assert decided.capabilities(path) == [given[patterns[-1]]]


@pytest.mark.parametrize("deny", ["k/*", "k/+", "*", "k/x*"])
def test_a_broader_deny_does_not_reach_a_more_exact_rule(deny):
    """Deny is strongest only among rules with the same pattern."""
    assert acl(rule("k/x", "read"), rule(deny, "deny")).check("k/x", C.READ).allowed


def test_deny_swallows_rules_of_the_same_pattern():
    """In whatever policy, and in whatever order."""
    for texts in (
        [rule("k/x", "deny"), rule("k/x", "read")],
        [rule("k/x", "read"), rule("k/x", "deny", "read")],
    ):
        decided = acl(*texts)
        assert decided.capabilities("k/x") == ["deny"]
        decision = decided.check("k/x", C.READ)
        assert (decision.allowed, decision.reason) == (False, Reason.DENIED)
        assert decision.policies == (f"p{0 if 'deny' in texts[0] else 1}",)


def test_capabilities_of_the_same_pattern_are_joined():
    """And a decision names the policies that gave the right."""
    decided = acl(rule("k/*", "read"), rule("k/*", "list"), rule("k/*", "read", "update"))
    assert decided.capabilities("k/x") == ["list", "read", "update"]
    assert decided.check("k/x", C.READ).policies == ("p0", "p2")
    assert decided.check("k/x", C.LIST).policies == ("p1",)


def test_wildcards_in_a_request_are_plain_characters():
    """Check 20: asking for `k/*` or `k/+` matches nothing more than its letters."""
    decided = acl(rule("k/x", "read"))
    for path in ("k/*", "k/+", "*", "+", "k/x*"):
        assert not decided.check(path, C.READ).allowed
    assert acl(rule("k/a*b", "read"), rule("k/b+", "read")).check("k/a*b", C.READ).allowed
    assert not acl(rule("k/a*b", "read")).check("k/axb", C.READ).allowed


@pytest.mark.parametrize("pattern", ["k/x/*", "k/x/+", "k/+/*", "k/x/"])
def test_a_deny_below_a_folder_holds_for_its_list(pattern):
    """Check 8: deny on what lies below, allow on a broader pattern: LIST is refused."""
    decided = acl(rule(pattern, "deny"), rule("k/*" if pattern != "k/+/*" else "*", "list", "scan"))
    for capability in (C.LIST, C.SCAN):
        assert not decided.check("k/x", capability).allowed
    assert decided.capabilities("k/x/") == ["deny"]


def test_an_exact_rule_speaks_for_the_folder_of_its_name():
    """LIST x is decided by the rule for x/, then by the one for x, then by patterns; a deny on x/* is not overruled by x."""
    assert acl(rule("k/x", "list")).check("k/x", C.LIST).allowed
    assert acl(rule("k/x/", "list"), rule("k/x", "deny")).check("k/x", C.LIST).allowed
    assert not acl(rule("k/x/", "deny"), rule("k/x", "list")).check("k/x", C.LIST).allowed
    assert not acl(rule("k/x", "read"), rule("k/x/*", "list")).check("k/x", C.LIST).allowed
    assert not acl(rule("k/x", "list"), rule("k/x/*", "deny")).check("k/x", C.LIST).allowed
    assert acl(rule("k/x", "list"), rule("k/x*", "deny")).check("k/x", C.LIST).allowed
    assert acl(rule("k/x/", "list"), rule("k/x/*", "deny")).check("k/x", C.LIST).allowed
    assert acl(rule("k/x/*", "list")).check("k/x", C.LIST).allowed
    assert not acl(rule("k/x/*", "read")).check("k/x", C.READ).allowed


def test_plus_takes_one_whole_segment():
    """Not two, not a part; an empty one (a folder's) counts."""
    decided = acl(rule("k/+/v", "read"), rule("k/+", "list"))
    assert decided.check("k/x/v", C.READ).allowed
    for path in ("k/x/y/v", "k/v", "k/x/v/w"):
        assert not decided.check(path, C.READ).allowed
    assert decided.check("k", C.LIST).allowed
    assert decided.check("k/x", C.LIST).allowed
    assert not acl(rule("k/+", "list"), rule("k/x/*", "read")).check("k/x", C.LIST).allowed


def test_sudo_is_asked_for_beside_the_capability():
    """Neither alone is enough."""
    for names, allowed in ((["read"], False), (["sudo"], False), (["read", "sudo"], True)):
        assert acl(rule("sys/x", *names)).check("sys/x", C.READ, sudo=True).allowed is allowed


PARAMETERS = [
    (
        'allowed_parameters = { a = [1, true, "x*", "*y", "*z*", "q"] }',
        [
            {"a": 1},
            {"a": "1"},
            {"a": 1.0},
            {"a": True},
            {"a": "xb"},
            {"a": "by"},
            {"a": "azb"},
            {"A": "q"},
            {},
        ],
        [{"a": "Q"}, {"a": ["q"]}, {"a": None}, {"b": 1}, {"a": "q", "b": 1}, {"a": {"x": 1}}, {"a": 2}],
    ),
    ('allowed_parameters = { "*" = [] z = ["1"] }', [{"a": 1}, {"z": "1"}], [{"z": "2"}, {"Z": "2"}]),
    ('allowed_parameters = { "*" = ["x"] }', [{"a": 1}], []),
    ("allowed_parameters = {}", [{"a": 1}], []),
    ('allowed_parameters = { a = ["*"] }', [{"a": "*"}], [{"a": "1"}]),
    ("allowed_parameters = { a = [false] }", [{"a": False}, {"a": "false"}], [{"a": True}, {"a": 0}]),
    (
        'allowed_parameters = { a = ["ab*", "*yz", "*mn*"] }',
        [{"a": "abc"}, {"a": "ab"}, {"a": "xyz"}, {"a": "lmno"}],
        [{"a": "ac"}, {"a": "xz"}, {"a": "xyza"}, {"a": "m"}, {"a": "n"}],
    ),
    ('allowed_parameters = { a = ["x*y"] }', [{"a": "x*y"}], [{"a": "xzy"}]),
    (
        'denied_parameters = { a = [1, "x*", "root"] }',
        [{"a": "Q"}, {"b": 1}, {}, {"a": ["y"]}, {"a": None}],
        [
            {"a": 1},
            {"a": "1"},
            {"a": "xb"},
            {"A": "root"},
            {"a": ["y", "root"]},
            {"a": "y, root"},
            {"a": "y,root,z"},
            {"a": [["root"]]},
        ],
    ),
    ("denied_parameters = { a = [] }", [{"b": 1}], [{"a": 1}, {"A": None}]),
    ('denied_parameters = { a = ["*"] }', [{"b": 1}], [{"a": 1}, {"a": ""}]),
    ('denied_parameters = { "*" = ["x"] }', [{}], [{"a": 1}, {"a": "x"}]),
    (
        'required_parameters = ["a", "B"]',
        [{"a": 1, "b": 1}, {"a": 1, "B": 1}],
        [{}, {"a": 1}, {"A": 1, "b": 1}],
    ),
    (
        'denied_parameters = { a = ["1"] } allowed_parameters = { a = ["1", "2"] }',
        [{"a": "2"}],
        [{"a": "1"}, {"a": "3"}],
    ),
]


@pytest.mark.parametrize(("text", "good", "bad"), PARAMETERS)
def test_parameters_are_checked(text, good, bad):
    """On create, update, patch and read; LIST and DELETE do not look at them."""
    decided = acl(rule("k/x", "create", "update", "patch", "read", "list", "delete", extra=text))
    for capability in (C.CREATE, C.UPDATE, C.PATCH, C.READ):
        for fields in good:
            assert decided.check("k/x", capability, fields=raw(**fields)).allowed, fields
        for fields in bad:
            decision = decided.check("k/x", capability, fields=raw(**fields))
            assert (decision.allowed, decision.reason) == (False, Reason.PARAMETER), fields
    for fields in bad:
        assert decided.check("k/x", C.DELETE, fields=raw(**fields)).allowed
        assert decided.check("k/x", C.LIST, fields=raw(**fields)).allowed


def test_parameters_of_the_same_pattern_are_joined():
    """Lists are joined, [] stays any value, and the restrictions of one policy hold for all."""
    decided = acl(
        rule("k/x", "update", extra='allowed_parameters = { a = ["1"], c = ["1"] }'),
        rule("k/x", "update", extra='allowed_parameters = { a = ["2"], b = [], c = [] }'),
        rule("k/x", "update"),
    )
    for fields, allowed in (
        ({"a": "1"}, True),
        ({"a": "2"}, True),
        ({"a": "3"}, False),
        ({"b": 9}, True),
        ({"c": 9}, True),
        ({"d": 1}, False),
    ):
        assert decided.check("k/x", C.UPDATE, fields=raw(**fields)).allowed is allowed, fields
    needs_both = acl(
        rule("k/x", "update", extra='required_parameters = ["a"]'),
        rule("k/x", "update", extra='required_parameters = ["b"]'),
    )
    assert not needs_both.check("k/x", C.UPDATE, fields=raw(a=1)).allowed
    assert needs_both.check("k/x", C.UPDATE, fields=raw(a=1, b=1)).allowed


@pytest.mark.parametrize(
    ("decided", "reason", "policies"),
    [
        (acl(root=True), Reason.ROOT, ("root",)),
        (acl(rule("k/x", "read", "sudo")), Reason.GRANTED, ("p0",)),
        (acl(), Reason.NO_RULE, ()),
        (acl(rule("k/x", "deny")), Reason.DENIED, ("p0",)),
        (acl(rule("k/{{a}}", "deny")), Reason.TEMPLATE, ("p0",)),
        (acl(rule("k/x", "list")), Reason.LACKING, ()),
        (acl(rule("k/x", "read")), Reason.SUDO, ()),
    ],
)
def test_a_decision_tells_what_was_asked_and_why_it_fell_so(decided, reason, policies):
    """Whatever the reason: the path, the capability, and the policies that gave the right or denied it."""
    decision = decided.check("k/x", C.READ, sudo=True)
    assert (decision.reason, decision.policies) == (reason, policies)
    assert (decision.path, decision.capability) == ("k/x", C.READ)
    assert (decision.rule is None) is (reason in {Reason.ROOT, Reason.NO_RULE})
    assert decided.check("k/x", C.READ, sudo=True) is decision  # decided once


def test_a_refusal_says_what_was_asked_and_which_rule_refused_it():
    """Its path, its capability, no policy that gave it, and in words that name only what the rule names."""
    decided = acl(
        rule("k/x", "update", "read", extra='denied_parameters = { a = ["1"], b = [] }')
        + rule("k/y", "update", extra='allowed_parameters = { a = ["1"], b = [] }')
    )
    for path, fields, words in (
        ("k/x", {"A": "1"}, 'it denies this value of the parameter "a"'),
        ("k/x", {"B": "2"}, 'it denies the parameter "b"'),
        ("k/y", {"A": "2"}, 'it allows only certain values of the parameter "a"'),
        ("k/y", {"c": "2"}, "it allows only the parameters a, b"),
    ):
        decision = decided.check(path, C.UPDATE, fields=raw(**fields))
        assert (decision.path, decision.capability, decision.policies) == (path, C.UPDATE, ())
        assert (decision.rule.pattern, decision.detail) == (path, words)


def test_unreadable_json_is_denied_where_it_is_checked():
    """A value that cannot be compared is neither allowed nor let past a denial."""
    broken = {"a": msgspec.Raw(b"[" * 100_000)}
    for text in ('allowed_parameters = { a = ["x"] }', 'denied_parameters = { a = ["x"] }'):
        assert not acl(rule("k/x", "update", extra=text)).check("k/x", C.UPDATE, fields=broken).allowed


@pytest.mark.parametrize(
    ("bounds", "allowed", "refused"),
    [
        (["min_wrapping_ttl = 60 max_wrapping_ttl = 120"], [60, 120], [None, 59, 121]),
        (["min_wrapping_ttl = 60"], [60, 10**6], [None, 59]),
        (["max_wrapping_ttl = 60"], [1, 60], [None, 61]),
        (["min_wrapping_ttl = 60", "min_wrapping_ttl = 30"], [30], [29, None]),
        (["max_wrapping_ttl = 60", "max_wrapping_ttl = 30", ""], [30], [31, None]),
        (["max_wrapping_ttl = 60", "min_wrapping_ttl = 90"], [], [None, 30, 60, 75, 90]),
    ],
)
def test_wrapping_bounds_hold_for_every_verb(bounds, allowed, refused):
    """Without wrapping nothing is given; of two bounds the lower one holds."""
    decided = acl(*(rule("k/x", "read", "list", "update", extra=text) for text in bounds))
    for capability in (C.READ, C.LIST, C.UPDATE):
        assert all(decided.check("k/x", capability, wrap_ttl=ttl).allowed for ttl in allowed)
        assert not any(decided.check("k/x", capability, wrap_ttl=ttl).allowed for ttl in refused)


def test_a_template_that_is_not_filled_in_gives_nothing():
    """Check 10: not even the path of its own letters (nobody has an identity yet)."""
    decided = acl(rule("k/{{identity.entity.name}}/*", "read"), rule("*", "list"))
    for path in ("k/ada/x", "k/{{identity.entity.name}}/x", "k//x"):
        assert decided.check(path, C.READ).reason is Reason.LACKING
    assert not acl(rule("k/{{x}}", "read")).reaches("k/")


@pytest.mark.parametrize(
    ("pattern", "denied", "untouched"),
    [
        ("k/{{identity.entity.name}}/*", ["k/ada/x", "k/bob/y/z"], ["k/ada", "j/ada/x"]),
        ("k/{{identity.entity.name}}", ["k/ada", "k/other"], ["k/ada/x", "k"]),
        ("k/team-{{a.b}}-x/v", ["k/team-9-x/v", "k/anything/v"], ["k/team-9-x/w"]),
        ("k/{{identity.groups.names.a/b.id}}/v", ["k/x/v"], ["k/x/y/v"]),
        ("k/{{a}}*", ["k/x", "k/x/y"], ["j/x"]),
        ("{{a}}/x", ["k/x"], ["k/y"]),
    ],
)
def test_a_deny_with_a_template_denies_all_it_could_stand_for(pattern, denied, untouched):
    """Check 11: no other rule, however exact, gives what the deny may have meant."""
    exact = "".join(rule(path, "read") for path in denied + untouched)
    decided = acl(rule(pattern, "deny"), exact + rule("*", "read"))
    for path in denied:
        decision = decided.check(path, C.READ)
        assert (decision.allowed, decision.reason) == (False, Reason.TEMPLATE)
        assert decided.capabilities(path) == ["deny"]
    assert all(decided.check(path, C.READ).allowed for path in untouched)


def test_a_deny_with_a_template_holds_for_lists():
    """LIST of the folder it may stand for, or of the folder's content."""
    decided = acl(rule("k/{{a}}/*", "deny"), rule("*", "list", "read"))
    assert not decided.check("k/x", C.LIST).allowed
    assert decided.check("k", C.LIST).allowed


def test_capabilities_are_what_a_request_would_get():
    """Check 16: `list` of a path is that of its folder; a folder shows its own rule's rights."""
    decided = acl(rule("k/x", "read"), rule("k/y/*", "list", "read"), rule("k/y", "update"))
    assert decided.capabilities("k/x") == ["read"]
    assert decided.capabilities("k/y/") == ["update"]
    assert acl(rule("k/y/*", "list", "read")).capabilities("k/y") == ["list"]
    assert acl(rule("k/y/*", "list", "read")).capabilities("k/y/") == ["list", "read"]
    assert all(type(name) is str for name in decided.capabilities("k/x"))


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        (rule("secret/data/x", "read"), True),
        (rule("secret/*", "read"), True),
        (rule("sec*", "read"), True),
        (rule("*", "read"), True),
        (rule("+/data/x", "read"), True),
        (rule("+/*", "read"), True),
        (rule("secret/+/x", "read"), True),
        (rule("secret", "list"), True),
        (rule("secret/", "list"), True),
        (rule("+", "list"), True),
        (rule("secret/*", "deny"), False),
        (rule("secret/x"), False),
        (rule("secrets/x", "read"), False),
        (rule("kv/*", "read"), False),
        (rule("+x/data", "read"), False),
        (rule("other/+/x", "read"), False),
        (rule("sec*", "read") + rule("secret/*", "deny"), False),
        (rule("secret/*", "deny") + rule("secret/data/x", "read"), True),
        ("", False),
    ],
)
def test_a_mount_is_reached_by_any_right_at_or_below_it(text, reached):
    """What the preflight call of command lines asks."""
    assert acl(text).reaches("secret/") is reached


def test_a_nested_mount_is_reached_through_plus():
    """Segments are compared one by one, as deep as the shorter of the two."""
    assert acl(rule("a/+/data/*", "read")).reaches("a/b/")
    assert acl(rule("a/*", "read")).reaches("a/b/")
    assert acl(rule("+/*", "read")).reaches("a/b/")
    assert not acl(rule("+", "read")).reaches("a/b/")
    assert not acl(rule("a/+x", "read")).reaches("a/b/")


def test_rules_are_shown_united_and_in_order():
    """`.rules` has one entry a pattern, `.names` what it gives as the wire writes it."""
    decided = acl(
        rule("k/b", "read") + rule("k/a", "list"), rule("k/b", "update"), rule("k/c", "deny"), rule("k/d")
    )
    assert [(r.pattern, decided.names(r)) for r in decided.rules] == [
        ("k/a", ["list"]),
        ("k/b", ["read", "update"]),
        ("k/c", ["deny"]),
        ("k/d", ["deny"]),
    ]


def test_remembering_does_not_change_answers():
    """Past the bound the memory is emptied; the same question has the same answer, with other fields another."""
    decided = acl(rule("k/*", "read", extra="denied_parameters = { a = [] }"))
    for _ in range(2):
        for at in range(500):
            assert decided.check(f"k/{at}", C.READ).allowed
            assert not decided.check(f"j/{at}", C.READ).allowed
    assert not decided.check("k/1", C.READ, fields=raw(a=1)).allowed
    assert decided.check("k/1", C.READ).allowed
    assert len(decided._memo) <= 256
