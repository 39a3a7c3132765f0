"""`ml-secrets kv watch`: what happens to a secret, as it happens; and a command to run each time. Never a value."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import output
from ml_secrets.cli.command import Command
from ml_secrets.cli.complete import kv_paths
from ml_secrets.cli.kv_place import Place, find, mount_option
from ml_secrets.cli.session import Session, session

if TYPE_CHECKING:
    from ml_secrets.client import Secret


@click.command(
    "watch",
    cls=Command,
    example="ml-secrets kv watch app/db\nml-secrets kv watch --exec 'systemctl reload app' app/db\nml-secrets kv watch --once app/db",
)
@click.option(
    "--exec",
    "command",
    metavar="COMMAND",
    help="Run this at each change (no shell; the secret's path and version are in ML_SECRETS_PATH, ML_SECRETS_VERSION).",
)
@click.option("--once", is_flag=True, help="End after the first change.")
@mount_option
@click.argument("path", shell_complete=kv_paths)
@session
def watch(run: Session, path: str, mount: str | None, command: str | None, *, once: bool) -> None:
    """Tell of each new state of a secret, the present one first, until interrupted.

    With --once the exit code is that of the command, if there is one.
    """
    place, words = find(run, path, mount), _words(command)
    for number, secret in enumerate(run.client.watch(place.name, mount=place.mount)):
        about = _about(place, secret)
        _tell(run, about)
        code = _run(run, words, about) if words and number else output.OK
        if once and number:
            raise click.exceptions.Exit(code)


def _words(command: str | None) -> list[str]:
    try:
        words = shlex.split(command or "")
    except ValueError:
        raise click.UsageError("the command of --exec has a quote that does not end") from None
    if command is not None and not words:
        raise click.UsageError("the command of --exec is empty")
    return words


def _about(place: Place, secret: Secret | None) -> dict[str, Any]:
    if secret is None:
        return {"path": place.shown, "state": "absent", "version": 0, "created_time": ""}
    return {
        "path": place.shown,
        "state": "present",
        "version": secret.version,
        "created_time": secret.created_time,
    }


def _tell(run: Session, about: dict[str, Any]) -> None:
    """One line for each state: for programs one JSON object."""
    if run.field is not None or run.chosen_format() == "yaml":
        run.show(about)
    elif run.chosen_format() == "json":
        click.echo(output.as_line(about))
    else:
        version = f"version {about['version']}" if about["version"] else "present"
        text = f"{about['path']}: {version if about['state'] == 'present' else 'not there'}"
        click.echo(output.visible(text))


def _run(run: Session, words: list[str], about: dict[str, Any]) -> int:
    """Run the command and wait for it. One that fails is told of, and does not end the watch."""
    import subprocess  # noqa: PLC0415 - help is quicker without

    said = {"ML_SECRETS_PATH": about["path"], "ML_SECRETS_VERSION": str(about["version"])}
    try:
        code = subprocess.run(words, env={**os.environ, **said}, check=False).returncode  # noqa: S603 - the command is the person's own
    except OSError as error:
        run.note(f"the command could not be started: {error.strerror}")
        return output.LOCAL
    if code:
        run.note(f"the command ended with {code}")
    return code if code >= 0 else output.LOCAL
