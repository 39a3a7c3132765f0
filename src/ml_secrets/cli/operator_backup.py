"""The verbs verify, backup and restore of `ml-secrets operator`.

A backup is taken from a running server, over the API, into a file that only its owner reads; its content is encrypted
by the server's own keys. Restoring works on the files of a server that is not running, so it loads the server wing.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_secrets.cli import output, terminal
from ml_secrets.cli.command import Command
from ml_secrets.cli.failures import LocalError, at_fault_here
from ml_secrets.cli.files import write_private
from ml_secrets.cli.server import from_server_wing
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import MlSecretsError

if TYPE_CHECKING:
    from ml_secrets.cli.command import Noun

_SNAPSHOT = "sys/storage/raft/snapshot"


def declare(operator: Noun) -> None:
    """Give the noun `operator` its verbs verify, backup and restore."""
    operator.add_command(verify)
    operator.add_command(backup)
    operator.add_command(restore)


@click.command("verify", cls=Command, example="ml-secrets operator verify")
@session
def verify(run: Session) -> int:
    """Check every row of the store: that it opens, and that none was put back, swapped or taken out.

    Exit code: 0 intact, 1 not.
    """
    run.take_time()
    with terminal.progress("Check"):
        found = run.write("sys/storage/verify").data
    intact = bool(found.get("intact"))
    told = (
        f"Intact: {found.get('rows')} rows, {found.get('commits')} commits" if intact else output.pairs(found)
    )
    run.show(found, told)
    return output.OK if intact else output.LOCAL


@click.command("backup", cls=Command, example="ml-secrets operator backup /backups/2026-11-25.snapshot")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@session
def backup(run: Session, file: Path) -> None:
    """Write a consistent copy of the whole store to a new file, while the server goes on serving."""
    if file.exists():
        raise LocalError(f"{file} is there already", hint="choose another name")
    run.take_time()
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
    example="ml-secrets operator restore --verify 2026-11-25.snapshot\nml-secrets operator restore --config server.toml --from /mnt/backups --latest",
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
@click.option(
    "--with-shares",
    is_flag=True,
    help="Open it with key shares: lines of stdin, or asked for. Default: the seal's key file.",
)
@click.option(
    "--keep-tokens", is_flag=True, help="Let the tokens and leases of then live on, also those revoked since."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A folder in which a server makes backups by itself. With --latest.",
)
@click.option("--latest", is_flag=True, help="Take the newest one of that folder.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False)
@session
def restore(
    run: Session,
    file: Path | None,
    folder: Path | None,
    data_dir: Path | None,
    config: Path | None,
    *,
    latest: bool,
    yes: bool,
    **how: bool,
) -> None:
    """Put a backup in the place of a stopped server's store.

    The store that was there is kept beside it. Every token of before is dead afterwards. Start the server once with --accept-rollback.
    """
    if (file is None) is not latest or (folder is None) is latest:
        raise click.UsageError("name a backup's file, or its folder: --from FOLDER --latest")
    options = from_server_wing("options", "ServerOptions")(data_dir=data_dir, config=config)
    bring_back = from_server_wing("restore", "restore")
    try:
        file = file or from_server_wing("restore", "latest")(folder)
        if not how["verify"]:
            terminal.confirm(
                f"Replace the store with {file}?" if latest else "Replace the store with this backup?",
                yes=yes,
            )
        shares = tuple(terminal.secret_list("key share")) if how["with_shares"] else ()
        report = bring_back(
            file, options, verify_only=how["verify"], shares=shares, keep_tokens=how["keep_tokens"]
        )
    except MlSecretsError as error:  # no server said no: the file or this machine is at fault
        raise at_fault_here(error) from None
    found = ({"backup": str(file)} if latest else {}) | asdict(report)
    run.show(found, f"{'The backup is whole' if how['verify'] else 'Restored'}\n{output.pairs(found)}")
