"""Password policies: write, read, list, delete, and passwords that follow one.

store  password-policy/<name>   the text
"""

from __future__ import annotations

import base64
from typing import Annotated, Final

from ml_secrets.contract import Context, Help, Response
from ml_secrets.contract.names import named
from ml_secrets.domain.password_policy import check_likely, generate, parse_password_policy
from ml_secrets.domain.path import resource_name
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid, NotFound

_ROWS: Final = "password-policy/"
Text = Annotated[str, Help("The policy in HCL or JSON, as text or in base64.")]


@ENGINE.list("policies/password")
def list_password_policies(ctx: Context) -> Response | None:
    """List the names of all password policies."""
    return named(ctx.store.list(_ROWS))


@ENGINE.read("policies/password/{name}", folded=("name",))
def read_password_policy(ctx: Context, name: str) -> Response:
    """Show a password policy's text."""
    return Response({"policy": _text_of(ctx, name)})


@ENGINE.read("policies/password/{name}/generate", folded=("name",))
def generate_password(ctx: Context, name: str) -> Response:
    """Make a password that follows a policy. It is kept nowhere."""
    policy = parse_password_policy(_text_of(ctx, name))
    return Response({"password": generate(policy, ctx.random)})


@ENGINE.write("policies/password/{name}", folded=("name",), plain=("policy",))
def write_password_policy(ctx: Context, name: str, policy: Text = "") -> None:
    """Create or replace a password policy: a length of 4 to 100, and rules that say of which characters."""
    if not policy.strip():
        raise Invalid("missing policy", hint='write: length = 20, and rule "charset" { charset = "abc" }')
    text = _decoded(policy)
    check_likely(parse_password_policy(text), ctx.random)
    ctx.store.put(_row(name), text.encode())


@ENGINE.delete("policies/password/{name}", folded=("name",))
def delete_password_policy(ctx: Context, name: str) -> None:
    """Delete a password policy."""
    ctx.store.delete(_row(name))


def _text_of(ctx: Context, name: str) -> str:
    row = ctx.store.get(_row(name))
    if row is None:
        raise NotFound("policy does not exist", hint="list them with LIST sys/policies/password")
    return row.decode()


def _row(name: str) -> str:
    return _ROWS + resource_name(name, what="policy name")


def _decoded(text: str) -> str:
    """Out of base64 where it came so: no policy is without blanks, braces and quotes, which base64 does not have."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return text
