"""`ml-secrets demo`: what it does is in demo_steps.py, which help does not load."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from ml_secrets.cli.command import Command
from ml_secrets.cli.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@click.command("demo", cls=Command, example="ml-secrets demo\nml-secrets demo --keep")
@click.option("--keep", is_flag=True, help="Leave the scratch folder to look at; its path is printed.")
@session
def demo(run: Session, *, keep: bool) -> None:  # noqa: ARG001 - every command is given its session
    """Watch a training job fetch its secrets just in time.

    Everything happens in a scratch folder and on loopback; nothing of yours is touched. Exit code 0: each step did
    what it claims.
    """
    from ml_secrets.cli.demo_stage import Stage, check_libraries  # noqa: PLC0415 - loads the client

    check_libraries()
    from ml_secrets.cli.demo_steps import Demo  # noqa: PLC0415 - as above

    with _scratch(keep=keep) as folder:
        Demo(Stage(folder)).play()


@contextlib.contextmanager
def _scratch(*, keep: bool) -> Iterator[Path]:
    import shutil  # noqa: PLC0415 - help is quicker without
    import tempfile  # noqa: PLC0415 - as above
    from pathlib import Path  # noqa: PLC0415 - as above

    folder = Path(tempfile.mkdtemp(prefix="ml-secrets-demo-"))
    try:
        yield folder
    finally:
        if keep:
            click.echo(f"\nThe scratch folder: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
