"""`ml-secrets version`."""

from __future__ import annotations

import click

from ml_secrets.cli.command import Command
from ml_secrets.cli.session import Session, session


@click.command("version", cls=Command, example="ml-secrets version")
@session
def version(run: Session) -> None:
    """Print the version."""
    from importlib.metadata import version as installed  # noqa: PLC0415 - slow to import

    number = installed("ml-secrets")
    run.show({"version": number}, f"ml-secrets {number}")
