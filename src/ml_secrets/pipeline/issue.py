"""Tokens for logins, and how an answer shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ml_secrets.contract.response import Response
from ml_secrets.domain.token import (
    ROOT_POLICY,
    TokenEntry,
    address_allowed,
    address_ranges,
    first_lifetime,
    token_kind,
    token_policies,
)
from ml_secrets.errors import Denied, Invalid
from ml_secrets.pipeline.inline import lend

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml_secrets.contract.login import Login
    from ml_secrets.contract.request import Request
    from ml_secrets.domain.mount import Mount
    from ml_secrets.domain.token import Lifetime, TokenParameters
    from ml_secrets.registry.tokens import Tokens
    from ml_secrets.registry.unit import Unit


def issue(
    unit: Unit, tokens: Tokens, request: Request, mount: Mount, login: Login, *, ttls: tuple[int, int]
) -> Response:
    """What a login gives: a token or, inside another request, a caller. `ttls`: the mount's lease TTLs, in seconds, default and maximum."""
    lifetime = _lifetime(login.parameters, *ttls)
    entry = _entry(unit, request, mount, login, lifetime)
    if request.inside:
        caller = lend(unit, tokens, entry)
        return replace(auth_of(caller.token, caller.entry, now=unit.now), caller=caller)
    if entry.kind == "batch":
        token = tokens.issue_batch(unit, entry)
    else:
        entry = replace(entry, accessor=tokens.new_accessor())
        token = tokens.issue(unit, entry)
    return auth_of(token, entry, now=unit.now, warnings=lifetime.warnings)


def _lifetime(wanted: TokenParameters, default_ttl: int, max_ttl: int) -> Lifetime:
    return first_lifetime(
        ttl=wanted.ttl,
        period=wanted.period,
        explicit_max_ttl=wanted.explicit_max_ttl,
        role_max_ttl=wanted.max_ttl,
        default_ttl=default_ttl,
        max_ttl=max_ttl,
    )


def _entry(unit: Unit, request: Request, mount: Mount, login: Login, lifetime: Lifetime) -> TokenEntry:
    """Who logged in, without an accessor yet. Raises a refusal for what no login may give."""
    wanted, policies = login.parameters, _policies(login)
    if not address_allowed(request.remote_address, wanted.bound_cidrs):
        raise Denied("permission denied", hint="logins from this address are not allowed")
    kind = _kind(mount, wanted)
    return TokenEntry(
        accessor="",
        policies=policies,
        path=request.path,
        created=unit.now,
        expires=unit.now + lifetime.ttl,
        display_name=login.display_name,
        meta=login.metadata or None,
        uses_left=wanted.num_uses,
        creation_ttl=lifetime.ttl,
        period=wanted.period,
        explicit_max_ttl=wanted.explicit_max_ttl,
        max_ttl=wanted.max_ttl,
        renewable=kind == "service",
        kind=kind,
        bound_cidrs=address_ranges((request.remote_address,))
        if wanted.strictly_bind_ip
        else wanted.bound_cidrs,
        alias=login.alias,
    )


def _policies(login: Login) -> tuple[str, ...]:
    wanted = login.parameters
    policies = token_policies((*wanted.policies, *login.policies), no_default_policy=wanted.no_default_policy)
    if ROOT_POLICY in policies:
        raise Invalid(
            "auth methods cannot create root tokens", hint="give the role or user the policies it needs"
        )
    return policies


def _kind(mount: Mount, wanted: TokenParameters) -> str:
    kind = token_kind(wanted.kind, mount.token_type)
    if kind == "batch" and (wanted.period or wanted.num_uses):
        raise Invalid(
            "batch tokens cannot be periodic or of limited use",
            hint="the mount's token_type makes batch tokens of all logins",
        )
    return kind


def auth_of(token: str, entry: TokenEntry, *, now: float, warnings: Iterable[str] = ()) -> Response:
    """A token as a login answer shows it."""
    policies = list(entry.policies)
    auth: dict[str, Any] = {
        "client_token": token,
        "accessor": entry.accessor,
        "policies": policies,
        "token_policies": policies,
        "metadata": entry.meta,
        "lease_duration": entry.ttl(now),
        "renewable": entry.renewable and entry.expires is not None,
        "entity_id": entry.entity_id,
        "token_type": entry.kind,
        "orphan": entry.orphan,
        "mfa_requirement": None,
        "num_uses": max(0, entry.uses_left),
    }
    return Response(auth=auth, warnings=list(warnings))
