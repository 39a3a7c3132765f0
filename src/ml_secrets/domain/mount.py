"""A mount: an engine or auth method at a path."""

from __future__ import annotations

from typing import Final

import msgspec

FIXED: Final = ("sys/", "cubbyhole/", "identity/", "auth/token/")
"""Mounts that every server has and nobody moves or removes."""


class Mount(msgspec.Struct, kw_only=True):
    """One row of the mount table. `path` ends in "/" and includes "auth/" for auth methods.

    TTLs are in seconds; 0 means the server's default. `options` are the engine's own ({"version": "2"}).
    deletion_protected: it cannot be disabled. trash_retention: seconds for which it can be restored once it is; 0: not.
    """

    path: str
    kind: str
    accessor: str
    uuid: str
    description: str = ""
    default_lease_ttl: int = 0
    max_lease_ttl: int = 0
    options: dict[str, str] | None = None
    local: bool = False
    seal_wrap: bool = False
    external_entropy_access: bool = False
    force_no_cache: bool = False
    listing_visibility: str = ""
    token_type: str = ""
    audit_non_hmac_request_keys: list[str] = msgspec.field(default_factory=list)
    audit_non_hmac_response_keys: list[str] = msgspec.field(default_factory=list)
    passthrough_request_headers: list[str] = msgspec.field(default_factory=list)
    allowed_response_headers: list[str] = msgspec.field(default_factory=list)
    user_lockout: dict[str, int] = msgspec.field(default_factory=dict)
    created: float = 0.0
    deletion_protected: bool = False
    trash_retention: int = 0

    @property
    def is_auth(self) -> bool:
        """True for an auth method."""
        return self.path.startswith("auth/")
