"""Response wrapping: put something in, look at the wrapping, take it out once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from ml_secrets.contract import Context, Help, Raw, Response
from ml_secrets.domain.advice import explain, refusal
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.instant import rfc3339
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Denied, Invalid, Unauthenticated
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.domain.token import TokenEntry
    from ml_secrets.registry.wrapping import Wrapped

Token = Annotated[Sensitive, Help("The wrapping token; default: the calling token.")]


class _Envelope(msgspec.Struct):
    """A wrapped answer, whose data goes out as it came in."""

    data: Raw = Raw(b"null")
    auth: dict[str, object] | None = None
    warnings: list[str] | None = None
    lease_id: str = ""
    lease_duration: int = 0
    renewable: bool = False


_decode = msgspec.json.Decoder(_Envelope).decode


def _invalid() -> Invalid:
    return Invalid(
        "wrapping token is not valid or does not exist",
        hint="it may have been used already: if you did not use it, treat its content as leaked",
    )


@ENGINE.write("wrapping/wrap", changes=False, any_field=True)
def wrap(ctx: Context) -> Response:
    """Wrap the fields of this request. Needs the X-Vault-Wrap-TTL header."""
    if ctx.request.wrap_ttl is None:
        raise Invalid("endpoint requires response wrapping to be used", hint="send X-Vault-Wrap-TTL")
    return Response(dict(ctx.request.fields))


@ENGINE.write("wrapping/unwrap", public=True)
def unwrap(ctx: Context, token: Token | None = None) -> Response:
    """Give back what was wrapped, once.

    Needs no token beside the wrapping one. Looking, ending and answering are one write transaction, and writers take
    turns: of any number at once, one gets the content.
    """
    key = _key(ctx, token)
    if token:
        _check_caller(ctx, key)
    wrapped, _ = _take(ctx, key)
    inside = _decode(wrapped.answer)
    data = _data(inside)
    return Response(
        {} if data is None and inside.auth is None else data,
        warnings=inside.warnings or [],
        auth=inside.auth,
        lease_id=inside.lease_id,
        lease_duration=inside.lease_duration,
        renewable=inside.renewable,
        accessor=wrapped.accessor,
    )


def _check_caller(ctx: Context, key: str) -> None:
    """A token in the header beside the wrapping token in the body must be good, and be allowed to unwrap."""
    request, caller = ctx.request, ctx.caller
    if request.token is None or (caller is not None and caller.key == key):
        return
    if caller is None:
        raise Unauthenticated(
            "permission denied",
            hint="the token in the header is unknown, expired or revoked; unwrapping needs none",
        )
    acl = ctx.access.policies.rights_of(ctx.unit, caller.entry)
    decision = acl.check(request.path, Capability.UPDATE, fields=request.fields, wrap_ttl=request.wrap_ttl)
    if not decision.allowed:
        raise refusal(explain(decision))
    spent = ctx.access.tokens.spend(ctx.unit, caller.key)
    if spent is None or spent.uses_left < 0:
        ctx.access.end_token(ctx.unit, caller.key)


def _take(ctx: Context, key: str) -> tuple[Wrapped, TokenEntry]:
    """What is wrapped, and its token, which ends. Raises `Invalid` for a token that is none, or no longer one."""
    wrapped, entry = ctx.access.wrapping.find(ctx.unit, key), ctx.access.tokens.entry(ctx.unit, key)
    if wrapped is None or entry is None:
        raise _invalid()
    ctx.access.end_token(ctx.unit, key)
    return wrapped, entry


def _data(inside: _Envelope) -> dict[str, Raw] | None:
    return msgspec.json.decode(inside.data, type=dict[str, Raw] | None)


@ENGINE.write("wrapping/lookup", public=True, changes=False)
@ENGINE.read("wrapping/lookup", public=True)
def lookup(ctx: Context, token: Token | None = None) -> Response:
    """Tell where and when something was wrapped, without taking it out."""
    key = _key(ctx, token)
    wrapped = ctx.access.wrapping.find(ctx.unit, key)
    if wrapped is None or ctx.access.tokens.entry(ctx.unit, key) is None:
        raise _invalid()
    return Response(
        {
            "creation_path": wrapped.path,
            "creation_time": rfc3339(wrapped.created),
            "creation_ttl": wrapped.ttl,
        }
    )


@ENGINE.write("wrapping/rewrap")
def rewrap(ctx: Context, token: Token | None = None) -> Response:
    """Move what was wrapped to a fresh wrapping token; the old one ends."""
    tokens, key = ctx.access.tokens, _key(ctx, token)
    wrapped, old = _take(ctx, key)
    entry = msgspec.structs.replace(
        old, accessor=tokens.new_accessor(), created=ctx.now, expires=ctx.now + wrapped.ttl, uses_left=1
    )
    fresh = tokens.issue(ctx.unit, entry)
    ctx.access.wrapping.keep(
        ctx.unit, tokens.key_of(fresh), msgspec.structs.replace(wrapped, created=ctx.now)
    )
    info = {
        "token": fresh,
        "accessor": entry.accessor,
        "ttl": wrapped.ttl,
        "creation_time": rfc3339(ctx.now),
        "creation_path": wrapped.path,
    }
    return Response(wrap_info=info | ({"wrapped_accessor": wrapped.accessor} if wrapped.accessor else {}))


def _key(ctx: Context, token: Sensitive | None) -> str:
    """The key of the wrapping token: the one in the body, or else the one in the header, live or not."""
    if token:
        return ctx.access.tokens.key_of(token.reveal())
    if ctx.request.token is None:
        raise Denied(
            "error validating wrapping token: token is empty",
            hint="send it as the field token, or as X-Vault-Token",
        )
    return ctx.access.tokens.key_of(ctx.request.token)
