"""`ml-secrets fetch`: what a job needs, fetched once and written as files. For start-up scripts and init containers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ml_secrets.cli import output
from ml_secrets.cli.command import Command
from ml_secrets.cli.failures import LocalError, at_fault_here
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from ml_secrets.agent.reference import Reference

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@click.command(
    "fetch",
    cls=Command,
    example="ml-secrets fetch --file DB_PASSWORD_FILE=secret://team-a/db#password\nml-secrets fetch --to /run/secrets/app --file DB_FILE=secret://team-a/db",
)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where the files go. Default: a folder of yours in memory.",
)
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="NAME_FILE=REFERENCE",
    help="Write a secret to a file; NAME_FILE names the variable that is to hold its path.",
)
@click.option("--on-disk", is_flag=True, help="Take a folder that is not in memory.")
@session
def fetch(run: Session, to: Path | None, files: tuple[str, ...], *, on_disk: bool) -> None:
    """Fetch secrets, write them as files, and end."""
    from ml_secrets.agent.files import File, Folder  # noqa: PLC0415 - help loads no client
    from ml_secrets.agent.gather import gather  # noqa: PLC0415 - as above
    from ml_secrets.agent.runtime import runtime_folder  # noqa: PLC0415 - as above

    try:
        wanted = dict(_wanted(number, text) for number, text in enumerate(files, 1))
    except Invalid as error:
        raise at_fault_here(error) from None
    values = gather(run.client, wanted.values())
    with runtime_folder("fetched") if to is None else Folder(to, on_disk=on_disk) as folder:
        written = folder.write(*(File(file_name(name), values[one]) for name, one in wanted.items()))
    rows = [
        {"variable": name, "path": str(file.path), "changed": file.changed}
        for name, file in zip(wanted, written, strict=True)
    ]
    table = [(name, str(file.path)) for name, file in zip(wanted, written, strict=True)]
    run.show(rows, output.table(("Variable", "File"), table))


def _wanted(number: int, text: str) -> tuple[str, Reference]:
    from ml_secrets.agent.reference import Reference  # noqa: PLC0415 - as above

    name, _, reference = text.partition("=")
    if not _VARIABLE.fullmatch(name):  # not quoted: it may be a value
        raise LocalError(f"--file {number} is not of the form NAME_FILE=secret://MOUNT/PATH#FIELD")
    return name, Reference.parse(reference)


def file_name(variable: str) -> str:
    """DB_PASSWORD_FILE -> db_password, as containers have it."""
    return variable.removesuffix("_FILE").lower()
