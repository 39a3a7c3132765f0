"""The store's anchor, while the store is open: checked at the opening, written then, now and again, and at the end.

The store remembers that it has one, so that an anchor that is gone is missed. Without one, all this does nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ml_secrets.barrier.anchor import Position
from ml_secrets.errors import MlSecretsError

if TYPE_CHECKING:
    from ml_secrets.barrier.anchor import Anchor
    from ml_secrets.barrier.barrier import Barrier
    from ml_secrets.pipeline.logs import AuditLogs
    from ml_secrets.pipeline.units import Units

_ANCHORED: Final = "open/opening/anchored"
_log = logging.getLogger(__name__)


class KeptAnchor:
    """One store's anchor; `anchor` is None for none. `logs`: the audit logs, which it knows as well."""

    def __init__(self, anchor: Anchor | None, barrier: Barrier, units: Units, logs: AuditLogs | None) -> None:
        self._anchor = anchor
        self._barrier = barrier
        self._units = units
        self._logs = logs

    @property
    def exists(self) -> bool:
        """There is one in its place, of whatever store."""
        return self._anchor is not None and self._anchor.exists

    def check(self) -> None:
        """Raise `TamperFault` where the anchor knows better than the store or its logs."""
        known = self._known()
        if self._anchor is not None:
            lacking = None if self._logs is None else self._logs.problem
            self._anchor.check(self._barrier, self._position(), expected=known, lacking=lacking)
        elif known:
            _log.warning(
                "this store had an anchor, and the server is set to none: a rollback would go unnoticed"
            )

    def renew(self) -> None:
        """The store has opened: the anchor knows how far it is, and the store that it has an anchor."""
        if self._anchor is None:
            return
        if self._known():
            self.write()  # the old one still holds: on a full disk the store opens all the same
            return
        self._anchor.write(self._barrier, self._position())
        with self._units.write() as unit:
            unit.tx.put(_ANCHORED, b"1")

    def keep(self, now: float) -> None:
        """Write it if it is time."""
        if self._anchor is not None and self._anchor.due(now):
            self.write()

    def write(self) -> None:
        """Bring it up to date. What goes wrong is logged: the one that is there still holds."""
        if self._anchor is None:
            return
        try:
            self._anchor.write(self._barrier, self._position())
        except (OSError, MlSecretsError) as error:
            _log.error("the anchor could not be written: %s", type(error).__name__)

    def _known(self) -> bool:
        """The store knows that it has an anchor."""
        return self._units.read(lambda unit: unit.tx.get(_ANCHORED)) is not None

    def _position(self) -> Position:
        """Where the store is. No commit comes in between, because writers take turns."""
        heads = "" if self._logs is None else self._logs.heads()
        with self._units.write():
            return Position(self._barrier.commit_seq, self._barrier.state_digest, heads)
