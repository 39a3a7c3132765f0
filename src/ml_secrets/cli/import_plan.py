"""What an import will do to each secret, decided before anything is written; and doing it.

    create      nothing is there
    unchanged   the same fields are there already
    conflict    other fields are there, and nobody said what to do: nothing at all is written
    overwrite   other fields are there: a new version replaces them (--overwrite)
    skip        other fields are there: they stay (--skip)

A write names the version that it was decided upon, so what somebody else writes meanwhile is not overwritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_secrets.cli import terminal
from ml_secrets.cli.kv_secret import same, versioned
from ml_secrets.errors import MlSecretsError, NotFound

if TYPE_CHECKING:
    from ml_secrets.cli.import_sources import Secrets
    from ml_secrets.cli.kv_place import Place
    from ml_secrets.cli.session import Session


@dataclass(slots=True)
class Step:
    """One secret of the plan. `version` is the one found (0: none)."""

    place: Place
    fields: dict[str, Any]
    action: str
    version: int

    def shown(self) -> dict[str, Any]:
        """Without values."""
        return {"path": self.place.shown, "action": self.action, "fields": sorted(self.fields)}


def plan(run: Session, top: Place, secrets: Secrets, *, on_conflict: str) -> list[Step]:
    """Compare with what is there. `on_conflict`: conflict, overwrite or skip."""
    steps = []
    with terminal.progress("Comparing", len(secrets)) as step:
        for name, fields in sorted(secrets.items()):
            place = top.below(name) if name else top
            present, version = _present(run, place)
            steps.append(Step(place, fields, _action(present, fields, on_conflict), version))
            step()
    return steps


def _action(present: dict[str, Any] | None, fields: dict[str, Any], on_conflict: str) -> str:
    if present is None:
        return "create"
    return "unchanged" if same(present, fields) else on_conflict


def _present(run: Session, place: Place) -> tuple[dict[str, Any] | None, int]:
    """Fields and version of what is there; no fields for a version that was deleted."""
    try:
        found = run.read(place.data).data
    except NotFound as error:
        return None, int(((error.data or {}).get("metadata") or {}).get("version") or 0)
    if place.version == 1:
        return found, 0
    return found.get("data"), int((found.get("metadata") or {}).get("version") or 0)


def carry_out(run: Session, steps: list[Step]) -> int:
    """Write what the plan says. Returns how many were written."""
    writing = [step for step in steps if step.action in {"create", "overwrite"}]
    with terminal.progress("Importing", len(writing)) as done:
        for number, step in enumerate(writing):
            try:
                run.write(
                    step.place.data,
                    step.fields if step.place.version == 1 else versioned(step.fields, step.version),
                )
            except MlSecretsError:
                run.note(f"Written: {number} of {len(steps)} secrets, then {step.place.shown} failed")
                raise
            done()
    return len(writing)
