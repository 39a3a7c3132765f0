"""What a read-only token may do: what its policies let it read and list, and to look after itself. It changes nothing else.

A rule keeps its place when its rights go, so that no wider one comes to count instead. Reading may still have effects where
an engine says so: credentials that are made when they are read are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from ml_secrets.domain.capability import Capability
from ml_secrets.domain.policy import Policy, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOKING: Final = frozenset({Capability.READ, Capability.LIST, Capability.SCAN})
"""The rights that change nothing."""

_STAYING: Final = LOOKING | {Capability.SUDO, Capability.DENY}
OF_ITSELF: Final = frozenset(
    {
        "auth/token/lookup-self",
        "auth/token/renew-self",
        "auth/token/revoke-self",
        "sys/capabilities-self",
        "sys/leases/lookup",
        "sys/leases/renew",
        "sys/policies/simulate-self",
    }
)
"""Paths at which a token looks after itself."""
_ROOTS: Final = Policy(
    "root",
    (
        Rule("*", (*sorted(LOOKING), Capability.SUDO)),
        *(Rule(path, (Capability.READ, Capability.UPDATE)) for path in sorted(OF_ITSELF)),
    ),
)


def narrowed(policies: Iterable[Policy], *, root: bool) -> list[Policy]:
    """The policies without the rights to change anything; `root` among them is one that reads everything."""
    found = [Policy(policy.name, tuple(map(_narrowed, policy.rules))) for policy in policies]
    return [*found, _ROOTS] if root else found


def _narrowed(rule: Rule) -> Rule:
    if rule.pattern in OF_ITSELF:
        return rule
    return replace(rule, capabilities=tuple(right for right in rule.capabilities if right in _STAYING))
