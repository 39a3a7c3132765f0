"""One request's unit of work: its transaction, its moment, and what to do once it is durable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from ml_secrets.registry.cache import Cache
    from ml_secrets.storage.interface import Transaction


class Unit(msgspec.Struct):
    """`tx` sees the whole store. `now` is in seconds since 1970.

    `changed` names the caches of which this unit has changed rows (None: all of them): for it alone these no longer count.
    """

    tx: Transaction
    now: float
    actions: list[Callable[[], None]] = []
    changed: dict[int, set[Hashable] | None] = msgspec.field(default_factory=dict)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run `action` once the transaction is durable; never if it rolls back."""
        self.actions.append(action)

    def changes(self, cache: Cache[Any, Any], *keys: Hashable) -> None:
        """Rows that `cache` may hold are being changed; without keys, all of them."""
        rows = self.changed.setdefault(id(cache), set())
        if not keys:
            self.changed[id(cache)] = None
        elif rows is not None:
            rows.update(keys)
        self.actions.append(lambda: cache.forget(*keys))

    def has_changed(self, cache: Cache[Any, Any], key: Hashable) -> bool:
        """What `cache` may hold of that row is not what this unit sees."""
        rows = self.changed.get(id(cache), ())
        return rows is None or key in rows

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
