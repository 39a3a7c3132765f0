"""What the server counts: its requests by verb and result, and the dates of secrets that are near. No names but mounts'."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from ml_secrets.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.errors import MlSecretsError


READ: Final = ("read", "ok")
"""The key of what a server does most."""


class Counters:
    """Counts since the process began. An increment is one dictionary operation; a lost one under threads is accepted.

    due: path of a mount -> how many dates of its secrets are near (upkeep/remind.py), by what and how.
    """

    def __init__(self, started: float) -> None:
        self.started = started
        self.requests: Counter[tuple[str, str]] = Counter()
        self.due: Mapping[str, Mapping[tuple[str, str], int]] = {}

    def count(self, verb: str, error: MlSecretsError | None) -> None:
        """One request has ended: "ok", "refused" (the caller's) or "failed" (ours)."""
        result = "ok" if error is None else "failed" if isinstance(error, Fault) else "refused"
        self.requests[verb, result] += 1
