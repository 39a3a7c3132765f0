"""Response wrapping: put something in, look at the wrapping, take it out once."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ml_secrets.contract import Context, Help, Raw, Response
from ml_secrets.domain.instant import rfc3339
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid
from ml_secrets.registry.wrapping import Wrapped
from ml_secrets.sensitive import Sensitive

Token = Annotated[Sensitive, Help("The wrapping token; default: the calling token.")]


class _Envelope(msgspec.Struct):
    """A wrapped answer, whose data goes out as it came in."""

    data: Raw | None = None
    auth: dict[str, object] | None = None
    warnings: list[str] | None = None
    lease_id: str = ""
    lease_duration: int = 0
    renewable: bool = False


_decode = msgspec.json.Decoder(_Envelope).decode


def _invalid() -> Invalid:
    return Invalid("wrapping token is not valid or does not exist", hint="it may have been used already: if you did not use it, treat its content as leaked")


@ENGINE.write("wrapping/wrap", changes=False)
def wrap(ctx: Context) -> Response:
    """Wrap the fields of this request. Needs the X-Vault-Wrap-TTL header."""
    if ctx.request.wrap_ttl is None:
        raise Invalid("endpoint requires response wrapping to be used", hint="send X-Vault-Wrap-TTL")
    return Response(dict(ctx.request.fields))


@ENGINE.write("wrapping/unwrap")
def unwrap(ctx: Context, token: Token | None = None) -> Response:
    """Give back what was wrapped, once."""
    key = _key(ctx, token)
    wrapped = ctx.access.wrapping.find(ctx.unit, key)
    if wrapped is None or (ctx.access.tokens.entry(ctx.unit, key) is None and token is not None):
        raise _invalid()
    ctx.access.end_token(ctx.unit, key)
    inside = _decode(wrapped.answer)
    return Response(
        {} if inside.data is None and inside.auth is None else _data(inside),
        warnings=inside.warnings or [],
        auth=inside.auth,
        lease_id=inside.lease_id,
        lease_duration=inside.lease_duration,
        renewable=inside.renewable,
    )


def _data(inside: _Envelope) -> dict[str, Raw] | None:
    return None if inside.data is None else msgspec.json.decode(inside.data, type=dict[str, Raw] | None)


@ENGINE.write("wrapping/lookup", public=True, changes=False)
@ENGINE.read("wrapping/lookup", public=True)
def lookup(ctx: Context, token: Token | None = None) -> Response:
    """Tell where and when something was wrapped, without taking it out."""
    wrapped = ctx.access.wrapping.find(ctx.unit, _key(ctx, token))
    if wrapped is None or wrapped.created + wrapped.ttl <= ctx.now:
        raise _invalid()
    return Response({"creation_path": wrapped.path, "creation_time": rfc3339(wrapped.created), "creation_ttl": wrapped.ttl})


@ENGINE.write("wrapping/rewrap")
def rewrap(ctx: Context, token: Token | None = None) -> Response:
    """Move what was wrapped to a fresh wrapping token; the old one ends."""


    key = _key(ctx, token)
    wrapped, old = ctx.access.wrapping.find(ctx.unit, key), ctx.access.tokens.entry(ctx.unit, key)
    if wrapped is None or old is None:
        raise _invalid()
    tokens = ctx.access.tokens
    ctx.access.end_token(ctx.unit, key)
    entry = msgspec.structs.replace(
        old, accessor=tokens.new_accessor(), created=ctx.now, expires=ctx.now + wrapped.ttl, uses_left=1
    )
    fresh = tokens.issue(ctx.unit, entry)
    ctx.access.wrapping.keep(ctx.unit, tokens.key_of(fresh), Wrapped(wrapped.answer, wrapped.path, ctx.now, wrapped.ttl))
    info = {
        "token": fresh,
        "accessor": entry.accessor,
        "ttl": wrapped.ttl,
        "creation_time": rfc3339(ctx.now),
        "creation_path": wrapped.path,
        "wrapped_accessor": "",
    }
    return Response(wrap_info=info)


def _key(ctx: Context, token: Sensitive | None) -> str:
    if token:
        return ctx.access.tokens.key_of(token.reveal())
    if ctx.caller is None:
        raise Invalid("missing 'token' value in input")
    return ctx.caller.key
