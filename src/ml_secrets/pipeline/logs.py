"""The audit logs, as the store's anchor knows them: how far they have come, and whether they still reach that far.

Asked before the devices open: opening one writes to its file.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ml_secrets.audit import reach

if TYPE_CHECKING:
    from ml_secrets.pipeline.devices import AuditTrail
    from ml_secrets.pipeline.units import Units

_log: Final = logging.getLogger(__name__)


class AuditLogs:
    """The files among the devices of `trail`."""

    def __init__(self, trail: AuditTrail, units: Units) -> None:
        self._trail = trail
        self._units = units

    def heads(self) -> str:
        """How far each has come; made durable, so that nobody remembers what a power cut takes away."""
        heads = self._trail.heads()
        for path in self._files().values():
            reach.sync(path)
        return heads

    def problem(self, heads: str) -> str:
        """What is wrong with a log that had come that far; "" if nothing is. A log that is not there at all is only said loudly."""
        files = self._files()
        for device, known in reach.read_heads(heads).items():
            if not known.seq or device not in files:
                continue
            try:
                found = reach.problem(files[device], known, self._trail.chain_key(device))
            except reach.Gone as gone:
                _log.critical("%s", gone)
                continue
            if found:
                return found
        return ""

    def _files(self) -> dict[str, Path]:
        table = self._units.read(self._trail.table)
        places = {
            device: row["options"].get("file_path") or row["options"].get("path", "")
            for device, row in table.items()
            if row["type"] == "file"
        }
        return {device: Path(place) for device, place in places.items() if place.startswith("/")}
