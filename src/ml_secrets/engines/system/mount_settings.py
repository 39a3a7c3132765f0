"""The settings of a mount, pure: what a change makes of them. Mounting takes them as `config`, tuning as its fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.domain.duration import parse_duration
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.domain.mount import Mount

LISTS: Final = (
    "audit_non_hmac_request_keys",
    "audit_non_hmac_response_keys",
    "passthrough_request_headers",
    "allowed_response_headers",
)
OURS: Final = ("deletion_protected", "trash_retention")
"""Settings that Vault has not. They are shown where they are set."""
LOCKOUT: Final = {
    "lockout_threshold": "threshold",
    "lockout_duration": "duration",
    "lockout_counter_reset_duration": "reset",
}
"""Field on the wire -> key of `Mount.user_lockout`, where one that is left out is the server's own."""

_TOKEN_TYPES: Final = ("", "default-service", "default-batch", "service", "batch")
_COUNT: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_TRUTH: Final = {"true": True, "false": False}


def tuned(mount: Mount, wanted: Mapping[str, Any]) -> Mount:
    """A copy of the mount with these settings. null leaves one as it is, and so does "" for a duration."""
    after = msgspec.structs.replace(mount)
    for name in ("default_lease_ttl", "max_lease_ttl", "trash_retention"):
        if wanted.get(name) not in (None, ""):
            setattr(after, name, parse_duration(wanted[name]))
    for name in ("description", "listing_visibility", "token_type"):
        if wanted.get(name) is not None:
            if not isinstance(wanted[name], str):
                raise Invalid(f"{name} must be a text")
            setattr(after, name, wanted[name])
    for name in LISTS:
        if wanted.get(name) is not None:
            setattr(after, name, _names(name, wanted[name]))
    for name in ("force_no_cache", "deletion_protected"):
        if wanted.get(name) is not None:
            setattr(after, name, _truth(name, wanted[name]))
    _check_words(after)
    after.user_lockout = _lockout(mount.user_lockout, wanted.get("user_lockout_config"))
    return after


def check_ttls(mount: Mount, *, longest: int) -> None:
    """Raise `Invalid` for a default above its maximum. `longest` is the server's, for a mount without its own."""
    if mount.default_lease_ttl and mount.default_lease_ttl > (mount.max_lease_ttl or longest):
        raise Invalid("default lease TTL is above the maximum lease TTL")


def lockout_shown(mount: Mount) -> dict[str, Any]:
    """What tuning shows of the lockout rule, where the mount has one of its own."""
    rule = mount.user_lockout
    if not rule:
        return {}
    shown: dict[str, Any] = {f"user_{name}": rule.get(ours, 0) for name, ours in LOCKOUT.items()}
    return shown | {"user_lockout_disable": rule.get("threshold") == 0}


def _check_words(mount: Mount) -> None:
    if mount.listing_visibility not in ("", "hidden", "unauth"):
        raise Invalid("listing_visibility is hidden, unauth or empty")
    if mount.token_type not in _TOKEN_TYPES:
        raise Invalid("invalid value for 'token_type'", hint=f"one of {', '.join(_TOKEN_TYPES[1:])}")


def _names(name: str, value: object) -> list[str]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
        raise Invalid(f"{name} must be a list of texts")
    return [part for part in value if part]


def _truth(name: str, value: object) -> bool:
    found = _TRUTH.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise Invalid(f"{name} must be true or false")
    return found


def _lockout(before: dict[str, int], wanted: object) -> dict[str, int]:
    """The lockout rule after a change. 0 takes the server's own back; a threshold of 0 is kept for "never locks" only."""
    if wanted in (None, ""):
        return before
    if not isinstance(wanted, dict):
        raise Invalid("user_lockout_config must be an object")
    off, after = before.get("threshold") == 0, dict(before)
    if wanted.get("lockout_disable") is not None:
        off = _truth("lockout_disable", wanted["lockout_disable"])
    for name, ours in LOCKOUT.items():
        if wanted.get(name) not in (None, ""):
            after[ours] = (_count if ours == "threshold" else parse_duration)(wanted[name])
    after = {name: value for name, value in after.items() if value}
    return after | {"threshold": 0} if off else after


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or not _COUNT.fullmatch(str(value)):
        raise Invalid("lockout_threshold must be a whole number")
    return int(value)
