"""Token roles as stored: role/<name>. Their names keep their case, so the path and the row are the same text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from ml_secrets.contract import Transaction

ROLES: Final = "role/"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)


class TokenRole(msgspec.Struct, kw_only=True):
    """What tokens a role makes. Durations in seconds, 0 means "not set". Globs may end in `*` and never reach root.

    old_names: fields that were written by their older names, and are shown by them, too.
    """

    allowed_policies: tuple[str, ...] = ()
    allowed_policies_glob: tuple[str, ...] = ()
    disallowed_policies: tuple[str, ...] = ()
    disallowed_policies_glob: tuple[str, ...] = ()
    orphan: bool = False
    renewable: bool = True
    path_suffix: str = ""
    allowed_entity_aliases: tuple[str, ...] | None = None
    period: int = 0
    explicit_max_ttl: int = 0
    num_uses: int = 0
    bound_cidrs: tuple[str, ...] = ()
    no_default_policy: bool = False
    strictly_bind_ip: bool = False
    kind: str = "default-service"
    old_names: list[str] = []

    @property
    def lists_policies(self) -> bool:
        """Says itself which policies its tokens may have; otherwise the parent's are the bound."""
        lists = (
            self.allowed_policies,
            self.allowed_policies_glob,
            self.disallowed_policies,
            self.disallowed_policies_glob,
        )
        return any(lists)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TokenRole).decode


def find_role(store: Transaction, name: str) -> TokenRole | None:
    """The role of that name. Raises `Invalid` for a name that none can have."""
    row = store.get(ROLES + _checked(name))
    return None if row is None else _decode(row)


def keep_role(store: Transaction, name: str, role: TokenRole) -> None:
    """Create or replace."""
    store.put(ROLES + _checked(name), _encode(role))


def drop_role(store: Transaction, name: str) -> None:
    """Delete."""
    store.delete(ROLES + _checked(name))


def shown_role(name: str, role: TokenRole) -> dict[str, Any]:
    """A role as the wire shows it."""
    data: dict[str, Any] = {
        "name": name,
        "allowed_policies": role.allowed_policies,
        "allowed_policies_glob": role.allowed_policies_glob,
        "disallowed_policies": role.disallowed_policies,
        "disallowed_policies_glob": role.disallowed_policies_glob,
        "allowed_entity_aliases": role.allowed_entity_aliases,
        "orphan": role.orphan,
        "path_suffix": role.path_suffix,
        "renewable": role.renewable,
        "period": role.period if "period" in role.old_names else 0,
        "explicit_max_ttl": role.explicit_max_ttl if "explicit_max_ttl" in role.old_names else 0,
        "token_period": role.period,
        "token_explicit_max_ttl": role.explicit_max_ttl,
        "token_no_default_policy": role.no_default_policy,
        "token_type": role.kind,
    }
    optional = {
        "token_bound_cidrs": role.bound_cidrs,
        "bound_cidrs": role.bound_cidrs if "bound_cidrs" in role.old_names else (),
        "token_num_uses": role.num_uses,
        "token_strictly_bind_ip": role.strictly_bind_ip,
    }
    return data | {field: value for field, value in optional.items() if value}


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Invalid("invalid role name", hint="letters, digits, and _.- after the first")
    return name
