"""The verbs backup and restore of `ml-secrets operator`.

A backup is taken from a running server, over the API, into a file that only its owner reads; its content is encrypted
by the server's own keys. Restoring works on the files of a server that is not running, so it loads the server wing.
"""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_secrets.cli import output, terminal
from ml_secrets.cli.command import Command
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.files import write_private
from ml_secrets.cli.server import from_server_wing
from ml_secrets.cli.session import Session, session

if TYPE_CHECKING:
    from ml_secrets.cli.command import Noun

_SNAPSHOT = "sys/storage/raft/snapshot"


def declare(operator: Noun) -> None:
    """Give the noun `operator` its verbs backup and restore."""
    operator.add_command(backup)
    operator.add_command(restore)


@click.command("backup", cls=Command, example="ml-secrets operator backup /backups/2026-11-25.snapshot")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@session
def backup(run: Session, file: Path) -> None:
    """Write a consistent copy of the whole store to a new file, while the server goes on serving."""
    if file.exists():
        raise LocalError(f"{file} is there already", hint="choose another name")
    with terminal.progress("Backup"):
        content = run.read(_SNAPSHOT).content
    if not content:
        raise LocalError("the server sent an empty backup; nothing was written")
    write_private(file, content)
    run.done(
        f"Backed up {len(content)} bytes to {file}. It opens only with this server's keys: keep those elsewhere."
    )


@click.command(
    "restore",
    cls=Command,
    example="ml-secrets operator restore --verify 2026-11-25.snapshot\nml-secrets operator restore --data-dir /var/lib/ml-secrets 2026-11-25.snapshot",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The stopped server's data. Default: your own store.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The stopped server's configuration file.",
)
@click.option("--verify", is_flag=True, help="Only check that the backup is whole; change nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@session
def restore(
    run: Session, file: Path, data_dir: Path | None, config: Path | None, *, verify: bool, yes: bool
) -> None:
    """Put a backup in the place of a stopped server's store."""
    options = from_server_wing("options", "ServerOptions")(data_dir=data_dir, config=config)
    bring_back = from_server_wing("restore", "restore")
    if not verify:
        terminal.confirm("Replace the store with this backup?", yes=yes)
    report = bring_back(file, options, verify_only=verify)
    found = asdict(report) if is_dataclass(report) and not isinstance(report, type) else dict(report or {})
    run.show(
        found,
        f"{'The backup is whole' if verify else 'Restored'}\n{output.pairs(found) if found else ''}".rstrip(),
    )
