"""A version 1 mount becomes a version 2 mount: each secret becomes the first version of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ml_secrets.domain import version as model
from ml_secrets.engines.kv import rows
from ml_secrets.engines.kv.engine import KV2
from ml_secrets.engines.kv.listing import walk
from ml_secrets.engines.kv.unversioned import PREFIX
from ml_secrets.errors import TamperFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.contract import Transaction


def upgrade(store: Transaction, opaque: Transaction, now: float, random: Callable[[int], bytes]) -> None:
    """Move all rows, in the caller's transaction: all of them, or none. The bytes of the secrets stay as they are."""
    for path in walk(store, PREFIX):
        row = store.get(PREFIX + path)
        if row is None:
            raise TamperFault("a secret that is listed is missing from the store")
        secret, number, _ = model.add(model.create(random(16).hex(), now), model.Version(created=now), keep=1)
        rows.put_content(opaque, secret, number, row)
        rows.keep(store, opaque, path, replace(secret, oldest=number), now)
        store.delete(PREFIX + path)


KV2.upgrade = upgrade
