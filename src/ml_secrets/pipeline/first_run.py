"""What a new store begins with: the mounts that every server has, and a first root token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ml_secrets.domain.token import ROOT_POLICY, TokenEntry

if TYPE_CHECKING:
    from ml_secrets.pipeline.house import House
    from ml_secrets.registry.unit import Unit

_MOUNTS: Final = (
    ("sys/", "system", "system endpoints used for control, policy and debugging"),
    ("cubbyhole/", "cubbyhole", "per-token private secret storage"),
    ("auth/token/", "token", "token based credentials"),
)


def first_run(house: House, unit: Unit, *, kv_at_secret: bool, root_token: str = "") -> str:
    """Fill an empty store inside one write unit; returns the first root token (`root_token` where one is chosen)."""
    for path, kind, description in _MOUNTS:
        mount = house.mounts.new(path, kind, now=unit.now)
        mount.description = description
        house.mounts.add(unit, mount)
    if kv_at_secret:
        mount = house.mounts.new("secret/", "kv", now=unit.now)
        mount.description, mount.options = "key/value secret storage", {"version": "2"}
        house.mounts.add(unit, mount)
    return new_root_token(house, unit, token=root_token)


def new_root_token(house: House, unit: Unit, *, token: str = "") -> str:
    """A token that may do everything and never expires: only for a first start, and from a quorum of key shares."""
    entry = TokenEntry(
        accessor=house.tokens.new_accessor(),
        policies=(ROOT_POLICY,),
        path="auth/token/root",
        created=unit.now,
        expires=None,
        display_name="root",
        renewable=False,
    )
    return house.tokens.issue(unit, entry, token=token)
