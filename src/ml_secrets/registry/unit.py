"""One request's unit of work: its transaction, its moment, and what to do once it is durable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.storage.interface import Transaction


@dataclass(slots=True)
class Unit:
    """`tx` sees the whole store. `writes` tells a write transaction. `now` is in seconds since 1970."""

    tx: Transaction
    now: float
    writes: bool
    actions: list[Callable[[], None]] = field(default_factory=list)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run `action` once the transaction is durable; never if it rolls back."""
        self.actions.append(action)

    def committed(self) -> None:
        """The transaction is durable: run what waited for it."""
        for action in self.actions:
            action()
