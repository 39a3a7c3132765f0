"""What the server counts about itself: requests by verb and result. Names and numbers only, nothing of anybody's."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ml_secrets.errors import Fault

if TYPE_CHECKING:
    from ml_secrets.errors import MlSecretsError


class Counters:
    """Counts since the process began. An increment is one dictionary operation; a lost one under threads is accepted."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.requests: Counter[tuple[str, str]] = Counter()

    def count(self, verb: str, error: MlSecretsError | None) -> None:
        """One request has ended: "ok", "refused" (the caller's) or "failed" (ours)."""
        result = "ok" if error is None else "failed" if isinstance(error, Fault) else "refused"
        self.requests[verb, result] += 1
