"""ACL policies: write, read, list, delete, lint, explain."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from ml_secrets.contract import Context, Help, Response, Shape
from ml_secrets.domain.acl import explain
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.lint import lint
from ml_secrets.domain.path import policy_name
from ml_secrets.domain.policy import parse_policy
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid, NotFound

Text = Annotated[str, Help("The policy in HCL or JSON, as text or in base64.")]
_FIXED = ("root", "response-wrapping")
_MOST_LINTED = 500
_OPERATIONS = ("create", "read", "update", "delete", "list", "patch", "scan", "sudo")


@ENGINE.list("policies/acl")
def list_policies(ctx: Context) -> Response:
    """List the names of all policies that a token can have."""
    return Response({"keys": _names(ctx)})


@ENGINE.list("policy", shape=Shape.REPEATED)
@ENGINE.read("policy", shape=Shape.REPEATED)
def list_policies_old(ctx: Context) -> Response:
    """List the names of all policies that a token can have (older form)."""
    names = _names(ctx)
    return Response({"keys": names, "policies": names})


def _names(ctx: Context) -> list[str]:
    return [name for name in ctx.access.policies.names(ctx.unit) if name != "response-wrapping"]


@ENGINE.read("policies/acl/{name}", folded=("name",))
def read_policy(ctx: Context, name: str) -> Response | None:
    """Show a policy's text."""
    text = _text_of(ctx, name)
    return None if text is None else Response({"name": name, "policy": text})


@ENGINE.read("policy/{name}", folded=("name",), shape=Shape.REPEATED)
def read_policy_old(ctx: Context, name: str) -> Response | None:
    """Show a policy's text (older form)."""
    text = _text_of(ctx, name)
    return None if text is None else Response({"name": name, "rules": text, "policy": text})


def _text_of(ctx: Context, name: str) -> str | None:
    if name == "root":
        return ""
    stored = ctx.access.policies.find(ctx.unit, name)
    return None if stored is None else stored.text


@ENGINE.write("policies/acl/{name}", folded=("name",), plain=("policy",))
@ENGINE.write("policy/{name}", folded=("name",), plain=("policy", "rules"))
def write_policy(ctx: Context, name: str, policy: Text = "", rules: str = "") -> Response | None:
    """Create or replace a policy. It holds from the next request on."""
    if name in _FIXED:
        raise Invalid(f'cannot update "{name}" policy')
    text = policy or rules
    if not text.strip():
        raise Invalid("'policy' parameter not supplied or empty")
    ctx.access.policies.write(ctx.unit, policy_name(name), decoded(text))
    if rules and not policy:
        return Response(warnings=["'rules' is deprecated, please use 'policy' instead"])
    return None


def decoded(text: str) -> str:
    """The policy's text, out of base64 where it came so."""
    try:
        plain = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return text
    return plain if "path" in plain else text


@ENGINE.delete("policies/acl/{name}", folded=("name",))
@ENGINE.delete("policy/{name}", folded=("name",))
def delete_policy(ctx: Context, name: str) -> None:
    """Delete a policy. Tokens that name it lose what it gave."""
    if name in (*_FIXED, "default"):
        raise Invalid(f'cannot delete "{name}" policy')
    ctx.access.policies.delete(ctx.unit, name)


@ENGINE.write("policies/lint", changes=False, slow=True, plain=("policy", "name"))
def lint_policy(ctx: Context, policy: Text = "", name: str = "") -> Response:
    """Find rules of a policy that can never decide anything, or do not mean what they seem to."""
    if name and not policy:
        stored = ctx.access.policies.find(ctx.unit, name.lower())
        if stored is None:
            raise NotFound(f"no policy {name!r}")
        parsed = stored.parsed
    elif policy:
        parsed = parse_policy(name or "policy", decoded(policy))
    else:
        raise Invalid("send the policy's text as 'policy', or the 'name' of a stored one")
    if len(parsed.rules) > _MOST_LINTED:
        raise Invalid(
            f"a policy of more than {_MOST_LINTED} rules is not looked at here, rule by rule",
            hint="`ml-secrets policy lint` does so on your machine",
        )
    mounts = {
        m.path: f"kv-v{(m.options or {}).get('version', '1')}" if m.kind == "kv" else m.kind
        for m in ctx.access.mounts.table(ctx.unit).by_path.values()
    }
    return Response({"findings": [finding.shown() for finding in lint([parsed], mounts=mounts)]})


@ENGINE.write("policies/explain", changes=False, plain=("path", "operation", "accessor"))
def explain_decision(
    ctx: Context,
    path: Annotated[str, Help("The API path that was asked for, without /v1/.")],
    operation: Annotated[str, Help(f"One of {', '.join(_OPERATIONS)}.")] = "read",
    accessor: Annotated[str, Help("Accessor of the token in question; default: the caller's own.")] = "",
) -> Response:
    """Tell which rule decides a path for a token, and what is missing."""
    if operation not in _OPERATIONS:
        raise Invalid(f"unknown operation {operation!r}", hint=f"one of {', '.join(_OPERATIONS)}")
    needed = Capability[operation.upper()]
    if accessor:
        _, entry = ctx.access.tokens.by_accessor(ctx.unit, accessor)
    elif ctx.caller is not None:
        entry = ctx.caller.entry
    else:
        raise Invalid("send an accessor")
    acl = ctx.access.policies.acl(ctx.unit, entry.policies)
    asked = ctx.access.canonical(ctx.unit, path.strip("/"))
    decision = acl.check(asked, needed)
    return Response(
        {
            "path": path,
            "operation": operation,
            "allowed": decision.allowed,
            "capabilities": acl.capabilities(asked),
            "rule": decision.rule.pattern if decision.rule is not None else None,
            "policies": list(decision.policies),
            "token_policies": list(entry.policies),
            "explanation": explain(decision),
        }
    )
