"""`ml-secrets import`: bring secrets in. What can be read is in import_sources.py, what is done in import_plan.py."""

from __future__ import annotations

import os

import click

from ml_secrets.cli import import_plan, import_sources, output, terminal
from ml_secrets.cli.command import Command
from ml_secrets.cli.complete import kv_paths
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.kv_place import find, mount_option
from ml_secrets.cli.session import Session, session
from ml_secrets.sensitive import Sensitive

_TOKEN = "ML_SECRETS_IMPORT_TOKEN"  # noqa: S105 - the name of a variable


@click.command(
    "import",
    cls=Command,
    example="ml-secrets import --dry-run --prefix app/web .env\nml-secrets import --prefix team-a --skip secrets.yaml\nml-secrets import --from-vault https://vault.example:8200 --prefix old secret/team-a < token",
)
@click.option(
    "--prefix",
    default="",
    metavar="PATH",
    shell_complete=kv_paths,
    help="Where to put them. A .env file becomes the secret of that name.",
)
@click.option(
    "--from-vault",
    metavar="URL",
    help=f"Read SOURCE from another Vault or OpenBao; its token is in {_TOKEN}, on stdin, or asked for.",
)
@click.option("--from-namespace", metavar="PATH", help="The namespace over there.")
@click.option(
    "--as",
    "kind",
    type=click.Choice(import_sources.KINDS),
    help="What kind of file it is. Default: by its name.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--overwrite", is_flag=True, help="Write over secrets that are there (a new version).")
@click.option("--skip", is_flag=True, help="Leave secrets that are there.")
@mount_option
@click.argument("source", metavar="FILE | - | PATH")
@session
def import_(
    run: Session,
    source: str,
    prefix: str,
    from_vault: str | None,
    from_namespace: str | None,
    kind: str | None,
    mount: str | None,
    *,
    dry_run: bool,
    overwrite: bool,
    skip: bool,
) -> None:
    """Bring secrets in from .env, JSON or YAML files, or from another Vault.

    Nothing is written while a secret with other content is in the way, unless --overwrite or --skip says what to do.
    """
    if overwrite and skip:
        raise click.UsageError("--overwrite and --skip do not go together")
    secrets = (
        import_sources.from_vault(from_vault, _foreign_token(), source, from_namespace)
        if from_vault
        else import_sources.from_file(source, kind)
    )
    if not secrets:
        raise LocalError("there is nothing to import", hint="is it the right file or path, and not empty?")
    top = find(run, prefix, mount, whole_mount="" not in secrets)
    steps = import_plan.plan(
        run, top, secrets, on_conflict="overwrite" if overwrite else "skip" if skip else "conflict"
    )
    table = output.table(
        ("Path", "Action", "Fields"),
        [(step.place.shown, step.action, ", ".join(sorted(step.fields))) for step in steps],
    )
    run.show([step.shown() for step in steps], table)
    if dry_run:
        run.note("Nothing was written (--dry-run)")
    else:
        _carry_out(run, steps)


def _carry_out(run: Session, steps: list[import_plan.Step]) -> None:
    in_the_way = sum(step.action == "conflict" for step in steps)
    if in_the_way:
        raise LocalError(
            f"{in_the_way} of {len(steps)} secrets have other content; nothing was written",
            hint="say --overwrite or --skip",
        )
    run.note(f"Written: {import_plan.carry_out(run, steps)} of {len(steps)} secrets")


def _foreign_token() -> Sensitive:
    return Sensitive(os.environ.get(_TOKEN) or terminal.secret("token of the other server"))
