"""Wrapped answers: kept under the wrapping token's key, given out once, gone with the token.

    open/wrap/<token key>   Wrapped

Who holds the token is asked elsewhere: nothing here tells whether it is still live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from ml_secrets.registry.unit import Unit

_ROW: Final = "open/wrap/"


class Wrapped(msgspec.Struct):
    """`answer` is the JSON of the whole envelope. `ttl` in seconds, `created` since 1970.

    accessor: of what is inside (a token, a secret id), so that it can be revoked without being taken out.
    """

    answer: bytes
    path: str
    created: float
    ttl: int
    accessor: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Wrapped).decode


class Wrapping:
    """The registry of wrapped answers."""

    def keep(self, unit: Unit, key: str, wrapped: Wrapped) -> None:
        """Store an answer under its token's key."""
        unit.tx.put(_ROW + key, _encode(wrapped))

    def find(self, unit: Unit, key: str) -> Wrapped | None:
        """Look without taking."""
        row = unit.tx.get(_ROW + key)
        return None if row is None else _decode(row)

    def drop(self, unit: Unit, key: str) -> None:
        """Forget an answer (its token has ended)."""
        unit.tx.delete(_ROW + key)
