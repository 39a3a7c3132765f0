"""auth/token/policies.py: which policies a child token gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.auth.token.policies import child_policies
from ml_secrets.auth.token.state import TokenRole
from ml_secrets.errors import Invalid

PARENT = ("default", "p1", "p2")
NAMES = st.sampled_from(["default", "p1", "p2", "q", "root", "response-wrapping"])
LISTS = st.lists(NAMES, max_size=3).map(tuple)
GLOBS = st.lists(st.sampled_from(["*", "r*", "p*", "[p]1", "?1"]), max_size=2).map(tuple)


def child(asked=(), *, parent=PARENT, role=None, sudo=False, no_default=False):
    return child_policies(asked, parent=parent, role=role, sudo=sudo, no_default=no_default)


def test_a_child_asks_for_nothing_and_gets_what_its_parent_has():
    """Nothing is added: default only where the parent has it."""
    assert child() == PARENT
    assert child(parent=("p1",)) == ("p1",)
    assert child(no_default=True) == ("p1", "p2")


def test_a_child_gets_no_more_than_its_parent():
    """Matrix 31: the subset rule; sudo lifts it, but not for root."""
    assert child(("p1",)) == ("default", "p1")
    assert child(("p1",), parent=("p1",)) == ("p1",)
    with pytest.raises(Invalid, match="subset of parent"):
        child(("q",))
    assert child(("q",), sudo=True) == ("default", "q")
    with pytest.raises(Invalid, match="without parent token being root"):
        child(("root",), sudo=True)


def test_root_makes_root_and_root_stands_alone():
    """From root comes whatever is asked for."""
    assert child(parent=("root",)) == ("root",)
    assert child(("root", "p1"), parent=("root",), sudo=True) == ("root",)
    assert child(("p1",), parent=("root",), sudo=True) == ("default", "p1")


def test_nobody_gets_the_policy_of_wrapping_tokens():
    """It belongs to the server alone."""
    with pytest.raises(Invalid, match="cannot assign policy"):
        child(("response-wrapping",), parent=("root",), sudo=True)


def test_a_role_with_allowed_policies_gives_those():
    """Asked for nothing: all of them and default; asked for something: it must be among them."""
    role = TokenRole(allowed_policies=("a", "b"))
    assert child(role=role) == ("a", "b", "default")
    assert child(("a",), role=role) == ("a", "default")
    assert child(("a",), role=role, no_default=True) == ("a",)
    text = r'token policies \(\["c" "default"\]\) must be subset of the role\'s allowed policies \(\["a" "b" "default"\]\) or glob policies \(\[\]\)'
    with pytest.raises(Invalid, match=text):
        child(("c",), role=role)


def test_globs_of_a_role_never_reach_root():
    """Matrix 31: `*` allows every name but root, even for root's own call; as a prohibition it holds for root, too."""
    role = TokenRole(allowed_policies_glob=("*",))
    assert child(("anything",), role=role) == ("anything", "default")
    assert child(role=role) == ("default",)
    for parent in (PARENT, ("root",)):
        with pytest.raises(Invalid):
            child(("root",), parent=parent, role=role, sudo=True)
    with pytest.raises(Invalid, match="disallowed"):
        child(("root",), parent=("root",), role=TokenRole(disallowed_policies_glob=("r*",)), sudo=True)


def test_a_role_that_only_disallows_starts_from_the_parent():
    """What is not disallowed may be asked for."""
    role = TokenRole(disallowed_policies=("p2", "default"), disallowed_policies_glob=("x*",))
    assert child(("q",), role=role) == ("q",)
    for asked in (("p2",), ("xy",), ()):
        with pytest.raises(Invalid, match="is disallowed by this role"):
            child(asked, role=role)


@given(
    asked=LISTS,
    parent=LISTS,
    allowed=LISTS,
    globs=GLOBS,
    disallowed=LISTS,
    sudo=st.booleans(),
    no_default=st.booleans(),
)
def test_root_comes_only_from_root_whatever_the_role(
    asked, parent, allowed, globs, disallowed, sudo, no_default
):
    """And no child has the wrapping policy, none of a plain caller's more than its parent's, and names are sorted."""
    parent = ("root",) if "root" in parent else tuple(sorted(set(parent) - {"response-wrapping"}))
    role = TokenRole(
        allowed_policies=tuple(set(allowed) - {"root"}),
        allowed_policies_glob=globs,
        disallowed_policies=disallowed,
    )
    for chosen in (None, role):
        try:
            found = child(asked, parent=parent, role=chosen, sudo=sudo, no_default=no_default)
        except Invalid:
            continue
        assert "root" not in found or "root" in parent
        assert "response-wrapping" not in found
        assert list(found) == sorted(set(found))
        assert not (no_default and "default" in found)
        if chosen is None and not sudo and "root" not in parent:
            assert set(found) <= set(parent)
