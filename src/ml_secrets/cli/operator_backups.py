"""`ml-secrets operator backups`: those that a server makes by itself, as its configuration file says."""

from __future__ import annotations

from typing import Any

import click

from ml_secrets.cli import output, terminal
from ml_secrets.cli.command import Noun
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import NotFound

_BACKUPS = "sys/storage/backups"


@click.group("backups", cls=Noun, example="ml-secrets operator backups status")
def backups() -> None:
    """Backups that the server makes by itself: list, status, now. One into a file of yours: operator backup."""


@backups.verb("list", example="ml-secrets operator backups list")
@session
def list_(run: Session) -> None:
    """List the backups in the server's folder, the oldest first. Each was verified when it was made."""
    try:
        found: dict[str, Any] = run.client.list(_BACKUPS).data["key_info"]
    except NotFound:
        found = {}
    rows = [(one["name"], one["created_time"], str(one["size"])) for one in found.values()]
    told = output.table(("Name", "Created", "Bytes"), rows) if rows else "There is no backup yet"
    run.show(list(found.values()), told)


@backups.verb("status", example="ml-secrets operator backups status")
@session
def status(run: Session) -> int:
    """Show when backups are made, the newest one, and what fails.

    Exit code: 0 all is well, 1 the newest attempt failed, or none are made.
    """
    found = run.read(f"{_BACKUPS}/status").data
    run.show(found, output.pairs(found))
    return output.OK if found.get("enabled") and not found.get("failing") else output.LOCAL


@backups.verb("now", example="ml-secrets operator backups now")
@session
def now(run: Session) -> None:
    """Have the server make and verify a backup in its folder, and wait for it."""
    run.take_time()
    with terminal.progress("Backup"):
        made = run.write(f"{_BACKUPS}/now").data
    run.show(made, output.pairs(made))
