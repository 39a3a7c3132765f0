"""Making tokens. The order: may this caller make any, what needs sudo, the policies, the lifetime, the token."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final

from msgspec.structs import replace

from ml_secrets.auth.token.engine import ENGINE, caller_of, has_sudo
from ml_secrets.auth.token.policies import child_policies
from ml_secrets.auth.token.state import TokenRole, find_role
from ml_secrets.contract import Context, Help, Response, Seconds, Strings, TextMap
from ml_secrets.contract.expand import expand
from ml_secrets.domain.path import policy_name
from ml_secrets.domain.token import (
    BATCH_PREFIX,
    ROOT_POLICY,
    SERVICE_PREFIX,
    Lifetime,
    TokenEntry,
    address_ranges,
    first_lifetime,
    token_kind,
)
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive

MOST_ANCESTORS: Final = 100
"""A token's ancestors are looked at with each request, so their line has an end."""

_ID: Final = re.compile(r"[!-~]{1,256}", re.ASCII)
_FOREIGN: Final = ("s.", "b.", "r.", "hvs.", "hvb.", "hvr.")
_FIELDS: Final[dict[str, tuple[Any, str]]] = {
    "id": (Sensitive, "A token of your choosing, in place of a random one. Needs sudo."),
    "policies": (Strings, "Its policies; default: the parent's."),
    "ttl": (Seconds, "First lifetime; default: the server's."),
    "lease": (Seconds, "Older name of ttl."),
    "explicit_max_ttl": (Seconds, "A hard end that no renewal moves."),
    "period": (Seconds, "Renewable for this long again and again. Needs sudo."),
    "num_uses": (int, "How often it can be used; 0 is without limit."),
    "meta": (TextMap, "Shown in its lookup and in the audit log."),
    "display_name": (str, "A name for people."),
    "renewable": (bool, "Whether it can be renewed; default: it can."),
    "no_parent": (bool, "Makes an orphan, which outlives the caller. Needs sudo."),
    "no_default_policy": (bool, "Leaves out the policy `default`."),
    "read_only": (bool, "It reads and lists what its policies let it, and changes nothing."),
    "type": (str, "service or batch."),
    "entity_alias": (str, "The entity alias to make it for."),
}
_PLAIN: Final = tuple(name for name in _FIELDS if name != "id")


@dataclass(slots=True)
class Asked:
    """What a request asks for; what it does not name is empty."""

    id: str = ""
    policies: tuple[str, ...] = ()
    ttl: int = 0
    explicit_max_ttl: int = 0
    period: int = 0
    num_uses: int = 0
    meta: dict[str, str] | None = None
    display_name: str = ""
    renewable: bool = True
    no_parent: bool = False
    no_default_policy: bool = False
    read_only: bool = False
    type: str = ""
    entity_alias: str = ""


_ASKED: Final = frozenset(field.name for field in fields(Asked))


def _gather(values: dict[str, Any]) -> Asked:
    given = {name: value for name, value in values.items() if value is not None}
    given.setdefault("ttl", given.pop("lease", 0))
    if "id" in given:
        given["id"] = given["id"].reveal()
    return Asked(**{name: value for name, value in given.items() if name in _ASKED})


_with_fields = expand(
    "asked", {name: Annotated[kind, Help(help_)] for name, (kind, help_) in _FIELDS.items()}, _gather
)


@ENGINE.write("create", short=True, plain=_PLAIN)
@_with_fields
def create(ctx: Context, asked: Asked) -> Response:
    """Make a token, a child of the calling one: it ends when its parent does."""
    return _create(ctx, asked, None, "")


@ENGINE.write("create-orphan", short=True, plain=_PLAIN)
@_with_fields
def create_orphan(ctx: Context, asked: Asked) -> Response:
    """Make a token that outlives the calling one."""
    return _create(ctx, asked, None, "", orphan=True)


@ENGINE.write("create/{role}", short=True, plain=_PLAIN)
@_with_fields
def create_with_role(ctx: Context, role: str, asked: Asked) -> Response:
    """Make a token as a role says."""
    found = find_role(ctx.store, role)
    if found is None:
        raise Invalid(f"unknown role {role}", hint="list them with LIST auth/token/roles")
    return _create(ctx, asked, found, role, orphan=found.orphan)


# ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _create(
    ctx: Context, asked: Asked, role: TokenRole | None, role_name: str, *, orphan: bool = False
) -> Response:
    caller, sudo = caller_of(ctx), has_sudo(ctx)
    _check_parent(caller.entry)
    _check_asked(asked, role)
    kind = _kind(ctx, asked, role)
    _check_sudo(asked, sudo=sudo)
    policies = child_policies(
        _named(asked.policies),
        parent=caller.entry.policies,
        role=role,
        sudo=sudo,
        no_default=asked.no_default_policy,
    )
    own_period = asked.period
    warnings = _lesser(asked, role)
    if kind == "batch":
        _check_batch(asked, policies)
    lifetime = _lifetime(ctx, asked, role, caller.entry, policies)
    entry = _entry(ctx, asked, role, kind, policies, lifetime)
    entry = replace(entry, role=role_name, period_of_role=bool(entry.period and not own_period))
    if not (orphan or asked.no_parent):
        entry = replace(entry, parent=caller.key, depth=caller.entry.depth + 1)
    warnings += [*lifetime.warnings, *_unknown(ctx, policies)]
    if asked.id:
        warnings.append("A token of your own choosing is only as hard to guess as you make it.")
    return _issue(ctx, entry, asked.id, warnings)


def _entry(
    ctx: Context,
    asked: Asked,
    role: TokenRole | None,
    kind: str,
    policies: tuple[str, ...],
    lifetime: Lifetime,
) -> TokenEntry:
    """An orphan's entry. Batch tokens are not renewable, and neither is what never expires."""
    role = role or TokenRole()
    suffix = f"/{role.path_suffix}" if role.path_suffix else ""
    return TokenEntry(
        accessor="" if kind == "batch" else ctx.access.tokens.new_accessor(),
        policies=policies,
        path=ctx.request.path + suffix,
        created=ctx.now,
        expires=ctx.now + lifetime.ttl if lifetime.ttl else None,
        display_name=_display_name(asked.display_name),
        meta=asked.meta or None,
        uses_left=asked.num_uses,
        creation_ttl=lifetime.ttl,
        period=asked.period,
        explicit_max_ttl=asked.explicit_max_ttl,
        renewable=kind == "service" and asked.renewable and role.renewable and bool(lifetime.ttl),
        kind=kind,
        bound_cidrs=_bound(ctx, role),
        read_only=asked.read_only,
    )


def _issue(ctx: Context, entry: TokenEntry, chosen: str, warnings: list[str]) -> Response:
    if entry.kind == "batch":
        token = ctx.access.tokens.issue_batch(ctx.unit, entry)
    else:
        token = ctx.access.tokens.issue(ctx.unit, entry, token=chosen)
    return ctx.access.auth_of(token, entry, now=ctx.now, warnings=warnings)


def _check_parent(parent: TokenEntry) -> None:
    if parent.kind == "batch":
        raise Invalid("batch tokens cannot create more tokens")
    if parent.uses_left:
        raise Invalid("restricted use token cannot generate child tokens")
    if parent.depth >= MOST_ANCESTORS:
        raise Invalid(
            "the token has too many ancestors", hint="make an orphan, or let an earlier token make it"
        )


def _check_asked(asked: Asked, role: TokenRole | None) -> None:
    if asked.num_uses < 0:
        raise Invalid("number of uses cannot be negative")
    if not asked.entity_alias:
        return
    if role is None:
        raise Invalid("'entity_alias' is only allowed in combination with token role")
    if asked.entity_alias not in (role.allowed_entity_aliases or ()):
        raise Invalid("invalid 'entity_alias' value")
    raise Invalid(
        "'entity_alias' needs the identity engine, which this server does not have", hint="leave it out"
    )


