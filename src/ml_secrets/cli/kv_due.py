"""`ml-secrets kv due`: secrets that expire or are to be rotated. Another server than ml-secrets has none."""

from __future__ import annotations

from typing import Any

import click

from ml_secrets.cli import output
from ml_secrets.cli.command import Command
from ml_secrets.cli.complete import kv_paths
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.kv_pages import pages
from ml_secrets.cli.kv_place import find, mount_option
from ml_secrets.cli.session import Session, session


@click.command(
    "due",
    cls=Command,
    example="ml-secrets kv due\nml-secrets kv due --within 7d team-a\nml-secrets kv due --within 0 --fail",
)
@click.option(
    "--within", metavar="TTL", default="30d", help="How far to look ahead (30d); 0: only what is overdue."
)
@click.option("--fail", is_flag=True, help="End with 1 if something is overdue, for scripts and CI.")
@mount_option
@click.argument("path", default="", metavar="[MOUNT]", shell_complete=kv_paths)
@session
def due(run: Session, path: str, mount: str | None, within: str, *, fail: bool) -> None:
    """List secrets that expire or are to be rotated soon, the overdue ones first.

    You see those whose metadata you may read, never a value. Dates are set with `kv metadata put`.
    """
    place = find(run, path, mount, whole_mount=True).needs_versions()
    if place.name:
        raise LocalError("due is for a whole mount", hint=f"name the mount: ml-secrets kv due {place.mount}")
    found: dict[str, Any] = {}
    for page in pages(run, "read", place.path("due"), {"within": within, "limit": 1000}):
        found |= {f"{place.mount}/{name}": about for name, about in page["key_info"].items()}
    header = ("Secret", "Expires", "Rotate", "Overdue", "Owner")
    rows = [(name, *_row(about)) for name, about in found.items()]
    run.show(found, output.table(header, rows) if rows else "Nothing is due")
    if fail and any(about["overdue"] for about in found.values()):
        raise click.exceptions.Exit(output.LOCAL)


def _row(about: dict[str, Any]) -> tuple[str, ...]:
    return (
        output.cell(about.get("expires_at")),
        output.cell(about.get("rotate_at")),
        "yes" if about["overdue"] else "no",
        output.cell(about.get("owner") or about.get("contact")),
    )
