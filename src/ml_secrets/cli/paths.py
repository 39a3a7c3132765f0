"""The verbs that take any path of the API: read, write, list, delete, path-help."""

from __future__ import annotations

import click

from ml_secrets.cli import arguments
from ml_secrets.cli.command import Command
from ml_secrets.cli.inline import role_options
from ml_secrets.cli.session import Session, session


@click.command(
    "read",
    cls=Command,
    example="ml-secrets read auth/token/lookup-self\nml-secrets read secret/data/app/db version=2\nml-secrets read secret/data/app/db --role-id ci --secret-id-file secret-id",
)
@role_options
@click.argument("path")
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]...")
@session
def read(run: Session, path: str, parameters: tuple[str, ...]) -> None:
    """Read any path of the API.

    KEY=VALUE are parameters of the request.
    """
    run.show_answer(run.read(path, arguments.data(parameters), wrap=True))


@click.command(
    "write",
    cls=Command,
    example="ml-secrets write auth/userpass/users/ada policies=team-a password=-\nml-secrets write auth/approle/role/train @role.json",
)
@click.option("--force", "-f", is_flag=True, help="Write without data.")
@click.argument("path")
@click.argument("data", nargs=-1, metavar="[KEY=VALUE | @FILE.json | -]...")
@session
def write(run: Session, path: str, data: tuple[str, ...], *, force: bool) -> None:
    """Write to any path of the API.

    A value of - is read from stdin, @FILE from a file, ? is asked for.
    """
    if not data and not force:
        raise click.UsageError("no data given (--force writes without)")
    answer = run.write(path, arguments.data(data), wrap=True)
    if answer.data or answer.auth:
        run.show_answer(answer)
    else:
        run.done(f"Written: {path}")


@click.command(
    "list",
    cls=Command,
    example="ml-secrets list secret/metadata/app\nml-secrets list auth/token/accessors --limit 100",
)
@click.option("--recursive", "-r", is_flag=True, help="Go down into folders.")
@click.option("--after", metavar="KEY", help="Begin after this key.")
@click.option("--limit", type=click.IntRange(1), help="At most so many keys.")
@role_options
@click.argument("path")
@session
def list_(run: Session, path: str, *, recursive: bool, after: str | None, limit: int | None) -> None:
    """List the keys under a path."""
    query = {name: value for name, value in (("after", after), ("limit", limit)) if value}
    run.show_keys(run.tree(path) if recursive else run.keys(path, query))


@click.command("delete", cls=Command, example="ml-secrets delete auth/userpass/users/ada")
@click.argument("path")
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]...")
@session
def delete(run: Session, path: str, parameters: tuple[str, ...]) -> None:
    """Delete what is at a path.

    It is no error when nothing is there.
    """
    answer = run.delete(path, arguments.data(parameters))
    if answer.data:
        run.show_answer(answer)
    else:
        run.done(f"Deleted, if it was there: {path}")


@click.command("path-help", cls=Command, example="ml-secrets path-help secret/data/app")
@click.argument("path")
@session
def path_help(run: Session, path: str) -> None:
    """Show what a path of the API takes and gives."""
    found = run.read(path, {"help": "1"}).data
    run.show(found, str(found.get("help", "")).rstrip(), fields=found)
