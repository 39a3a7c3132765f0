"""Check 13: random policies, paths and operations, decided as a plain, slow reading of contract 1.3 decides them."""

import random
import re
from functools import cmp_to_key

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.domain.acl import Acl
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.policy import Policy, Rule

C = Capability
RIGHTS = [C.CREATE, C.READ, C.UPDATE, C.DELETE, C.LIST, C.PATCH, C.SUDO, C.SCAN]
SEGMENTS = ["a", "b", "ab", "abc", "+", "b+", "+b", "c*d", "a"]
REQUESTED = ["a", "b", "ab", "abc", "+", "b+", "+b", "c*d", "cxd", "d"]


# ── the oracle ──────────────────────────────────────────────────────────────────────────────────────────────────────


def is_segmented(pattern):
    """`+` alone first, or any later segment that begins with one (the peer does not look further than that)."""
    first, *later = pattern.split("/")
    return first == "+" or any(part.startswith("+") for part in later)


def is_exact(pattern):
    return not is_segmented(pattern) and not pattern.endswith("*")


def matches(pattern, path):
    if is_exact(pattern):
        return pattern == path
    body = pattern.removesuffix("*")
    expression = "/".join("[^/]*" if part == "+" else re.escape(part) for part in body.split("/"))
    if pattern.endswith("*") and body.split("/")[-1] == "+":
        raise AssertionError("+* is no pattern")
    return re.fullmatch(expression + (r"[\s\S]*" if pattern.endswith("*") else ""), path) is not None


def compare(one, other):
    """Positive when `one` wins. The order of contract 1.3, step by step."""

    def first_wildcard(pattern):
        return pattern.index("+") if is_segmented(pattern) else len(pattern.removesuffix("*"))

    steps = (
        first_wildcard,
        lambda p: not p.endswith("*"),
        lambda p: -sum(part == "+" for part in p.removesuffix("*").split("/")),
        lambda p: len(p.removesuffix("*")),
        lambda p: p.removesuffix("*"),
    )
    for step in steps:
        if step(one) != step(other):
            return 1 if step(one) > step(other) else -1
    return 0


def best(patterns, path):
    """Of the plain globs only the longest is a candidate; every pattern with `+` is one."""
    fitting = [p for p in patterns if not is_exact(p) and matches(p, path)]
    return max(fitting, key=cmp_to_key(compare), default=None)


def oracle(policies, path, capability):
    rows = [(rule.pattern, set(rule.capabilities)) for policy in policies for rule in policy.rules]
    patterns = {pattern for pattern, _ in rows}
    united = {
        pattern: set().union(*(rights for other, rights in rows if other == pattern)) for pattern in patterns
    }
    if capability in (C.LIST, C.SCAN):
        folder = path + "/"
        chosen = (
            folder
            if folder in patterns and is_exact(folder)
            else path
            if path in patterns and is_exact(path)
            else None
        )
        below = best(patterns, folder)
        if chosen is None:
            chosen = below or best(patterns, path)
        elif chosen == path and below and C.DENY in united[below] and below.count("/") >= folder.count("/"):
            return False
    else:
        chosen = path if path in patterns and is_exact(path) else best(patterns, path)
    return chosen is not None and C.DENY not in united[chosen] and capability in united[chosen]


# ── random cases ────────────────────────────────────────────────────────────────────────────────────────────────────


def random_pattern(rng):
    parts = [rng.choice(SEGMENTS) for _ in range(rng.randint(1, 4))]
    ending = rng.choice(["", "", "", "/", "/*", "*", "*"])
    pattern = "/".join(parts) + ending
    return pattern.replace("+*", "+/*") if rng.random() < 0.97 else "*"


def random_policies(rng):
    def rights():
        if rng.random() < 0.2:
            return (C.DENY,)
        return tuple(rng.sample(RIGHTS, rng.randint(0, 4)))

    return [
        Policy(f"p{at}", tuple(Rule(random_pattern(rng), rights()) for _ in range(rng.randint(0, 7))))
        for at in range(rng.randint(0, 3))
    ]


def compare_many(count, seed):
    rng = random.Random(seed)
    allowed = 0
    done = 0
    while done < count:
        policies = random_policies(rng)
        acl = Acl.compile(policies)
        for _ in range(20):
            path = "/".join(rng.choice(REQUESTED) for _ in range(rng.randint(1, 4)))
            capability = rng.choice(RIGHTS)
            expected = oracle(policies, path, capability)
            assert acl.check(path, capability).allowed == expected, (policies, path, capability)
            allowed += expected
            done += 1
    return allowed / done


def test_5000_random_decisions_equal_the_oracle():
    """The everyday count; the share of allowed ones shows that the cases are not trivial."""
    assert 0.05 < compare_many(5_000, seed=13) < 0.6


@pytest.mark.long
def test_100000_random_decisions_equal_the_oracle():
    """The count of the acceptance matrix."""
    assert 0.05 < compare_many(100_000, seed=1313) < 0.6


segment = st.sampled_from(SEGMENTS)
patterns = st.builds(
    lambda parts, ending: ("/".join(parts) + ending).replace("+*", "+/*"),
    st.lists(segment, min_size=1, max_size=4),
    st.sampled_from(["", "/", "/*", "*"]),
)
rules = st.builds(Rule, patterns, st.lists(st.sampled_from([*RIGHTS, C.DENY]), max_size=4).map(tuple))
some_policies = st.lists(
    st.builds(Policy, st.sampled_from("pqr"), st.lists(rules, max_size=6).map(tuple)), max_size=3
)
paths = st.lists(st.sampled_from(REQUESTED), min_size=1, max_size=4).map("/".join)


@given(some_policies, paths, st.sampled_from(RIGHTS))
def test_any_decision_equals_the_oracle(policies, path, capability):
    """As above, with cases that hypothesis makes small when they fail."""
    assert Acl.compile(policies).check(path, capability).allowed == oracle(policies, path, capability)


@given(some_policies, paths)
def test_capabilities_equal_enforcement(policies, path):
    """Check 16: what the wire shows is what each verb would get."""
    acl = Acl.compile(policies)
    enforced = sorted(str(right) for right in RIGHTS if acl.check(path, right).allowed)
    assert acl.capabilities(path) == (enforced or ["deny"])


@given(some_policies, paths)
def test_decisions_do_not_depend_on_the_order_of_policies(policies, path):
    """Uniting is commutative."""
    one, other = Acl.compile(policies), Acl.compile(policies[::-1])
    assert one.capabilities(path) == other.capabilities(path)
    assert one.capabilities(path + "/") == other.capabilities(path + "/")


@given(some_policies, st.sampled_from(["a/", "ab/", "a/b/", "d/"]), paths)
def test_a_mount_with_any_right_below_it_is_reached(policies, mount, rest):
    """`reaches` never says no where a request below the mount would be allowed."""
    acl = Acl.compile(policies)
    if any(acl.check(mount + rest, right).allowed for right in RIGHTS):
        assert acl.reaches(mount)


@given(some_policies)
def test_an_added_policy_never_takes_a_right_from_a_root_token(policies):
    """Root is root."""
    assert Acl.compile(policies, root=True).check("any", C.DELETE, sudo=True).allowed