def _kind(ctx: Context, asked: Asked, role: TokenRole | None) -> str:
    if asked.type not in ("", "default", "service", "batch"):
        raise Invalid("invalid 'token_type' value", hint="service or batch")
    kind = token_kind(asked.type, role.kind if role is not None else ctx.mount.token_type)
    if kind == "batch":
        for field in ("explicit_max_ttl", "num_uses", "period", "id"):
            if getattr(asked, field):
                raise Invalid(f'batch tokens cannot have "{field}" set')
    return kind


def _named(asked: tuple[str, ...]) -> tuple[str, ...]:
    """The names asked for. Names that are all empty are a mistake of a program, which must not come to mean the parent's own."""
    names = tuple(policy_name(name, root=True) for name in asked if name)
    if asked and not names:
        raise Invalid(
            "'policies' names no policy", hint="leave it out to give the token its parent's policies"
        )
    return names


def _check_batch(asked: Asked, policies: tuple[str, ...]) -> None:
    if ROOT_POLICY in policies:
        raise Invalid("batch tokens cannot be root tokens")
    if asked.num_uses:  # the role's: nobody can count the uses of a token that is not stored
        raise Invalid('batch tokens cannot have "num_uses" set', hint="the token role limits their uses")


def _check_sudo(asked: Asked, *, sudo: bool) -> None:
    if asked.id:
        if not sudo:
            raise Invalid("root or sudo privileges required to specify token id")
        _check_id(asked.id)
    if asked.no_parent and not sudo:
        raise Invalid(
            "root or sudo privileges required to create orphan token",
            hint="or write to auth/token/create-orphan",
        )
    if asked.period and not sudo:
        raise Invalid("root or sudo privileges required to create periodic token")


def _check_id(text: str) -> None:
    for prefix in (SERVICE_PREFIX, BATCH_PREFIX, *_FOREIGN):
        if text.startswith(prefix):
            raise Invalid(f"custom token ID cannot have the '{prefix}' prefix")
    if "." in text:
        raise Invalid("custom token ID cannot have a '.' in the value")
    if not _ID.fullmatch(text):
        raise Invalid("a custom token ID has 1 to 256 printable ASCII characters and no space")


def _lesser(asked: Asked, role: TokenRole | None) -> list[str]:
    """Bring what was asked for within the role's limits; warnings for what had to give way."""
    if role is None:
        return []
    warnings = []
    for field, what in (("explicit_max_ttl", "Explicit max TTL"), ("period", "Period"), ("num_uses", "")):
        bound, wanted = getattr(role, field), getattr(asked, field)
        least = min(wanted or bound, bound)
        if bound and wanted and what:
            warnings.append(
                f"{what} specified both during creation call and in role; using the lesser value of {least} seconds"
            )
        if bound:
            setattr(asked, field, least)
    return warnings


def _lifetime(
    ctx: Context, asked: Asked, role: TokenRole | None, parent: TokenEntry, policies: tuple[str, ...]
) -> Lifetime:
    """How long it lives. Only a root token can live for ever, and only as the child of one that does."""
    limits = (
        asked.ttl or asked.period or asked.explicit_max_ttl or (role is not None and role.explicit_max_ttl)
    )
    if ROOT_POLICY in policies and not limits:
        if parent.expires is not None:
            raise Invalid("expiring root tokens cannot create non-expiring root tokens")
        return Lifetime(0, [])
    default_ttl, max_ttl = ctx.access.mount_ttls(ctx.mount)
    return first_lifetime(
        ttl=asked.ttl,
        period=asked.period,
        explicit_max_ttl=asked.explicit_max_ttl,
        role_max_ttl=0,
        default_ttl=default_ttl,
        max_ttl=max_ttl,
    )


def _bound(ctx: Context, role: TokenRole) -> tuple[str, ...]:
    return address_ranges((ctx.request.remote_address,)) if role.strictly_bind_ip else role.bound_cidrs


def _display_name(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9-]", "-", f"token-{name}", flags=re.ASCII).removesuffix("-")


def _unknown(ctx: Context, policies: tuple[str, ...]) -> list[str]:
    stored = (name for name in policies if name != ROOT_POLICY)
    return [
        f'Policy "{name}" does not exist'
        for name in stored
        if ctx.access.policies.find(ctx.unit, name) is None
    ]
