"""`ml-secrets fetch`: what a job needs, fetched once and written as files. For start-up scripts and init containers.

1. Read what is declared. 2. Open and check the folder, before any secret leaves the server. 3. Fetch everything at once.
4. Write all files, or none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_secrets.cli import output
from ml_secrets.cli.command import Command
from ml_secrets.cli.declaring import HINT, add_mask, at_fault, declared_job, declaring
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.inline import role_options
from ml_secrets.cli.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_secrets.agent.files import Folder, Written
    from ml_secrets.agent.job import Delivery


@click.command(
    "fetch",
    cls=Command,
    example="ml-secrets fetch --file DB_PASSWORD_FILE=secret://team-a/db#password\nml-secrets fetch --to /run/secrets/app --fill APP_CONFIG=conf/app.yaml\nml-secrets fetch --format json    # what ml-secrets.toml declares",
)
@declaring
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where the files go. Default: a folder of yours in memory.",
)
@click.option("--mode", metavar="MODE", help="The mode of all files: 0400, or 0440 for a group.")
@click.option("--owner", metavar="USER[:GROUP]", help="Whose all files are to be. For root.")
@click.option("--on-disk", is_flag=True, help="Take a folder that is not in memory.")
@add_mask
@role_options
@session
def fetch(
    run: Session,
    config: Path | None,
    files: tuple[str, ...],
    fills: tuple[str, ...],
    to: Path | None,
    mode: str | None,
    owner: str | None,
    *,
    on_disk: bool,
    add_mask: bool,
) -> None:
    """Fetch what a job needs, write it as files, and end.

    All of them or none. A file that is there already, just as it is to be, is not touched.
    """
    from ml_secrets.agent.files import File  # noqa: PLC0415 - help loads no client
    from ml_secrets.agent.gather import gather  # noqa: PLC0415 - as above
    from ml_secrets.cli.connection import connect_quickly  # noqa: PLC0415 - as above

    with at_fault():
        job = declared_job(config, files, fills)
        deliveries = [_as_told(one, mode, owner) for one in job.of("file")]
        if not deliveries:
            raise LocalError("there are no files to write", hint=HINT)
        folder = _folder(to, deliveries, on_disk=on_disk)
    left_out = [one.variable or "stdin" for one in (*job.of("env"), *job.of("stdin"))]
    if left_out:
        run.note(f"left out, for ml-secrets run: {', '.join(left_out)}")
    run.use(connect_quickly(run))
    with folder:
        values = gather(run.client, (found for one in deliveries for found in one.content.references))
        if add_mask:
            from ml_secrets.agent.workflow import add_masks  # noqa: PLC0415 - only in CI

            add_masks(values.values())
        with at_fault():
            write = folder.exchange if job.together else folder.write
            written = write(
                *(File(one.name, one.content.filled(values), one.mode, one.owner) for one in deliveries)
            )
    _show(run, folder, deliveries, written)


def _as_told(delivery: Delivery, mode: str | None, owner: str | None) -> Delivery:
    from msgspec.structs import replace  # noqa: PLC0415 - as above

    from ml_secrets.agent.job import mode_of, owner_of  # noqa: PLC0415 - as above

    return replace(
        delivery,
        mode=delivery.mode if mode is None else mode_of(mode, "--mode"),
        owner=delivery.owner if owner is None else owner_of(owner, "--owner"),
    )


def _folder(to: Path | None, deliveries: Sequence[Delivery], *, on_disk: bool) -> Folder:
    from ml_secrets.agent.files import Folder  # noqa: PLC0415 - as above
    from ml_secrets.agent.runtime import runtime_folder  # noqa: PLC0415 - as above

    owners = {one.owner for one in deliveries}
    if to is not None:
        return Folder(to, on_disk=on_disk, owner=owners.pop() if len(owners) == 1 else None)
    if any(owner and owner[0] != os.geteuid() for owner in owners):
        raise LocalError(
            "files for another user cannot go to your own folder",
            hint="say --to FOLDER, one that they get into",
        )
    return runtime_folder("fetched")


def _show(run: Session, folder: Folder, deliveries: Sequence[Delivery], written: Sequence[Written]) -> None:
    """What lies where now: never a value."""
    report = [
        {
            "variable": one.variable,
            "path": str(file.path),
            "mode": f"{one.mode:04o}",
            "changed": file.changed,
            "references": [str(reference) for reference in one.content.references],
        }
        for one, file in zip(deliveries, written, strict=True)
    ]
    rows = [
        (one.variable, str(file.path), "written" if file.changed else "as it was")
        for one, file in zip(deliveries, written, strict=True)
    ]
    run.show(
        {"folder": str(folder.path), "files": report},
        output.table(("Variable", "File", "State"), rows),
        fields={variable: path for variable, path, _ in rows},
    )
