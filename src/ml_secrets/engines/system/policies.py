"""ACL policies: write, read, list, delete. What they come to is in lint.py and simulate.py."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from ml_secrets.contract import Context, Help, Response, Shape
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.path import policy_name
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid

Text = Annotated[str, Help("The policy in HCL or JSON, as text or in base64.")]
_FIXED = ("root", "response-wrapping")


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
        raise Invalid(f'cannot update "{name}" policy', hint="it is the server's own: choose another name")
    text = policy or rules
    if not text.strip():
        raise Invalid(
            "'policy' parameter not supplied or empty",
            hint="give its text, with at least one rule or a comment",
        )
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


class Readable:
    """Whether the caller may be shown a policy, by its name: one of their own, or one that they may read. `acl`: their rights."""

    def __init__(self, ctx: Context) -> None:
        self._own = () if ctx.caller is None else ctx.caller.entry.policies
        self.acl = ctx.access.policies.rights_of(ctx.unit, None if ctx.caller is None else ctx.caller.entry)

    def __call__(self, name: str) -> bool:
        """They may."""
        return name in self._own or Capability.READ in self.acl.rights(
            f"sys/policies/acl/{name}", unconditional=True
        )
