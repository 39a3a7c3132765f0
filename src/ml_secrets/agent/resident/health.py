"""How an agent is doing, for probes and people. No value, no token, no policy is in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Health:
    """One look at it.

    complete: each file and variable was there at least once. follows: "events", "watch", "poll", or "" while the server is away.
    age: seconds for which nobody knows whether what is in hand still holds. problems: by what they are about.
    """

    logged_in: bool = False
    complete: bool = False
    follows: str = ""
    age: float = 0.0
    stale: bool = False
    problems: dict[str, str] = field(default_factory=dict)
    program: int = 0
    restarts: int = 0

    @property
    def state(self) -> str:
        """In a word: "starting", "stale", "troubled" or "fine"."""
        if not self.complete:
            return "starting"
        if self.stale:
            return "stale"
        return "troubled" if self.problems or not self.follows else "fine"

    @property
    def serves(self) -> bool:
        """Is everything there, and fresh enough?"""
        return self.complete and not self.stale

    def report(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"state": self.state, **asdict(self), "age": round(self.age, 1)}
