"""Which policies a new token gets. The rules, of which the first that fits decides:

1. A role with lists of policies: those asked for must be allowed by it and not disallowed; none asked for means the
   role's allowed ones, or (where it only disallows) the parent's.
2. None asked for: the parent's.
3. The caller has sudo on the path: whatever is asked for.
4. Otherwise those asked for must be among the parent's.

In every case root comes only from root, and the policy of wrapping tokens from nobody. Pure: nothing here looks at the store.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ml_secrets.domain.token import DEFAULT_POLICY, ROOT_POLICY, WRAPPING_POLICY, token_policies
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from ml_secrets.auth.token.state import TokenRole


def child_policies(
    asked: tuple[str, ...], *, parent: tuple[str, ...], role: TokenRole | None, sudo: bool, no_default: bool
) -> tuple[str, ...]:
    """The policies of a new token, sorted. Raises `Invalid`."""
    if role is not None and role.lists_policies:
        found = _by_role(asked, parent, role, no_default=no_default)
    elif not asked:
        found = parent
    elif sudo:
        found = token_policies(asked, no_default_policy=no_default)
    else:
        if not set(asked) <= set(parent) and ROOT_POLICY not in parent:
            raise Invalid(
                "child policies must be subset of parent",
                hint=f"this token has {', '.join(parent) or 'none'}",
            )
        found = token_policies(asked, no_default_policy=no_default or DEFAULT_POLICY not in parent)
    if no_default:
        found = tuple(name for name in found if name != DEFAULT_POLICY)
    return _possible(found, parent)


def _by_role(
    asked: tuple[str, ...], parent: tuple[str, ...], role: TokenRole, *, no_default: bool
) -> tuple[str, ...]:
    bare = no_default or role.no_default_policy or DEFAULT_POLICY in role.disallowed_policies
    if role.allowed_policies or role.allowed_policies_glob:
        allowed = token_policies(role.allowed_policies, no_default_policy=bare)
        found = token_policies(asked, no_default_policy=bare) if asked else allowed
        if not all(
            name in allowed or (name != ROOT_POLICY and _fits(name, role.allowed_policies_glob))
            for name in found
        ):
            raise Invalid(
                f"token policies ({_listed(found)}) must be subset of the role's allowed policies ({_listed(allowed)})"
                f" or glob policies ({_listed(role.allowed_policies_glob)})"
            )
    else:
        found = token_policies(asked or parent, no_default_policy=bare)
    for name in found:
        if name in role.disallowed_policies or _fits(name, role.disallowed_policies_glob):
            raise Invalid(f'token policy "{name}" is disallowed by this role')
    return found


def _possible(found: tuple[str, ...], parent: tuple[str, ...]) -> tuple[str, ...]:
    if ROOT_POLICY in found and ROOT_POLICY not in parent:
        raise Invalid("root tokens may not be created without parent token being root")
    if WRAPPING_POLICY in found:
        raise Invalid(f'cannot assign policy "{WRAPPING_POLICY}"')
    return found


def _fits(name: str, globs: tuple[str, ...]) -> bool:
    """`*` is the only wildcard: names have none of the other characters that fnmatch knows."""
    return any(fnmatchcase(name, glob.replace("[", "[[]").replace("?", "[?]")) for glob in globs)


def _listed(names: tuple[str, ...]) -> str:
    return "[" + " ".join(f'"{name}"' for name in names) + "]"
