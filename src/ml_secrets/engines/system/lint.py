"""Finds rules of policies that do nothing, or something else than they seem to, beside what is mounted here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ml_secrets.contract import Context, Help, Response
from ml_secrets.contract.readings.rules import asked_for
from ml_secrets.domain.advice import refusal
from ml_secrets.domain.lint import lint
from ml_secrets.domain.path import policy_name
from ml_secrets.domain.pattern import compile_pattern
from ml_secrets.domain.policy import parse_policy
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.engines.system.policies import Readable, Text, decoded
from ml_secrets.errors import Invalid, NotFound

if TYPE_CHECKING:
    from ml_secrets.domain.lint import Finding
    from ml_secrets.domain.policy import Policy

Stored = Annotated[
    str, Help("A stored policy; beside `policy`, the name under which its findings are shown.")
]
OfMount = Annotated[
    str, Help("A mount: look at the rules of every stored policy that reach into it, each policy by itself.")
]
_MOST = 500


@ENGINE.write("policies/lint", changes=False, slow=True, plain=("policy", "name", "mount"))
def lint_policy(ctx: Context, policy: Text = "", name: Stored = "", mount: OfMount = "") -> Response:
    """Find rules that can never decide anything, that no operation here asks for, or that do not mean what they seem to.

    Of stored policies only those are looked at that the caller may read, or has.
    """
    if mount and not (policy or name):
        return _of_mount(ctx, mount.strip("/") + "/")
    if policy and not mount:
        return _shown(_findings(ctx, [parse_policy(name or "policy", decoded(policy))]))
    if name and not mount:
        return _shown(_findings(ctx, [_stored(ctx, policy_name(name))]))
    raise Invalid("send the policy's text as 'policy', or the 'name' of a stored one, or a 'mount'")


def _stored(ctx: Context, name: str) -> Policy:
    if not Readable(ctx)(name):
        raise refusal(f"it takes the right to read sys/policies/acl/{name}")
    stored = ctx.access.policies.find(ctx.unit, name)
    if stored is None:
        raise NotFound(f"no policy {name!r}")
    return stored.parsed


def _of_mount(ctx: Context, mount: str) -> Response:
    readable = Readable(ctx)
    if mount not in ctx.access.mounts.table(ctx.unit).by_path or not readable.acl.reaches(mount):
        raise NotFound(f"nothing is mounted at {mount}", hint="or none of your rights reaches into it")
    stored = [
        (name, ctx.access.policies.find(ctx.unit, name)) for name in ctx.access.policies.names(ctx.unit)
    ]
    seen = [found.parsed for name, found in stored if found is not None and readable(name)]
    hidden = sum(found is not None for _, found in stored) - len(seen)
    warnings = [f"{hidden} policies that you may not read were left out"] if hidden else []
    reaching = [policy for policy in seen if any(_reaches(rule.pattern, mount) for rule in policy.rules)]
    findings = [found for found in _findings(ctx, reaching) if _reaches(found.pattern, mount)]
    return _shown(findings, warnings)


def _reaches(pattern: str, mount: str) -> bool:
    return compile_pattern(pattern).reaches(mount)


def _findings(ctx: Context, policies: list[Policy]) -> list[Finding]:
    """Of each policy by itself: which of them a token has together, nobody can tell from here."""
    if any(len(policy.rules) > _MOST for policy in policies):
        raise Invalid(
            f"a policy of more than {_MOST} rules is not looked at here, rule by rule",
            hint="`ml-secrets policy lint` does so on your machine",
        )
    table = ctx.access.mounts.table(ctx.unit).by_path
    engines = {path: ctx.access.engine(mount) for path, mount in table.items()}
    kinds = {
        path: f"{engine.kind}-v{engine.version}" if engine.version else engine.kind
        for path, engine in engines.items()
    }
    asked = asked_for(engines)
    return [found for policy in policies for found in lint([policy], mounts=kinds, asked_for=asked)]


def _shown(findings: list[Finding], warnings: list[str] | None = None) -> Response:
    return Response({"findings": [finding.shown() for finding in findings]}, warnings=warnings or [])
