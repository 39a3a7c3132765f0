"""`ml-secrets secrets trash`: disabled engines and login methods that can be restored. ml-secrets' own."""

from __future__ import annotations

from typing import Any, Final

import click

from ml_secrets.cli import output, terminal
from ml_secrets.cli.command import Noun
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import NotFound

_PATH: Final = "sys/mounts-trash"


def declare(secrets: Noun) -> None:
    """Give the noun `secrets` its noun `trash`."""
    secrets.add_command(trash)


@click.group("trash", cls=Noun, example="ml-secrets secrets trash list")
def trash() -> None:
    """Disabled engines and login methods: list, restore, purge. Of those with a trash retention.

    Turn it on with: ml-secrets secrets tune PATH --trash-retention 30d
    """


@trash.verb("list", example="ml-secrets secrets trash list")
@session
def list_(run: Session) -> None:
    """List what was disabled and can be restored."""
    try:
        found: dict[str, Any] = run.client.list(_PATH).data["key_info"]
    except NotFound:
        found = {}
    rows = [
        (entry["path"], entry["type"], entry["removed_time"], entry["purge_time"], name)
        for name, entry in found.items()
    ]
    header = ("Path", "Type", "Disabled", "Purged after", "Id")
    text = output.table(header, rows) if rows else "Nothing is in the trash"
    run.show(found, text, fields={"keys": ",".join(found), **found})


@trash.verb(
    "restore",
    example="ml-secrets secrets trash restore 0017000000000000-…\nml-secrets secrets trash restore --path old/team-a 0017000000000000-…",
)
@click.option("--path", metavar="PATH", help="Where to mount it. Default: where it was.")
@click.argument("id_", metavar="ID")
@session
def restore(run: Session, id_: str, path: str | None) -> None:
    """Mount again what was disabled, with everything in it."""
    try:
        answer = run.write(f"{_PATH}/{id_}/restore", {"path": path} if path else {})
    except NotFound:
        raise NotFound("there is no such thing in the trash", hint="ml-secrets secrets trash list") from None
    run.done(f"Restored {answer.data['path']}")


@trash.verb("purge", example="ml-secrets secrets trash purge 0017000000000000-…")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.argument("id_", metavar="ID")
@session
def purge(run: Session, id_: str, *, yes: bool) -> None:
    """Delete what was disabled, with everything in it, for good."""
    terminal.confirm("Delete it with everything in it for good?", yes=yes)
    run.delete(f"{_PATH}/{id_}")
    run.done("Purged, if it was there")
