"""`ml-secrets kv metadata`: what is known about a secret, apart from its values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import arguments, output, terminal
from ml_secrets.cli.command import Noun
from ml_secrets.cli.complete import kv_paths
from ml_secrets.cli.kv_place import find, mount_option
from ml_secrets.cli.kv_secret import named
from ml_secrets.cli.session import Session, by_name, envelope, session

if TYPE_CHECKING:
    from collections.abc import Callable

_SETTINGS = (
    click.option(
        "--max-versions", type=click.IntRange(0), help="How many versions are kept; 0: as the mount says."
    ),
    click.option(
        "--cas-required/--no-cas-required",
        default=None,
        help="Whether every write must name the version it replaces.",
    ),
    click.option("--delete-version-after", metavar="TTL", help="Delete each version after so long."),
    click.option(
        "--expires-at",
        metavar="TIME",
        help="When what it holds stops being valid: 2027-01-31, 2027-01-31T12:00:00Z, or 90d from now. '': not known (ml-secrets servers).",
    ),
    click.option(
        "--rotate-every",
        metavar="TTL",
        help="It is to be rotated this often; a new version is a rotation. 0: not (ml-secrets servers).",
    ),
    click.option("--rotate-at", metavar="TIME", help="When it is to be rotated next (ml-secrets servers)."),
    click.option(
        "--custom-metadata",
        multiple=True,
        metavar="KEY=VALUE",
        help="A note on the secret, such as owner=team-a. May be repeated.",
    ),
)


@click.group("metadata", cls=Noun, example="ml-secrets kv metadata get app/db")
def metadata() -> None:
    """Versions, notes and rules of a secret, apart from its values."""


def _settings(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_SETTINGS):
        function = option(function)
    return function


def _wanted(given: dict[str, Any]) -> dict[str, Any]:
    wanted = {name: value for name, value in given.items() if value is not None and name != "custom_metadata"}
    notes = given["custom_metadata"]
    return wanted | ({"custom_metadata": arguments.data(notes)} if notes else {})


@metadata.verb("get", example="ml-secrets kv metadata get app/db")
@mount_option
@click.argument("path", shell_complete=kv_paths)
@session
def get(run: Session, path: str, mount: str | None) -> None:
    """Show a secret's versions, notes and rules."""
    place = find(run, path, mount).needs_versions()
    with named(place):
        answer = run.read(place.path("metadata"))
    found = dict(answer.data)
    versions = found.pop("versions", None) or {}
    rows = [
        (
            number,
            entry.get("created_time", ""),
            output.cell(entry.get("deletion_time")),
            output.bare(entry.get("destroyed")),
        )
        for number, entry in sorted(versions.items(), key=lambda item: int(item[0]))
    ]
    table = output.table(("Version", "Created", "Deleted", "Destroyed"), rows)
    run.show(
        envelope(answer),
        f"{output.section(place.shown, output.pairs(by_name(found)))}\n\n{table}",
        fields=answer.data,
    )


@metadata.verb(
    "put",
    example="ml-secrets kv metadata put --max-versions 5 --custom-metadata owner=team-a app/db\nml-secrets kv metadata put --expires-at 2027-01-31 --rotate-every 90d app/db",
)
@_settings
@mount_option
@click.argument("path", shell_complete=kv_paths)
@session
def put(run: Session, path: str, mount: str | None, **given: Any) -> None:
    """Set a secret's notes and rules: the notes become just these."""
    place = find(run, path, mount).needs_versions()
    run.write(place.path("metadata"), _wanted(given))
    run.done(f"Written: metadata of {place.shown}")


@metadata.verb("patch", example="ml-secrets kv metadata patch --custom-metadata owner=team-b app/db")
@_settings
@click.option(
    "--remove-custom-metadata",
    "removed",
    multiple=True,
    metavar="KEY",
    help="Remove a note. May be repeated.",
)
@mount_option
@click.argument("path", shell_complete=kv_paths)
@session
def patch(run: Session, path: str, mount: str | None, removed: tuple[str, ...], **given: Any) -> None:
    """Change some of a secret's notes and rules, and keep the others."""
    place = find(run, path, mount).needs_versions()
    wanted = _wanted(given)
    if removed:
        wanted["custom_metadata"] = wanted.get("custom_metadata", {}) | dict.fromkeys(removed)
    run.patch(place.path("metadata"), wanted)
    run.done(f"Written: metadata of {place.shown}")


@metadata.verb("delete", example="ml-secrets kv metadata delete app/db")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@mount_option
@click.argument("path", shell_complete=kv_paths)
@session
def delete(run: Session, path: str, mount: str | None, *, yes: bool) -> None:
    """Remove a secret whole: all versions and its metadata, for good, or into the trash of a mount that has one."""
    place = find(run, path, mount).needs_versions()
    terminal.confirm(
        f"Remove {place.shown} with all its versions? Without a trash it is gone for good.", yes=yes
    )
    run.delete(place.path("metadata"))
    run.done(f"Removed, if it was there: {place.shown}")
