"""All rights on a path at once, and which rights lie below one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.domain.acl import Acl
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.policy import parse_policy

RULES = st.dictionaries(
    st.sampled_from(["a", "a/", "a/*", "a/b", "+/b", "a/+", "*", "a/b/*"]),
    st.sets(st.sampled_from(["read", "list", "scan", "update", "deny"]), min_size=1),
)
EVERY = sorted(set(Capability) - {Capability.DENY})


def acl_of(text):
    return Acl.compile([parse_policy("p", text)])


def text_of(rules):
    """The rules in JSON, which is a policy, too."""
    return json.dumps({"path": {path: {"capabilities": sorted(rights)} for path, rights in rules.items()}})


@given(RULES, st.sampled_from(["a", "a/b", "a/c", "c/b", "a/b/c"]))
def test_rights_are_what_single_questions_would_give(rules, path):
    """Every capability by itself."""
    acl = acl_of(text_of(rules))
    assert acl.rights(path) == {right for right in EVERY if acl.check(path, right).allowed}


@pytest.mark.parametrize("condition", ['min_wrapping_ttl = "1s"', 'required_parameters = ["x"]'])
def test_rights_with_conditions_are_left_out_where_asked(condition):
    """Those of the path, and those of the folder of its name."""
    acl = acl_of(
        f'path "a" {{ capabilities = ["read"]\n {condition} }}\npath "a/" {{ capabilities = ["list"] }}'
    )
    assert acl.rights("a") == {Capability.READ, Capability.LIST}
    assert acl.rights("a", unconditional=True) == {Capability.LIST}
    acl = acl_of(
        f'path "a" {{ capabilities = ["read"] }}\npath "a/" {{ capabilities = ["list"]\n {condition} }}'
    )
    assert acl.rights("a", unconditional=True) == {Capability.READ}
    assert acl.rights("b", unconditional=True) == frozenset()


def test_root_has_every_right():
    """Except to be denied."""
    assert Acl.compile([], root=True).rights("x", unconditional=True) == set(EVERY)


def test_only_the_wanted_rights_reach_below():
    """A rule that only lists reaches for a list, and for nothing else."""
    acl = acl_of(
        'path "a/*" { capabilities = ["list"] }\npath "b/c" { capabilities = ["read"] }\npath "d/+/e" { capabilities = ["read"] }'
    )
    read = frozenset({Capability.READ})
    assert [folder for folder in ("a/", "a/x/", "b/", "d/x/", "d/x/y/z/") if acl.reaches(folder, read)] == [
        "b/",
        "d/x/",
    ]
    assert acl.reaches("a/")
    assert Acl.compile([], root=True).reaches("a/", read)
