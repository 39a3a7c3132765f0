"""What a token may do on given paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ml_secrets.contract import Context, Help, Response, Shape, Strings
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.domain.token import TokenEntry

Paths = Annotated[Strings, Help("API paths, without /v1/.")]
_NONE = Strings(())
_MOST = 1000


@ENGINE.write(
    "capabilities-self",
    changes=False,
    shape=Shape.REPEATED,
    plain=("path", "paths"),
    plain_response=("capabilities", "keys"),
)
def capabilities_self(ctx: Context, paths: Paths = _NONE, path: Paths = _NONE) -> Response:
    """Tell what the calling token may do on these paths."""
    if ctx.caller is None:
        raise Invalid("invalid token")
    return _answer(ctx, ctx.caller.entry, paths or path)


@ENGINE.write("capabilities", changes=False, shape=Shape.REPEATED, plain=("path", "paths"))
def capabilities(
    ctx: Context, token: Sensitive | None = None, paths: Paths = _NONE, path: Paths = _NONE
) -> Response:
    """Tell what a token may do on these paths."""
    caller = ctx.access.caller_of(ctx.unit, token.reveal()) if token else None
    if caller is None:
        raise Invalid("invalid token")
    return _answer(ctx, caller.entry, paths or path)


@ENGINE.write("capabilities-accessor", changes=False, shape=Shape.REPEATED, plain=("path", "paths"))
def capabilities_accessor(ctx: Context, accessor: str, paths: Paths = _NONE, path: Paths = _NONE) -> Response:
    """Tell what the token of an accessor may do on these paths."""
    _, entry = ctx.access.tokens.by_accessor(ctx.unit, accessor)
    return _answer(ctx, entry, paths or path)


def _canonical(ctx: Context, path: str) -> str:
    bare = path.strip("/")
    return ctx.access.canonical(ctx.unit, bare) + ("/" if path.endswith("/") else "")


def _answer(ctx: Context, token: TokenEntry, paths: tuple[str, ...]) -> Response:
    if not paths:
        raise Invalid("missing paths: send 'path' or 'paths'")
    if len(paths) > _MOST:
        raise Invalid(f"more than {_MOST} paths", hint="ask several times")
    acl = ctx.access.policies.rights_of(ctx.unit, token)
    data: dict[str, Any] = {path: acl.capabilities(_canonical(ctx, path)) for path in paths}
    if len(paths) == 1:
        data["capabilities"] = data[paths[0]]
    return Response(data)
