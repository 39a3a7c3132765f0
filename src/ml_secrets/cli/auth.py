"""`ml-secrets auth`: the login methods and where they are mounted."""

from __future__ import annotations

from typing import Any

import click

from ml_secrets.cli import mounts
from ml_secrets.cli.command import Noun
from ml_secrets.cli.session import Session, session

_TABLE = "sys/auth"
_THING = "login method"


@click.group("auth", cls=Noun, example="ml-secrets auth enable userpass")
def auth() -> None:
    """Enable, tune and disable login methods."""


mounts.declare(auth, table=_TABLE, thing=_THING, example="userpass")


@auth.verb("enable", example="ml-secrets auth enable userpass\nml-secrets auth enable approle --path ci")
@click.option("--path", metavar="PATH", help="Where to mount it. Default: the name of its type.")
@click.option("--local", is_flag=True, help="Not replicated.")
@mounts.settings
@click.argument("kind", metavar="TYPE")
@session
def enable(run: Session, kind: str, path: str | None, **given: Any) -> None:
    """Enable a login method."""
    mounts.enable(run, table=_TABLE, thing=_THING, kind=kind, path=path, given=given)
