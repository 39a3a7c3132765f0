"""`ml-secrets export`: a secret in the clear, for programs that cannot ask. The less it is used, the better."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ml_secrets.agent.formats import quoted
from ml_secrets.cli import output
from ml_secrets.cli.command import Command
from ml_secrets.cli.complete import kv_paths
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.files import write_private
from ml_secrets.cli.kv_place import Place, find, mount_option
from ml_secrets.cli.kv_secret import read_secret
from ml_secrets.cli.session import Session, as_yaml, session
from ml_secrets.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WARNING = "warning: secret values in the clear; keep them out of git, images, logs and backups, and remove them after use"


@click.command(
    "export",
    cls=Command,
    example="ml-secrets export --to app.env app/web\nml-secrets export --as json --recursive team-a\nset -a; source <(ml-secrets export --as shell app/web); set +a",
)
@click.option(
    "--as",
    "kind",
    type=click.Choice(("env", "shell", "json", "yaml")),
    help="How to write it. Default: as --format says, else env.",
)
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A new file with mode 0600. Default: stdout.",
)
@click.option("--recursive", "-r", is_flag=True, help="Everything under PATH (JSON and YAML).")
@mount_option
@click.argument("path", shell_complete=kv_paths)
@session
def export(
    run: Session, path: str, kind: str | None, file: Path | None, mount: str | None, *, recursive: bool
) -> None:
    """Write a secret out as .env, JSON or YAML, in the clear.

    A .env file is for programs that read such files. What a shell reads is --as shell: there a value runs nothing.
    """
    if run.field is not None:
        raise click.UsageError("--field is for kv get: an export is the whole secret")
    if kind is None:
        kind = "env" if run.chosen_format() == "table" else run.chosen_format()
    if recursive and kind in {"env", "shell"}:
        raise click.UsageError("--recursive needs --as json or --as yaml: a .env file is one secret")
    place = find(run, path, mount, whole_mount=recursive)
    content = _tree(run, place) if recursive else _fields(run, place)
    text = _WRITERS[kind](content)
    run.note(_WARNING)
    if file:
        write_private(file, f"{text}\n".encode())
        run.note(f"Written: {file} (mode 0600)")
    else:
        click.echo(text)


def _fields(run: Session, place: Place) -> dict[str, Any]:
    found = read_secret(run, place).data
    return dict(found["data"] if place.version == 2 else found)


def _tree(run: Session, top: Place) -> dict[str, Any]:
    found = {}
    for name in run.tree(top.keys):
        try:
            found[name] = _fields(run, top.below(name))
        except NotFound:
            run.note(f"left out, deleted: {top.below(name).shown}")
    return found


def as_env(fields: Mapping[str, Any]) -> str:
    """KEY='value' lines, which dotenv readers read back exactly."""
    return _assignments(fields, quoted)


def as_shell(fields: Mapping[str, Any]) -> str:
    """KEY='value' lines, which shells read back exactly, running nothing that a value holds."""
    return _assignments(fields, shlex.quote)


def _assignments(fields: Mapping[str, Any], quoted: Callable[[str], str]) -> str:
    lines: dict[str, str] = {}
    for key, value in fields.items():
        name = re.sub(r"[^A-Za-z0-9_]", "_", key)
        if not name or name[0].isdigit() or name in lines:
            raise LocalError(f"the field {key!r} makes no variable name of its own", hint="use --as json")
        lines[name] = f"{name}={quoted(output.bare(value))}"
    return "\n".join(lines.values())


_WRITERS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "env": as_env,
    "shell": as_shell,
    "json": output.as_json,
    "yaml": as_yaml,
}
