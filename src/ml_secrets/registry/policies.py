"""Stored policies. The parsed form lies beside the text, so that no policy is parsed while serving.

    policy/<name>   StoredPolicy   (names are people's, so they are sealed too)

What they come to is compiled once for each set of names and cached under the registry's own revision: any change to any
policy makes the next request compile afresh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.domain.acl import Acl
from ml_secrets.domain.policy import BUILT_IN, Policy, parse_policy
from ml_secrets.domain.read_only import narrowed
from ml_secrets.registry.cache import Cache

if TYPE_CHECKING:
    from ml_secrets.domain.token import TokenEntry
    from ml_secrets.registry.unit import Unit

    _Set = tuple[tuple[str, ...], bool]  # names, read only

_ROW: Final = "policy/"
_MOST_COMPILED: Final = 1000
"""Sets of policies. Each remembers some hundred decisions, too (domain/acl.py)."""


class StoredPolicy(msgspec.Struct):
    """`text` as it was written; `parsed` is what is enforced."""

    text: str
    parsed: Policy
    modified: float = 0.0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(StoredPolicy).decode


class Policies:
    """The registry of policies."""

    def __init__(self) -> None:
        self._acls: Cache[_Set, Acl] = Cache(_MOST_COMPILED, self._compile)
        self._policies: Cache[str, StoredPolicy] = Cache(_MOST_COMPILED, self._read)
        self._built_in = {
            name: StoredPolicy(text, parse_policy(name, text)) for name, text in BUILT_IN.items()
        }

    def forget_all(self) -> None:
        """Drop every cached policy, and what was compiled of them."""
        self._policies.forget()
        self._acls.forget()

    def names(self, unit: Unit) -> list[str]:
        """Every policy, `root` included."""
        return sorted({*unit.tx.list(_ROW), *self._built_in, "root"})

    def find(self, unit: Unit, name: str) -> StoredPolicy | None:
        """A policy, stored or built in. `root` has no text and is not here."""
        return self._policies.load(unit, name)

    def write(self, unit: Unit, name: str, text: str) -> StoredPolicy:
        """Parse and store. Raises `Invalid` naming the line that cannot be read."""
        stored = StoredPolicy(text, parse_policy(name, text), unit.now)
        unit.tx.put(_ROW + name, _encode(stored))
        self._changed(unit, name)
        return stored

    def delete(self, unit: Unit, name: str) -> None:
        """Remove a stored policy; tokens that name it lose what it gave with the next request."""
        unit.tx.delete(_ROW + name)
        self._changed(unit, name)

    def rights_of(self, unit: Unit, token: TokenEntry | None) -> Acl:
        """What a token may do: what its policies allow together. A name without a policy allows nothing, and no token neither."""
        set_: _Set = ((), False) if token is None else (token.policies, token.read_only)
        acl = self._acls.load(unit, set_)
        return acl if acl is not None else self._compile(unit, set_)

    def _changed(self, unit: Unit, name: str) -> None:
        unit.changes(self._policies, name)
        unit.changes(self._acls)

    def _read(self, unit: Unit, name: str) -> StoredPolicy | None:
        row = unit.tx.get(_ROW + name)
        return self._built_in.get(name) if row is None else _decode(row)

    def _compile(self, unit: Unit, set_: _Set) -> Acl:
        names, read_only = set_
        found = (self.find(unit, name) for name in names if name != "root")
        policies, root = [stored.parsed for stored in found if stored is not None], "root" in names
        return Acl.compile(narrowed(policies, root=root)) if read_only else Acl.compile(policies, root=root)
