"""What policy text means, and which text is refused: contract 1.3."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.domain import hcl
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.hcl import MOST_TEXT
from ml_secrets.domain.policy import BUILT_IN, Policy, parse_policy
from ml_secrets.errors import Invalid

C = Capability


def rules(text):
    return parse_policy("p", text).rules


def test_every_key_of_a_rule_is_read():
    """Capabilities, the three parameter keys, both wrapping bounds; a comment is ignored."""
    (rule,) = rules("""
        # a comment
        path "/secret/data/x" {  // another
          capabilities = ["create", "update", "create"]
          /* and
             one more */
          allowed_parameters = { "data" = [], TTL = ["1h", 2, 1.0, true], }
          denied_parameters { "options" = ["x*"] }
          required_parameters = ["data", "B"]
          min_wrapping_ttl = "1m"
          max_wrapping_ttl = 3600
          comment = "why"
        }""")
    assert rule.pattern == "secret/data/x"
    assert rule.capabilities == (C.CREATE, C.UPDATE)
    assert rule.allowed == {"data": (), "ttl": ("1h", "2", "1", "true")}
    assert rule.denied == {"options": ("x*",)}
    assert rule.required == ("data", "B")
    assert (rule.min_wrapping_ttl, rule.max_wrapping_ttl, rule.line) == (60, 3600, 3)


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("read", {C.READ, C.LIST}),
        ("write", {C.CREATE, C.READ, C.UPDATE, C.DELETE, C.LIST}),
        ("sudo", {C.CREATE, C.READ, C.UPDATE, C.DELETE, C.LIST, C.SUDO}),
        ("deny", {C.DENY}),
    ],
)
def test_the_legacy_policy_word_adds_to_the_capabilities(word, names):
    """`policy = "write"` is short for five capabilities, beside those listed."""
    (rule,) = rules(f'path "x" {{ policy = "{word}" capabilities = ["patch"] }}')
    assert set(rule.capabilities) == names | {C.PATCH}


@pytest.mark.parametrize(
    "text",
    [
        'path "x" { capabilities = ["read"] } path "y" { capabilities = ["list"] }',
        'path "x" {\n  capabilities = ["read"],\n}\npath "y" { "capabilities" = ["list",] }',
        '"path" "x" { capabilities = ["read"] },\npath y { capabilities = ["list"] }',
        'name = "p"\npath "x" { capabilities = [\n"read"\n] }\r\npath "y" { capabilities = ["list"] }',
        '{"path": {"x": {"capabilities": ["read"]}, "y": {"capabilities": ["list"]}}}',
        ' {"name": "p", "path": [{"x": {"capabilities": ["read"]}}, {"y": {"capabilities": ["list"]}}]}',
    ],
)
def test_spellings_of_the_same_policy(text):
    """One line or many, with or without commas and quotes, HCL or JSON."""
    assert [(r.pattern, r.capabilities) for r in rules(text)] == [("x", (C.READ,)), ("y", (C.LIST,))]


@pytest.mark.parametrize("pattern", ["x" * 1024, "a/{{b.c}}/{{d}}*", "{{a}}{{b}}"])
def test_patterns_at_their_limits(pattern):
    """The longest one, and several templates."""
    assert [rule.pattern for rule in rules(f'path "{pattern}" {{}}')] == [pattern]


def test_repeated_paths_are_all_kept():
    """No rule hides another, in JSON neither: a deny behind a repeated key would be lost."""
    both = [("x", (C.DENY,)), ("x", (C.READ,))]
    hcl = 'path "x" { capabilities = ["deny"] }\npath "x" { capabilities = ["read"] }'
    as_json = '{"path": {"x": {"capabilities": ["deny"]}, "x": {"capabilities": ["read"]}}}'
    for text in (hcl, as_json):
        assert [(r.pattern, r.capabilities) for r in rules(text)] == both


@pytest.mark.parametrize("text", ["", "  \n", "# nothing", "{}", '{"path": {}}', 'name = "p"'])
def test_a_policy_may_be_empty(text):
    """It then allows nothing."""
    assert rules(text) == ()


def test_escapes_are_what_they_stand_for():
    """In HCL and JSON alike; half a character is refused below."""
    for text in (
        'path "caf\\u00e9" { capabilities = ["read"] }',
        '{"path": {"caf\\u00e9": {"capabilities": ["read"]}}}',
    ):
        assert [rule.pattern for rule in parse_policy("p", text).rules] == ["caf\u00e9"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('path "x" {', 1, "ends inside a rule"),
        ('path "x" {\n  capabilities = ["read"\n}', 3, "not understood"),
        ('\n\npath "x" { foo = 1 }', 3, 'unknown key "foo"'),
        ("foo = 1", 1, 'unknown key "foo"'),
        ('path "x" {}\nPath "y" {}', 2, 'unknown key "Path"'),
        ('path "x" {\n capabilities = ["raed"]\n}', 2, 'invalid capability "raed"'),
        ('path "x" { capabilities = ["READ"] }', 1, "invalid capability"),
        ('path "x" { capabilities = ["root"] }', 1, "invalid capability"),
        ('path "x" { capabilities = ["subscribe"] }', 1, "invalid capability"),
        ('path "x" { capabilities = [1] }', 1, "invalid capability"),
        ('path "x" { capabilities = "read" }', 1, '"capabilities" must be a list'),
        ('path "x" { policy = "rw" }', 1, 'invalid policy "rw"'),
        ('path "x" { policy = ["read"] }', 1, "invalid policy"),
        (
            'path "x" { capabilities = ["read"]\n capabilities = ["list"] }',
            2,
            '"capabilities" is given twice',
        ),
        ('path "x" { allowed_parameters = ["a"] }', 1, "must be a map"),
        ('path "x" { allowed_parameters = { a = "1" } }', 1, "must be a list"),
        ('path "x" { allowed_parameters = { a = [{ b = 1 }] } }', 1, "are texts, numbers"),
        ('path "x" { allowed_parameters = { a = [], A = ["1"] } }', 1, 'names "a" twice'),
        ('path "x" { required_parameters = "a" }', 1, "must be a list"),
        ('path "x" {\n required_parameters = ["a", ["b"]] }', 2, 'values of "required_parameters" are'),
        ('path "x" { min_wrapping_ttl = "1w" }', 1, "error parsing min_wrapping_ttl"),
        ('path "x" { max_wrapping_ttl = "-1s" }', 1, "error parsing max_wrapping_ttl"),
        ('path "x" { min_wrapping_ttl = 1.5 }', 1, "error parsing min_wrapping_ttl"),
        ('path "x" { min_wrapping_ttl = "2h" max_wrapping_ttl = "1h" }', 1, "cannot be less than"),
        ('path "+*" {}', 1, "'+*' is forbidden"),
        ('path "a/b+*" {}', 1, "'+*' is forbidden"),
        ('path "a/{{identity.entity.id/x" {}', 1, "unbalanced templating"),
        ('path "a}}b{{" {}', 1, "unbalanced templating"),
        ('path "a\\u200bb" {}', 1, "no request path has"),
        ('path "cafe\\u0301" {}', 1, "no request path has"),
        ('path "a\\n" {}', 1, "no request path has"),
        (f'path "{"x" * 1025}" {{}}', 1, "too long"),
        ('path "a\\q" {}', 1, "escape"),
        ('path "x" "y" {}', 1, "one path in quotes"),
        ("path {}", 1, "one path in quotes"),
        ('path = { "x" = {} }', 1, "one path in quotes"),
        ('path "x" = {}', 1, "not understood"),
        ('name = "p"\npath "x" = {}\n\n\n', 2, "not understood"),
        ('path "x" { a = [[[[[[[[[[1]]]]]]]]]] }', 1, "nested too deeply"),
        ('path "x" { allowed_parameters "y" { a = [] } }', 1, '"allowed_parameters" is not understood'),
        ("path 'x' {}", 1, "not understood"),
        ('path "x" { capabilities = read }', 1, "not understood"),
        ("]", 1, "not understood"),
        ('{"path": {"x": {"capabilities": "read"}}}', 0, "must be a list"),
        ('{"path": {"x": {"capabilities": [null]}}}', 0, "invalid capability"),
        ('{"path": {"x": {"required_parameters": ["\\ud800"]}}}', 0, "escape that is not understood"),
        ('path "x" { required_parameters = ["\\ud800"] }', 1, "escape that is not understood"),
        ('{"path": "x"}', 0, "one path in quotes"),
        ('{"path": {"x": [{}]}}', 0, "one path in quotes"),
        ('{"path": {"x": {}}} junk', 1, "Extra data"),
        ('{"path": {\n"x" {}}}', 2, "delimiter"),
        ('{"path": ' + "[" * 100_000, 0, "not JSON"),
        ('{"a": ' + "9" * 5000 + "}", 0, "not JSON"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_line(text, line, words):
    """`failed to parse policy: line N: ...`; JSON has lines only for its syntax."""
    with pytest.raises(Invalid) as caught:
        rules(text)
    start = f"failed to parse policy: line {line}: " if line else "failed to parse policy: "
    assert caught.value.message.startswith(start)
    assert line or not caught.value.message.startswith("failed to parse policy: line")
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("foo = 1", "a policy is made of path rules"),
        ('path "x" { foo = 1 }', "one of capabilities, allowed_parameters, denied_parameters,"),
        ('path "x" { capabilities = ["raed"] }', "one of create, read, update,"),
        ('path "x" { policy = "rw" }', "deny, read, write or sudo; better use capabilities"),
        ('path "x" { pagination_limit = 10 }', "leave it out, and limit the right in another way"),
        ('path "x" { min_wrapping_ttl = "1w" }', "a whole number of seconds, or a text such as"),
        ('path "+*" {}', "'+' stands for one whole segment"),
        ('path "x" {', "a brace, bracket or value is missing"),
        ("]", "a rule reads: path "),
    ],
)
def test_who_wrote_something_else_is_told_what_there_is(text, hint):
    """In the hint."""
    with pytest.raises(Invalid) as refused:
        rules(text)
    assert refused.value.hint.startswith(hint)


def test_a_long_word_is_shown_cut():
    """The first 64 characters of it; one that cannot be printed is not shown at all."""
    with pytest.raises(Invalid, match='unknown key "' + "k" * 64 + '"'):
        rules("k" * 65 + " = 1")
    with pytest.raises(Invalid, match="invalid capability here"):
        rules('path "x" { capabilities = ["\\u200b"] }')


@pytest.mark.parametrize(
    "text",
    [
        'expiration = "2030-01-01T00:00:00Z"',
        "pagination_limit = 10",
        'pagination_limit = "10"',
        'list_scan_response_keys_filter_path = "{{ .path }}"',
        'mfa_methods = ["a"]',
        "control_group = { factor = 1 }",
        'subscribe_event_types = ["*"]',
    ],
)
def test_limits_that_are_not_enforced_are_refused(text):
    """To accept a narrowing key in silence would give more than was written."""
    with pytest.raises(Invalid, match="is not enforced by this server"):
        rules(f'path "x" {{ capabilities = ["read"]\n {text} }}')


def test_bounds_of_a_wrapping_may_be_one():
    """Not less than the least is as long as it."""
    (rule,) = rules('path "x" { min_wrapping_ttl = 60 max_wrapping_ttl = "1m" }')
    assert (rule.min_wrapping_ttl, rule.max_wrapping_ttl) == (60, 60)


def test_keys_that_say_nothing_are_accepted():
    """An empty expiration or a limit of 0 narrows nothing."""
    (rule,) = rules(
        'path "x" { capabilities = ["list"] expiration = "" pagination_limit = 0 mfa_methods = [] }'
    )
    assert rule.capabilities == (C.LIST,)


def test_an_endless_policy_is_refused():
    """There is a longest text, and a deepest."""
    assert rules("#" * MOST_TEXT) == ()
    with pytest.raises(Invalid, match="too long") as caught:
        rules("#" * (MOST_TEXT + 1))
    assert caught.value.hint == f"the longest has {MOST_TEXT} characters"


@pytest.mark.parametrize(("begin", "end"), [("a = [", "]"), ("a {", "}")])
def test_a_text_is_so_deep(begin, end):
    """Eight lists or tables in one another, and no more."""
    inner = "[" if begin.endswith("[") else begin
    assert hcl.read(begin + inner * 7 + end * 8)
    with pytest.raises(Invalid, match="nested too deeply"):
        hcl.read(begin + inner * 8 + end * 9)


@given(st.text(max_size=60) | st.text(alphabet="path \"x{}[]=,+*#/\\\n'a1.", max_size=60))
def test_any_text_is_a_policy_or_invalid(text):
    """Nothing but Invalid comes out of the parser."""
    said = "failed to parse policy: "
    try:
        assert isinstance(parse_policy("p", text), Policy)
    except Invalid as error:
        said = error.message
    assert said.startswith("failed to parse policy: ")


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_built_in_policies_mean_what_their_text_says(name):
    """The parsed form that spares a start-up parse equals what the parser makes of the text."""
    ready, parsed = parse_policy(name, BUILT_IN[name]), parse_policy("other", BUILT_IN[name])
    assert ready.name == name
    assert [(r.pattern, set(r.capabilities)) for r in ready.rules] == [
        (r.pattern, set(r.capabilities)) for r in parsed.rules
    ]


def test_the_default_policy_gives_what_every_caller_needs():
    """Itself, its lease, its drawer and wrapping; nothing in anybody else's mounts."""
    patterns = {rule.pattern for rule in parse_policy("default", BUILT_IN["default"]).rules}
    assert {
        "auth/token/lookup-self",
        "auth/token/renew-self",
        "auth/token/revoke-self",
        "cubbyhole/*",
    } <= patterns
    assert {"sys/capabilities-self", "sys/wrapping/unwrap", "sys/leases/renew"} <= patterns
    assert not any(pattern.startswith(("secret", "*", "+")) for pattern in patterns)
    assert [r.pattern for r in parse_policy("w", BUILT_IN["response-wrapping"]).rules] == [
        "sys/wrapping/unwrap"
    ]


def test_a_stored_policy_reads_back_equal():
    """The parsed form survives JSON, in which the registry keeps it."""
    policy = parse_policy(
        "p",
        'path "x" { capabilities = ["read", "deny"] allowed_parameters = { a = [1] } max_wrapping_ttl = 5 }',
    )
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy
