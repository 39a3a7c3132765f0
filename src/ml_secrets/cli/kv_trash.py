"""`ml-secrets kv trash`: what was removed from a mount that has a trash. Another server than ml-secrets has none."""

from __future__ import annotations

from typing import Any, Final

import click

from ml_secrets.cli import output, terminal
from ml_secrets.cli.command import Noun
from ml_secrets.cli.complete import kv_paths
from ml_secrets.cli.kv_pages import counted, pages, refuse_others
from ml_secrets.cli.kv_place import find, mount_option
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import NotFound

_NEXT: Final = "see what there is: ml-secrets kv trash list MOUNT"
_ID: Final = click.option(
    "--id", "id_", metavar="ID", help="This one, as `trash list` names it. Default: see below."
)


@click.group("trash", cls=Noun, example="ml-secrets kv trash list secret\nml-secrets kv trash restore app/db")
def trash() -> None:
    """Removed secrets: list, restore, purge. Of mounts with a trash_retention.

    Turn it on with: ml-secrets write MOUNT/config trash_retention=30d
    """


@trash.verb("list", example="ml-secrets kv trash list secret\nml-secrets kv trash list team-a/app")
@mount_option
@click.argument("path", default="", shell_complete=kv_paths)
@session
def list_(run: Session, path: str, mount: str | None) -> None:
    """List removed secrets that can be restored, at a path and below it."""
    place = find(run, path, mount, whole_mount=True).needs_versions()
    found: dict[str, Any] = {}
    for page in pages(run, "scan", place.path("trash"), {}):
        found |= page["key_info"]
    rows = [
        (entry["path"], entry["removed_time"], entry["purge_time"], str(entry["versions"]), entry["id"])
        for entry in found.values()
    ]
    header = ("Path", "Removed", "Purged after", "Versions", "Id")
    run.show(list(found.values()), output.table(header, rows) if rows else "Nothing is in the trash")


@trash.verb("restore", example="ml-secrets kv trash restore app/db")
@_ID
@mount_option
@click.argument("path")
@session
def restore(run: Session, path: str, mount: str | None, id_: str | None) -> None:
    """Bring a removed secret back with all its versions: the one that was removed last, or that of --id."""
    place = find(run, path, mount).needs_versions()
    try:
        answer = run.write(place.path("restore"), {"id": id_} if id_ else {})
    except NotFound as error:
        refuse_others(error)
        raise NotFound(f"nothing of the name {place.shown} is in the trash", hint=_NEXT) from None
    run.done(f"Restored {place.shown} ({counted(answer.data['versions'], 'version')})")


@trash.verb("purge", example="ml-secrets kv trash purge app/db")
@_ID
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@mount_option
@click.argument("path")
@session
def purge(run: Session, path: str, mount: str | None, id_: str | None, *, yes: bool) -> None:
    """Remove what the trash holds of a name for good: all of it, or that of --id."""
    place = find(run, path, mount).needs_versions()
    terminal.confirm(f"Purge {place.shown} from the trash for good?", yes=yes)
    done = 0
    while True:
        try:
            page = run.delete(place.path("trash"), {"id": id_} if id_ else None).data
        except NotFound as error:
            refuse_others(error)
            raise
        done += page["purged"]
        if not page["more"]:
            break
    run.done(f"Purged {place.shown} ({counted(done, 'secret')})")
