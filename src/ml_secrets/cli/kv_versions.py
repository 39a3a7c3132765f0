"""The verbs of `ml-secrets kv` on versions: undelete, destroy, rollback, diff."""

from __future__ import annotations

import re
from typing import Any

import click

from ml_secrets.cli import output, terminal
from ml_secrets.cli.command import Command
from ml_secrets.cli.complete import kv_paths
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.kv_place import Place, find, mount_option
from ml_secrets.cli.kv_secret import current_version, read_secret, same, show_version, versioned
from ml_secrets.cli.session import Session, session

_HIDDEN = "••••"


def numbers(text: str) -> list[int]:
    """The text 1,3 -> [1, 3]."""
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text, re.ASCII):
        raise LocalError("versions are numbers with commas between", hint="for example --versions 1,3")
    return [int(number) for number in text.split(",")]


@click.command("undelete", cls=Command, example="ml-secrets kv undelete --versions 3 app/db")
@click.option("--versions", metavar="N,…", required=True, help="Which versions.")
@mount_option
@click.argument("path", shell_complete=kv_paths)
@session
def undelete(run: Session, path: str, mount: str | None, versions: str) -> None:
    """Bring deleted versions back."""
    place = find(run, path, mount).needs_versions()
    run.write(place.path("undelete"), {"versions": numbers(versions)})
    run.done(f"Brought back, if they were there: {place.shown}, versions {versions}")


@click.command("destroy", cls=Command, example="ml-secrets kv destroy --versions 1,2 app/db")
@click.option("--versions", metavar="N,…", required=True, help="Which versions.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@mount_option
@click.argument("path", shell_complete=kv_paths)
@session
def destroy(run: Session, path: str, mount: str | None, versions: str, *, yes: bool) -> None:
    """Remove the data of versions for good."""
    place = find(run, path, mount).needs_versions()
    terminal.confirm(f"Destroy versions {versions} of {place.shown} for good?", yes=yes)
    run.write(place.path("destroy"), {"versions": numbers(versions)})
    run.done(f"Destroyed, if they were there: {place.shown}, versions {versions}")


@click.command("rollback", cls=Command, example="ml-secrets kv rollback --version 2 app/db")
@click.option("--version", type=click.IntRange(1), required=True, help="The version to bring to the front.")
@mount_option
@click.argument("path", shell_complete=kv_paths)
@session
def rollback(run: Session, path: str, mount: str | None, version: int) -> None:
    """Make an older version the newest, as a new version. Fails if somebody writes in between."""
    place = find(run, path, mount).needs_versions()
    current = current_version(run, place)
    data = read_secret(run, place, version).data["data"]
    show_version(run, place, run.write(place.data, versioned(data, current)))


@click.command(
    "diff",
    cls=Command,
    example="ml-secrets kv diff app/db\nml-secrets kv diff --from 1 --to 3 --reveal app/db",
)
@click.option(
    "--from", "older", type=click.IntRange(1), help="The older version. Default: the one before --to."
)
@click.option("--to", "newer", type=click.IntRange(1), help="The newer version. Default: the newest.")
@click.option("--reveal", is_flag=True, help="Print the values too.")
@mount_option
@click.argument("path", shell_complete=kv_paths)
@session
def diff(
    run: Session, path: str, mount: str | None, older: int | None, newer: int | None, *, reveal: bool
) -> None:
    """Show which fields differ between two versions. Values stay hidden without --reveal."""
    place = find(run, path, mount).needs_versions()
    newer = newer or current_version(run, place)
    older = older or newer - 1
    if older < 1:
        raise LocalError(
            f"{place.shown} has one version only: there is nothing to compare",
            hint=f"see its versions: ml-secrets kv metadata get {place.shown}",
        )
    changes = compare(_fields(run, place, older), _fields(run, place, newer), reveal=reveal)
    header = ("Field", "Change", f"Version {older}", f"Version {newer}")
    rows = [
        (name, change["change"], output.cell(change.get("from")), output.cell(change.get("to")))
        for name, change in changes.items()
    ]
    run.show(
        {"from": older, "to": newer, "fields": changes},
        output.table(header, rows) if rows else f"Versions {older} and {newer} are the same",
    )


def _fields(run: Session, place: Place, version: int) -> dict[str, Any]:
    return read_secret(run, place, version).data.get("data") or {}


def compare(before: dict[str, Any], after: dict[str, Any], *, reveal: bool) -> dict[str, dict[str, Any]]:
    """Field -> its change, for the fields that differ."""
    changes: dict[str, dict[str, Any]] = {}
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            change = {"change": "added", "to": after[name]}
        elif name not in after:
            change = {"change": "removed", "from": before[name]}
        elif not same(before[name], after[name]):
            change = {"change": "changed", "from": before[name], "to": after[name]}
        else:
            continue
        changes[name] = (
            change
            if reveal
            else {side: value if side == "change" else _HIDDEN for side, value in change.items()}
        )
    return changes


VERBS = (undelete, destroy, rollback, diff)
