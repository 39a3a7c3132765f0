"""What the caller may do on other paths than the one that was asked for. The pipeline has decided that one only.

`holds` counts a right only if it holds without conditions; `may` counts it whatever its conditions (parameters,
wrapping) are. What a request needs is asked with the first, what it must not bring about with the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.domain.advice import explain, refusal

if TYPE_CHECKING:
    from ml_secrets.contract import Context
    from ml_secrets.domain.capability import Capability


class Rights:
    """The caller's rights, on any path. A request without a token has none."""

    def __init__(self, ctx: Context) -> None:
        token = None if ctx.caller is None else ctx.caller.entry
        self._acl = ctx.access.policies.rights_of(ctx.unit, token)

    def holds(self, path: str, capability: Capability) -> bool:
        """The right holds, without conditions."""
        return capability in self._acl.rights(path, unconditional=True)

    def may(self, path: str, capability: Capability) -> bool:
        """The right holds, under whatever conditions."""
        return capability in self._acl.rights(path)

    def any(self, path: str, wanted: frozenset[Capability]) -> bool:
        """One of these rights holds, under whatever conditions."""
        return not wanted.isdisjoint(self._acl.rights(path))

    def reaches(self, folder: str, wanted: frozenset[Capability] | None = None) -> bool:
        """Some right (one of those `wanted`) holds at or below a path that ends in "/"."""
        return self._acl.reaches(folder, wanted)

    def demand(self, path: str, capability: Capability) -> None:
        """Raise `Denied` unless the right holds, without conditions."""
        if self.holds(path, capability):
            return
        decision = self._acl.check(path, capability)
        because = f"the rule for {path} hangs on parameters or wrapping, which this request cannot meet"
        raise refusal(because if decision.allowed else f"{path}: {explain(decision)}")
