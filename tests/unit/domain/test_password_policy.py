"""Password policies: what their text means, and that no password is likelier than another."""

import os
from collections import Counter

import pytest

from ml_secrets.domain.password_policy import (
    Charset,
    PasswordPolicy,
    check_likely,
    generate,
    parse_password_policy,
)
from ml_secrets.errors import Invalid


def rule(charset="abc", least=None):
    body = "" if least is None else f"\nmin-chars = {least}\n"
    return f'rule "charset" {{ charset = "{charset}"{body} }}\n'


@pytest.mark.parametrize(
    "text",
    [
        'length = 5\nrule "charset" {\n charset = "aba"\n}\nrule "charset" {\n min-chars = 2\n charset = "xyz"\n}',
        '{"length": 5, "rule": [{"charset": {"charset": "ab"}}, {"charset": {"charset": "xyz", "min-chars": 2}}]}',
        '{"length": 5, "rule": {"charset": [{"charset": "ab"}, {"charset": "xyz", "min-chars": 2}]}}',
    ],
)
def test_a_policy_is_read_in_every_form(text):
    """HCL, and JSON with lists at either place; a character that is named twice is one."""
    assert parse_password_policy(text) == PasswordPolicy(
        5, (Charset(frozenset("ab"), 0), Charset(frozenset("xyz"), 2))
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no charset specified"),
        ("length = 20", "no charset specified"),
        ('length = 20\nrule "charset" { charset = "" }', "no charset specified"),
        ('length = 20\nrule "charset" { }', "no charset specified"),
        (rule(), "between 4 and 100"),
        ('length = 5\nrule "charset" = 5', "line 2: not understood"),
        ("length = 3\n" + rule(), "between 4 and 100"),
        ("length = 101\n" + rule(), "between 4 and 100"),
        ("length = -5\n" + rule(), "line 1: length is a whole number"),
        ("length = 5.5\n" + rule(), "line 1: length is a whole number"),
        ("length = true\n" + rule(), "line 1: length is a whole number"),
        ('length = "5"\n' + rule(), "line 1: length is a whole number"),
        ("length = 5\nlength = 6\n" + rule(), "line 2: a policy has one length"),
        ('length "x" { }\n' + rule(), "line 1: a policy has one length"),
        ("length = 5\nlenght = 6\n" + rule(), "line 2: a policy has one length"),
        ('length = 5\nrule "charset" "x" { charset = "abc" }', "line 2: there is one kind of rule"),
        ('length = 5\nrule "other" { charset = "abc" }', "line 2: there is one kind of rule"),
        ('length = 5\nrule { charset = "abc" }', "line 2: there is one kind of rule"),
        ('{"length": 5, "rule": {}}', "there is one kind of rule"),
        ('{"length": 5, "rule": "charset"}', "a rule has a body in braces"),
        ('{"length": 5, "rule": {"charset": ["abc"]}}', "a rule has a body in braces"),
        ("length = 5\n" + rule(least='"5"'), "line 3: min-chars is a whole number"),
        ("length = 5\n" + rule(least=-1), "line 3: min-chars is a whole number"),
        ("length = 5\n" + rule().replace("charset =", "min_chars ="), "line 2: a rule has one charset"),
        ('length = 5\nrule "charset" { charset = "a", charset = "b" }', "line 2: a rule has one charset"),
        ('{"length": 5, "rule": {"charset": {"x": 1}}}', "a rule has one charset"),
        ('length = 5\nrule "charset" { charset = ["a"] }', "line 2: a charset is a text"),
        ('length = 5\nrule "charset" { charset = "a\\n" }', "line 2: a charset is a text"),
        ("length = 5\n" + rule("".join(map(chr, range(0x4E00, 0x4F01)))), "more than 256 different"),
        ("length = 5\n" + rule(least=3) + rule("xyz", 3), "ask for 6 characters, and the length is 5"),
        ("length = 100\n" + rule("a", 90) + rule("bcdefghijk"), "hardly a password follows"),
        ("length {{", "line 1: "),
    ],
)
def test_what_makes_no_passwords_is_refused(text, why):
    """Each with its reason and, where it is known, its line; never passed over."""
    with pytest.raises(Invalid) as caught:
        check_likely(parse_password_policy(text), os.urandom)
    assert why in caught.value.message
    assert why != "between 4 and 100" or caught.value.hint == "set the length"


