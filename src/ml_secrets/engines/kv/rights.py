"""What the caller may do on other paths than the one that was asked for. The pipeline has decided that one only.

`holds` counts a right only if it holds without conditions; `may` counts it whatever its conditions (parameters,
wrapping) are. What a request needs is asked with the first, what it must not bring about with the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.domain.acl import Reason, explain
from ml_secrets.errors import Denied

if TYPE_CHECKING:
    from ml_secrets.contract import Context
    from ml_secrets.domain.capability import Capability

_CONDITIONS = (Reason.PARAMETER, Reason.WRAPPING)


class Rights:
    """The caller's rights, on any path. A request without a token has none."""

    def __init__(self, ctx: Context) -> None:
        policies = () if ctx.caller is None else ctx.caller.entry.policies
        self._acl = ctx.access.policies.acl(ctx.unit, policies)

    def holds(self, path: str, capability: Capability) -> bool:
        """The right holds, without conditions."""
        decision = self._acl.check(path, capability)
        return decision.allowed and (decision.rule is None or not decision.rule.constrained)

    def may(self, path: str, capability: Capability) -> bool:
        """The right holds, under whatever conditions."""
        decision = self._acl.check(path, capability)
        return decision.allowed or decision.reason in _CONDITIONS

    def reaches(self, folder: str) -> bool:
        """Some right holds at or below a path that ends in "/"."""
        return self._acl.reaches(folder)

    def demand(self, path: str, capability: Capability) -> None:
        """Raise `Denied` unless the right holds, without conditions."""
        if self.holds(path, capability):
            return
        decision = self._acl.check(path, capability)
        because = f"the rule for {path} hangs on parameters or wrapping, which this request cannot meet"
        raise refusal(because if decision.allowed else f"{path}: {explain(decision)}")


def refusal(because: str) -> Denied:
    """The refusal as the pipeline words it."""
    return Denied("1 error occurred:\n\t* permission denied\n\n", hint=because)
