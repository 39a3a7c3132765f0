"""Options that log in inside the request itself: no token is made, and none is left behind. For jobs that ask once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import arguments, terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.cli.session import Session
    from ml_secrets.client import Login


def role_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that may log in by AppRole inside its requests."""
    for name, metavar, text in (
        ("--auth-path", "PATH", "Where that AppRole method is mounted. Default: approle."),
        ("--secret-id-file", "FILE", "Its secret id; - is stdin. Each request is a use of it."),
        ("--role-id", "ID", "Log in by this AppRole inside the request; no token is made."),
    ):
        function = click.option(name, metavar=metavar, help=text, expose_value=False, callback=_remember)(
            function
        )
    return function


def _remember(ctx: click.Context, option: click.Parameter, value: str | None) -> None:
    from ml_secrets.cli.session import Session  # noqa: PLC0415 - it imports nothing that help lacks

    if value is not None and option.name:
        setattr(ctx.ensure_object(Session), option.name, value)


def login_of(run: Session, *, inline: bool = True) -> Login | None:
    """The login that was asked for; None for the token of the surroundings. Not `inline`: it makes a token."""
    if run.role_id is None:
        if run.secret_id_file is not None or run.auth_path is not None:
            raise click.UsageError("--secret-id-file and --auth-path go with --role-id")
        return None
    from ml_secrets.client import approle  # noqa: PLC0415 - help loads no client

    secret_id = None if run.secret_id_file is None else _secret_id(run.secret_id_file)
    mount = (run.auth_path or "approle").removeprefix("auth/")
    return approle(
        run.role_id.strip(), secret_id, mount=mount, inline=inline
    )  # a file that was passed on ends in a line break


def _secret_id(place: str) -> str:
    return (
        terminal.stdin_secret("secret id") if place == "-" else terminal.one_line(arguments.file_text(place))
    )
