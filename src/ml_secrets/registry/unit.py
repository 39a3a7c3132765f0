"""One request's unit of work: its transaction, its moment, and what to do once it is durable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from ml_secrets.registry.cache import Cache
    from ml_secrets.storage.interface import Transaction


class Unit(msgspec.Struct):
    """`tx` sees the whole store. `writes` tells a write transaction. `now` is in seconds since 1970.

    `changed` names the caches whose rows this unit has changed: for it alone they no longer count.
    """

    tx: Transaction
    now: float
    writes: bool
    actions: list[Callable[[], None]] = []
    changed: set[int] = msgspec.field(default_factory=set)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run `action` once the transaction is durable; never if it rolls back."""
        self.actions.append(action)

    def changes(self, cache: Cache[Any, Any], *keys: Hashable) -> None:
        """Rows that `cache` may hold are being changed; without keys, all of them."""
        self.changed.add(id(cache))
        self.actions.append(lambda: cache.forget(*keys))

    def committed(self) -> None:
        """The transaction is durable: run what waited for it, all of it, whatever fails; then raise."""
        failed: BaseException | None = None
        for action in self.actions:
            try:
                action()
            except BaseException as error:  # noqa: BLE001 - it is raised, after the others
                failed = error
        if failed is not None:
            raise failed
