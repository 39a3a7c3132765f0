"""Living tokens: look up, renew, revoke. Each by the token itself, by the calling one, or by an accessor."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from ml_secrets.auth.token.engine import ENGINE, caller_of, has_sudo
from ml_secrets.contract import Context, Help, Response, Seconds
from ml_secrets.contract.names import named
from ml_secrets.contract.response import Same
from ml_secrets.domain.instant import rfc3339
from ml_secrets.domain.token import TokenEntry, renewed_expiry
from ml_secrets.errors import Denied, Invalid
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.contract import Transaction

_HALF: Final = 0.5
"""A time to live is shown to the nearest second, so it changes at each half."""
_MOMENTS: Final = 4096
_encode: Final = msgspec.json.Encoder().encode
_moment = lru_cache(_MOMENTS)(rfc3339)  # the same tokens are looked up over and over
Token = Annotated[Sensitive, Help("The token.")]
Accessor = Annotated[str, Help("The token's accessor.")]
ReadOnly = Annotated[
    bool,
    Help(
        "From now on it reads and lists what its policies let it, and changes nothing; that cannot be undone."
    ),
]
Increment = Annotated[Seconds, Help("How long it shall live from now; default: as at first.")]


# ── look up ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@ENGINE.read("lookup")
@ENGINE.write("lookup", changes=False)
def look_up(ctx: Context, token: Token | None = None) -> Response:
    """Show what is known of a token; without one, of the calling token."""
    if not token:
        return look_up_self(ctx)
    found = ctx.access.tokens.find(ctx.unit, token.reveal())
    if found is None:
        raise Denied("bad token", hint="it is unknown, expired or revoked")
    return Response(_shown(ctx, found[1], token.reveal()))


@ENGINE.read("lookup-self")
@ENGINE.write("lookup-self", changes=False)
def look_up_self(ctx: Context) -> Response:
    """Show what is known of the calling token."""
    caller = caller_of(ctx)
    entry, left = caller.entry, caller.entry.ttl(ctx.now)
    return Response(
        _shown(ctx, entry, caller.token),
        state=(Same(entry), left),
        again=_Again(_shown(ctx, entry, "")).data,
        until=math.inf if entry.expires is None else entry.expires - left + _HALF,
    )


class _Again:
    """Shows a token once more, for as long as its time to live is the same in seconds."""

    __slots__ = ("_end", "_start")

    def __init__(self, shown: dict[str, Any]) -> None:
        self._start, _, self._end = _encode(shown).partition(
            b'"id":""'
        )  # ahead of it stand plain values only

    def data(self, _opaque: Transaction, token: str) -> bytes:
        """As JSON."""
        return b'%b"id":%b%b' % (self._start, _encode(token), self._end)


@ENGINE.write("lookup-accessor", changes=False)
def look_up_accessor(ctx: Context, accessor: Accessor = "") -> Response:
    """Show what is known of a token, by its accessor."""
    return Response(_shown(ctx, _by_accessor(ctx, accessor)[1], ""))


def _shown(ctx: Context, entry: TokenEntry, token: str) -> dict[str, Any]:
    """A token as the wire shows it."""
    data: dict[str, Any] = {
        "accessor": entry.accessor,
        "creation_time": int(entry.created),
        "creation_ttl": entry.creation_ttl,
        "display_name": entry.display_name,
        "entity_id": entry.entity_id,
        "expire_time": None if entry.expires is None else _moment(entry.expires),
        "explicit_max_ttl": entry.explicit_max_ttl,
        "id": token,
        "issue_time": _moment(entry.created),
        "meta": entry.meta,
        "num_uses": entry.uses_left,
        "orphan": entry.orphan,
        "path": entry.path,
        "policies": entry.policies,
        "renewable": entry.renewable,
        "ttl": entry.ttl(ctx.now),
        "type": entry.kind,
    }
    if entry.last_renewal is not None:
        data |= {"last_renewal": _moment(entry.last_renewal), "last_renewal_time": int(entry.last_renewal)}
    period = 0 if entry.period_of_role else entry.period
    optional = {
        "period": period,
        "role": entry.role,
        "bound_cidrs": entry.bound_cidrs,
        "read_only": entry.read_only,
    }
    return data | {field: value for field, value in optional.items() if value}


# ── renew ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@ENGINE.write("renew", short=True, plain=("increment",))
def renew(ctx: Context, token: Token | None = None, increment: Increment | None = None) -> Response:
    """Let a token live on."""
    if not token:
        raise Invalid("missing token ID")
    found = ctx.access.tokens.find(ctx.unit, token.reveal())
    if found is None:
        raise Invalid("token not found")
    return _renew(ctx, *found, token.reveal(), increment)


@ENGINE.write("renew-self", short=True, plain=("increment", "read_only"))
def renew_self(ctx: Context, increment: Increment | None = None, read_only: ReadOnly = False) -> Response:
    """Let the calling token live on, and on request with fewer rights."""
    caller = caller_of(ctx)
    entry = msgspec.structs.replace(caller.entry, read_only=caller.entry.read_only or read_only)
    return _renew(ctx, caller.key, entry, caller.token, increment)


@ENGINE.write("renew-accessor", plain=("increment",))
def renew_accessor(ctx: Context, accessor: Accessor = "", increment: Increment | None = None) -> Response:
    """Let a token live on, by its accessor."""
    return _renew(ctx, *_by_accessor(ctx, accessor), "", increment)


def _renew(ctx: Context, key: str, entry: TokenEntry, token: str, increment: int | None) -> Response:
    if entry.kind == "batch":
        raise Invalid("batch tokens cannot be renewed", hint="make a new one")
    if not entry.renewable or entry.expires is None:
        raise Invalid(
            "lease is not renewable", hint="the token was made so" if entry.expires else "it never expires"
        )
    entry, max_ttl = ctx.access.renewal(ctx.unit, entry)
    expires, warnings = renewed_expiry(entry, increment=increment or 0, now=ctx.now, max_ttl=max_ttl)
    renewed = ctx.access.tokens.renew(ctx.unit, key, entry, expires=expires)
    return ctx.access.auth_of(token, renewed, now=ctx.now, warnings=warnings)


# ── revoke ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@ENGINE.write("revoke")
def revoke(ctx: Context, token: Token | None = None) -> None:
    """End a token and all its children. One that is not known has ended already."""
    if not token:
        raise Invalid("missing token ID")
    found = ctx.access.tokens.find(ctx.unit, token.reveal())
    if found is not None:
        _end(ctx, *found)


@ENGINE.write("revoke-self")
def revoke_self(ctx: Context) -> None:
    """End the calling token and all its children."""
    caller = caller_of(ctx)
    _end(ctx, caller.key, caller.entry)


@ENGINE.write("revoke-accessor")
def revoke_accessor(ctx: Context, accessor: Accessor = "") -> Response | None:
    """End a token and all its children, by its accessor."""
    try:
        key, entry = _by_accessor(ctx, accessor)
    except Invalid:
        if not accessor:
            raise
        return Response(warnings=["No token found with this accessor"])
    _end(ctx, key, entry)
    return None


@ENGINE.write("revoke-orphan")
def revoke_orphan(ctx: Context, token: Token | None = None) -> None:
    """End a token, and let its children live on as orphans. Needs sudo."""
    if not token:
        raise Invalid("missing token ID")
    if not has_sudo(ctx):
        raise Invalid("root or sudo privileges required to revoke and orphan")
    found = ctx.access.tokens.find(ctx.unit, token.reveal())
    if found is None:
        raise Invalid("token to revoke not found")
    _check_service(found[1])
    ctx.access.end_token_alone(ctx.unit, found[0])


def _end(ctx: Context, key: str, entry: TokenEntry) -> None:
    _check_service(entry)
    ctx.access.end_token(ctx.unit, key)


def _check_service(entry: TokenEntry) -> None:
    if entry.kind == "batch":
        raise Invalid(
            "batch tokens cannot be revoked",
            hint="they end with their parent, or with all that was made below a path (sys/leases/revoke-prefix)",
        )


def _by_accessor(ctx: Context, accessor: str) -> tuple[str, TokenEntry]:
    if not accessor:
        raise Invalid("missing accessor")
    return ctx.access.tokens.by_accessor(ctx.unit, accessor)


# ── all ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@ENGINE.list("accessors", sudo=True)
def list_accessors(ctx: Context) -> Response | None:
    """List the accessors of all live tokens."""
    return named(sorted(entry.accessor for _, entry in ctx.access.tokens.all(ctx.unit)))


@ENGINE.write("tidy", changes=False)
def tidy(ctx: Context) -> Response:  # noqa: ARG001 - every operation is given its context
    """Sweep away what ended tokens leave behind. The server does so by itself all the time."""
    return Response(
        warnings=[
            "What ended tokens leave behind is swept away continuously; there is nothing left to tidy."
        ],
        status=202,
    )
