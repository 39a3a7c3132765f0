"""`ml-secrets run`: a command with its secrets, as long as it runs and no longer."""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import output
from ml_secrets.cli.command import Command
from ml_secrets.cli.complete import references
from ml_secrets.cli.declaring import add_mask, at_fault, declared_job, declaring
from ml_secrets.cli.inline import login_of, role_options
from ml_secrets.cli.session import Session, session

if TYPE_CHECKING:
    from ml_secrets.client.near import QuickClient


class _Run(Command):
    """Options end at `--`: what follows is the command's, however it looks."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Without `--` an option of the command could be taken for one of ours, so it has to be there."""
        if "--" not in args and not {"--help", "-h"} & set(args) and not ctx.resilient_parsing:
            raise click.UsageError("put -- before the command: ml-secrets run [OPTIONS] -- COMMAND...", ctx)
        return super().parse_args(ctx, args)


@click.command(
    "run",
    cls=_Run,
    example="ml-secrets run --file DB_PASSWORD_FILE=secret://team-a/db#password -- python train.py\nml-secrets run --env WANDB_API_KEY=secret://team-a/wandb#key --fail-on-leak -- make train",
)
@declaring
@click.option(
    "--env-file",
    "env_files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Variables from a .env file; references in it become values. May be repeated.",
)
@click.option(
    "--env",
    "variables",
    multiple=True,
    metavar="NAME=REFERENCE",
    shell_complete=references,
    help="A secret as a variable: seen by all that the command starts, and never fresh. May be repeated.",
)
@click.option("--stdin", metavar="REFERENCE", help="A secret as the whole standard input.")
@click.option(
    "--memfd",
    "memory",
    is_flag=True,
    help="Files by open descriptors instead of a folder: they do not follow rotation.",
)
@click.option(
    "--job-token",
    is_flag=True,
    help="Give the command a token of its own, revoked at the end (ML_SECRETS_TOKEN_FILE).",
)
@click.option("--own-token", is_flag=True, help="Leave your own token in its environment, if it is there.")
@click.option("--fail-on-leak", is_flag=True, help="Exit with 86 if the command printed a secret.")
@add_mask
@role_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@session
def run(
    run: Session,
    command: tuple[str, ...],
    config: Path | None,
    files: tuple[str, ...],
    fills: tuple[str, ...],
    env_files: tuple[Path, ...],
    variables: tuple[str, ...],
    stdin: str | None,
    **asked: Any,
) -> int:
    """Run a command with its secrets; mask them in what it prints; take everything back when it ends.

    What ml-secrets.toml declares comes along; on a change the command gets a signal, is started anew, or another one runs, which has
    neither our token nor our output. The exit code is the command's: 128 and more is a signal, 126 and 127 are a command that cannot be run.
    """
    from ml_secrets.agent.declared import env_file  # noqa: PLC0415 - help loads no client
    from ml_secrets.agent.job import env_flags, stdin_flag  # noqa: PLC0415 - as above
    from ml_secrets.agent.run.order import Order  # noqa: PLC0415 - as above
    from ml_secrets.agent.run.runner import Run  # noqa: PLC0415 - as above

    gc.disable()  # until the command runs: nothing of what is loaded for it is thrown away
    with at_fault():
        job = declared_job(config, files, fills).with_more(
            [
                *(one for path in env_files for one in env_file(path)),
                *env_flags(variables),
                *stdin_flag(stdin),
            ]
        )
        client = _client(run)
    return Run(Order(command, job, **asked), client, _tell).carry_out()


def _client(run: Session) -> QuickClient:
    """A client that is quick to start. By AppRole it makes a token, for all that follows; the run revokes it."""
    from ml_secrets.client.near import QuickClient  # noqa: PLC0415 - as above

    login = login_of(run, inline=False)
    client = QuickClient(run.address, namespace=run.namespace, login=login, cache_ttl=0)
    if client.settings.share and login is None:  # many runs of one job ask as one
        client = QuickClient(run.address, namespace=run.namespace)
    return client


def _tell(text: str) -> None:
    """A line on stderr, as it is also right while the terminal is raw. Where nobody can hear it, the run goes on."""
    end = "\r\n" if os.isatty(2) else "\n"
    with suppress(OSError):
        os.write(2, f"ml-secrets: {output.visible(text)}{end}".encode())
