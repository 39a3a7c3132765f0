"""The options by which a job's secrets are declared, beside its ml-secrets.toml. For `fetch` and `run`."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli.complete import references
from ml_secrets.cli.failures import LocalError, at_fault_here
from ml_secrets.errors import MlSecretsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ml_secrets.agent.job import Job

HINT = "declare them in ml-secrets.toml, or by --file NAME_FILE=secret://MOUNT/PATH#FIELD"


def declaring(function: Callable[..., Any]) -> Callable[..., Any]:
    """--config, --file and --fill."""
    for option in (
        click.option(
            "--fill",
            "fills",
            multiple=True,
            metavar="NAME=FILE",
            help="Write a copy of a .env, JSON or YAML file with values in place of its references.",
        ),
        click.option(
            "--file",
            "files",
            multiple=True,
            metavar="NAME_FILE=REFERENCE",
            shell_complete=references,
            help="Write a secret to a file; NAME_FILE is the variable that is to hold its path.",
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="What declares the rest. Default: the nearest ml-secrets.toml or pyproject.toml.",
        ),
    ):
        function = option(function)
    return function


def _in_a_step(_ctx: click.Context, _option: click.Parameter, wanted: bool) -> bool:
    """Elsewhere nobody takes the values out of what is printed."""
    from ml_secrets.agent.workflow import in_a_step  # noqa: PLC0415 - only where it was asked for

    if wanted and not in_a_step(os.environ):
        raise LocalError(
            "--add-mask is for a step of a workflow: no runner is here that would take the values out of the log",
            hint="leave it out; it is known by GITHUB_ACTIONS=true",
        )
    return wanted


add_mask = click.option(
    "--add-mask",
    is_flag=True,
    callback=_in_a_step,
    help="In a step of GitHub Actions, Gitea or Forgejo: have the runner mask the values from now on, in later steps too.",
)


def declared_job(config: Path | None, files: Sequence[str], fills: Sequence[str]) -> Job:
    """What the nearest declaration says, and the flags on top of it."""
    from ml_secrets.agent.declared import declared, fill_flags  # noqa: PLC0415 - help loads no client
    from ml_secrets.agent.job import file_flags  # noqa: PLC0415 - as above

    return declared(Path.cwd(), config).with_more([*file_flags(files), *fill_flags(fills)])


@contextmanager
def at_fault() -> Iterator[None]:
    """What is wrong inside is wrong on this machine: exit code 1."""
    try:
        yield
    except MlSecretsError as error:
        raise at_fault_here(error) from None
