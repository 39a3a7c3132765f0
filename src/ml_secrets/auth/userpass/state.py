"""A user as stored: user/<name>. Names are folded by `user_name`, once, so that no two spellings are two users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ml_secrets.domain.path import user_name
from ml_secrets.domain.token import TokenParameters

if TYPE_CHECKING:
    from ml_secrets.contract import Transaction

ROWS = "user/"


class User(msgspec.Struct):
    """`hashed` is the password's Argon2id hash. `old_names`: see auth/token_fields.py."""

    hashed: str
    parameters: TokenParameters
    old_names: list[str] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(User).decode


def find(store: Transaction, name: str) -> User | None:
    """The user of that name. Raises `Invalid` for a name that none can have."""
    row = store.get(ROWS + user_name(name))
    return None if row is None else _decode(row)


def keep(store: Transaction, name: str, user: User) -> None:
    """Create or replace."""
    store.put(ROWS + user_name(name), _encode(user))