@pytest.mark.parametrize(
    ("length", "charsets"),
    [
        (4, rule()),
        (100, rule()),
        (5, rule(least=2) + rule("xyz", 3)),
        (5, rule(least=0)),
        (4, rule("".join(map(chr, range(0x4E00, 0x4F00))))),
    ],
)
def test_the_limits_themselves_are_inside(length, charsets):
    """The shortest, the longest, as many wanted as there is room for, the most characters."""
    assert parse_password_policy(f"length = {length}\n{charsets}").length == length


@pytest.mark.parametrize(
    "text",
    [
        "length {{",
        "",
        "length = 5\nx = 1",
        '{"length": 5, "rule": "charset"}',
        'length = 5\nrule "other" { charset = "abc" }',
        'length = 5\nrule "charset" { charset = "a", charset = "b" }',
    ],
)
def test_a_policy_that_is_not_understood_is_told_the_form(text):
    """Every such refusal shows one that is."""
    with pytest.raises(Invalid) as refused:
        parse_password_policy(text)
    assert refused.value.hint == 'write: length = 20, and rule "charset" { charset = "abc" }'


def test_a_password_follows_its_rules():
    """Length, characters, and at least so many of each, every time."""
    policy = parse_password_policy("length = 12\n" + rule("abcdef", 1) + rule("0123", 3) + rule("_"))
    for _ in range(200):
        password = generate(policy, os.urandom)
        assert len(password) == 12
        assert set(password) <= set("abcdef0123_")
        assert sum(letter in "0123" for letter in password) >= 3
        assert any(letter in "abcdef" for letter in password)


@pytest.mark.parametrize("count", [1, 2, 3, 100, 255, 256])
def test_bytes_that_fit_no_whole_number_of_times_are_thrown_away(count):
    """Given each byte equally often, each character comes equally often: none is likelier than another.

    All bytes are used up once and then again, or nobody would notice those that are to be thrown away.
    """
    characters = "".join(chr(0x4E00 + index) for index in range(count))
    policy = PasswordPolicy(2 * count * (256 // count), (Charset(frozenset(characters), 0),))
    found = Counter(generate(policy, lambda size: bytes(range(256))[:size]))
    assert found == dict.fromkeys(characters, 2 * (256 // count))


def test_every_password_that_follows_the_rules_is_as_likely():
    """Given each four bytes equally often, each of the words that have an "a" comes equally often."""
    policy = PasswordPolicy(4, (Charset(frozenset("a"), 1), Charset(frozenset("b"), 0)))
    found = Counter()
    for number in range(16):
        draws = iter([bytes(number >> place & 1 for place in range(4)), b"\0\1\0\1" * 64])
        found[generate(policy, lambda size, draws=draws: next(draws))] += 1
    assert len(found) == 15
    assert found["bbbb"] == 0
    assert sorted(found.values()) == [1] * 14 + [2]  # the one that is drawn in the place of "bbbb"


def test_no_password_is_better_than_a_wrong_one():
    """A random source that never gives a digit ends in a refusal, not in a password without one."""
    policy = PasswordPolicy(4, (Charset(frozenset("abc"), 0), Charset(frozenset("z"), 1)))
    with pytest.raises(Invalid, match="no password was found") as caught:
        generate(policy, bytes)
    assert caught.value.hint == "ask again, or for fewer min-chars"
    with pytest.raises(Invalid, match="hardly a password follows") as caught:
        check_likely(policy, bytes)
    assert caught.value.hint.startswith("ask for fewer min-chars")
