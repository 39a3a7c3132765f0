"""What an operation is given beside its arguments: its own part of the store, the caller, the time, randomness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.contract.access import SystemAccess
    from ml_secrets.contract.request import Caller, Request
    from ml_secrets.domain.mount import Mount
    from ml_secrets.registry.unit import Unit
    from ml_secrets.storage.interface import Transaction


class Context(msgspec.Struct):
    """One operation's surroundings.

    store: this mount's part of the store for names chosen by people (they are sealed too).
    opaque: this mount's part for names made by us, such as random ids (they lie in the clear, in order).
    now: seconds since 1970. random: n random bytes. caller: None for a public operation without a token.
    unit, access: the whole store and the rest of the server; only the system engine and the token method use them.
    """

    request: Request
    mount: Mount
    store: Transaction
    opaque: Transaction
    now: float
    random: Callable[[int], bytes]
    caller: Caller | None
    unit: Unit
    access: SystemAccess
