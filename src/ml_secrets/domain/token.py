"""Tokens: what one is, how long it lives, and what a child may be. Pure rules; times are seconds since 1970.

Every expiry is absolute and fixed when the token is made or renewed, so no arithmetic on "time left" can push it past
its maximum, and a renewal never makes a token immortal.
"""

from __future__ import annotations

import ipaddress
import math
import re
from functools import lru_cache
from typing import Final

import msgspec

from ml_secrets.domain.duration import go_text
from ml_secrets.errors import Invalid

SERVICE_PREFIX: Final = "mls_s_"
BATCH_PREFIX: Final = "mls_b_"
ROOT_POLICY: Final = "root"
DEFAULT_POLICY: Final = "default"
WRAPPING_POLICY: Final = "response-wrapping"


class TokenParameters(msgspec.Struct, kw_only=True):
    """The `token_*` fields that every auth method's role has. Durations in seconds, 0 means "not set".

    kind: "service" or "batch"; "default", "default-service" and "default-batch" leave it to `token_kind`.
    """

    ttl: int = 0
    max_ttl: int = 0
    explicit_max_ttl: int = 0
    period: int = 0
    policies: tuple[str, ...] = ()
    bound_cidrs: tuple[str, ...] = ()
    no_default_policy: bool = False
    num_uses: int = 0
    kind: str = "default"
    strictly_bind_ip: bool = False


def token_kind(wanted: str, rule: str) -> str:
    """The kind, service or batch. `rule` is the mount's or role's token type: a plain kind is a must, "default-…" only a default."""
    if rule in ("service", "batch"):
        return rule
    wanted = wanted if wanted not in ("", "default") else rule
    return "batch" if wanted.endswith("batch") else "service"


class TokenEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A token as stored (sealed), without the token itself. `expires` None means never (root).

    parent: key of the parent, "" for an orphan; depth: how many ancestors it had when it was made.
    read_only: see read_only.py.
    path: where it was made ("auth/userpass/login/ada"). role: the token role it was made by; period_of_role: nobody asked
    for its period beside that role.
    alias: the name its auth method knows the caller by. generation: see registry/tokens.py.
    uses_left: 0 means unlimited, -1 that the last use is being made. creation_ttl, period, explicit_max_ttl, max_ttl
    in seconds.
    """

    accessor: str
    policies: tuple[str, ...]
    path: str
    created: float
    expires: float | None
    display_name: str = "token"
    meta: dict[str, str] | None = None
    uses_left: int = 0
    creation_ttl: int = 0
    period: int = 0
    explicit_max_ttl: int = 0
    max_ttl: int = 0
    renewable: bool = True
    last_renewal: float | None = None
    parent: str = ""
    kind: str = "service"
    role: str = ""
    period_of_role: bool = False
    entity_id: str = ""
    bound_cidrs: tuple[str, ...] = ()
    alias: str = ""
    depth: int = 0
    generation: int = 0
    read_only: bool = False

    @property
    def orphan(self) -> bool:
        """No parent whose end would end it."""
        return not self.parent

    def ttl(self, now: float) -> int:
        """Seconds left, to the nearest; 0 for a token that never expires."""
        return 0 if self.expires is None else max(0, round(self.expires - now))


class Lifetime(msgspec.Struct):
    """How long a token lives from now: `ttl` in seconds, and what had to be cut."""

    ttl: int
    warnings: list[str]


def first_lifetime(
    *, ttl: int, period: int, explicit_max_ttl: int, role_max_ttl: int, default_ttl: int, max_ttl: int
) -> Lifetime:
    """The lifetime of a new token. `default_ttl` and `max_ttl` are the mount's (or server's) own.

    A period takes the place of the TTL and knows no role maximum, but no single period is longer than `max_ttl`.
    """
    cap = max_ttl if period else min(role_max_ttl or max_ttl, max_ttl)
    if explicit_max_ttl:
        cap = min(cap, explicit_max_ttl)
    what, asked = ("period", period) if period else ("TTL", ttl)
    if not asked:
        return Lifetime(min(default_ttl, cap), [])
    return Lifetime(min(asked, cap), _cut(what, asked, cap))


def renewed_expiry(entry: TokenEntry, *, increment: int, now: float, max_ttl: int) -> tuple[float, list[str]]:
    """The new absolute expiry of a renewable token. `max_ttl` is the mount's; the entry's own limits apply as well.

    The limits are moments, fixed since the token's creation: however often and however late it is renewed, its end
    never moves past them.
    """
    what, asked = ("period", entry.period) if entry.period else ("TTL", increment or _granted(entry))
    limit = now + max_ttl if entry.period else entry.created + min(entry.max_ttl or max_ttl, max_ttl)
    if entry.explicit_max_ttl:
        limit = min(limit, entry.created + entry.explicit_max_ttl)
    if limit <= now:  # only where a maximum was lowered after the token was made: it keeps the end it has
        limit = entry.expires or now
    return min(now + asked, limit), _cut(what, asked, limit - now)


def _granted(entry: TokenEntry) -> int:
    """How long the token was given to live when it was made or last renewed: what a renewal gives that asks for nothing."""
    start = entry.created if entry.last_renewal is None else entry.last_renewal
    return entry.creation_ttl if entry.expires is None else max(1, round(entry.expires - start))


def _cut(what: str, asked: int, cap: float) -> list[str]:
    """The warning for a lifetime that was cut; none when it was not."""
    if asked <= cap:
        return []
    shown = max(0, math.ceil(cap))
    return [
        f'{what} of "{_short(asked)}" exceeded the effective max_ttl of "{_short(shown)}"; {what} value is capped accordingly'
    ]


def _short(seconds: int) -> str:
    """3600 -> "1h", 90 -> "1m30s", as the wire's warnings write durations."""
    return re.sub(r"(?<=[hm])0[ms]", "", re.sub(r"(?<=m)0s", "", go_text(seconds)))


def token_policies(wanted: tuple[str, ...], *, no_default_policy: bool) -> tuple[str, ...]:
    """Fold, sort and complete policy names. `root` stands alone."""
    names = {name.strip().lower() for name in wanted} - {""}
    if ROOT_POLICY in names:
        return (ROOT_POLICY,)
    if not no_default_policy:
        names.add(DEFAULT_POLICY)
    return tuple(sorted(names))


def address_allowed(address: str, cidrs: tuple[str, ...]) -> bool:
    """True when no CIDR binds, or one holds the address. A peer without an address (unix socket) fits none."""
    if not cidrs:
        return True
    try:
        peer = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
        peer = peer.ipv4_mapped
    return any(peer in _network(cidr) for cidr in cidrs)


def address_ranges(texts: tuple[str, ...]) -> tuple[str, ...]:
    """CIDRs in their one spelling; a single address has no "/32". Raises `Invalid` for what is none."""
    found = []
    for text in texts:
        try:
            network = _network(text.strip())
        except ValueError:
            raise Invalid(
                "not an IP address or CIDR", hint="write it as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32"
            ) from None
        single = network.prefixlen == network.max_prefixlen
        found.append(str(network.network_address) if single else str(network))
    return tuple(found)


def networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    """CIDRs in their one spelling, where that of a single address has its "/32". Raises `Invalid` for what is none."""
    return tuple(str(_network(text)) for text in address_ranges(texts))


@lru_cache(1024)
def _network(cidr: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(cidr, strict=False)
