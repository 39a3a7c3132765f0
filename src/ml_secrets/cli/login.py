"""`ml-secrets login` and `logout`: the token that the next commands use, in a file that only its owner reads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import arguments, output, terminal
from ml_secrets.cli.command import Command
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.session import Session, duration, login_fields, session
from ml_secrets.errors import MlSecretsError

if TYPE_CHECKING:
    from ml_secrets.client import Answer

_METHODS = ("token", "userpass", "approle")
_TAKES = {"userpass": ("username", "password"), "approle": ("role_id", "secret_id")}
_FIELDS = [name for names in _TAKES.values() for name in names]
_OVERRIDES = ("ML_SECRETS_TOKEN", "ML_SECRETS_TOKEN_FILE", "BAO_TOKEN", "VAULT_TOKEN")


@click.command(
    "login",
    cls=Command,
    example="ml-secrets login\nml-secrets login --method userpass username=ada\nml-secrets login --method approle role_id=ci secret_id=- < secret-id",
)
@click.option(
    "--method", type=click.Choice(_METHODS), default="token", show_default=True, help="How to log in."
)
@click.option("--path", metavar="PATH", help="Where the method is mounted. Default: its name.")
@click.option("--no-store", is_flag=True, help="Show the token instead of storing it.")
@click.option("--token-only", is_flag=True, help="Print nothing but the token, and do not store it.")
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE | -]...")
@session
def login(
    run: Session,
    method: str,
    path: str | None,
    parameters: tuple[str, ...],
    *,
    no_store: bool,
    token_only: bool,
) -> None:
    """Log in, and store the token for the commands that follow.

    Passwords, secret ids and tokens are asked for without echo, or come from stdin.
    """
    if method == "token":
        fields = _by_token(run, parameters)
    else:
        given = _given(method, parameters)
        answer = (_by_password if method == "userpass" else _by_role)(
            run, given, (path or method).removeprefix("auth/")
        )
        fields = login_fields(answer.auth or {})
    if token_only:
        click.echo(run.client.token.reveal() if run.client.token else "", nl=os.isatty(1))
    elif no_store:
        run.show(fields)
    else:
        _store(run)
        shown = {name: value for name, value in fields.items() if name != "token"}
        run.show(shown, fields=fields)  # the token itself only where its field is asked for


def _given(method: str, parameters: tuple[str, ...]) -> dict[str, str]:
    """The parameters of a login. One that it does not take, or that comes twice, is refused: it would be passed over."""
    found = arguments.data(parameters)
    names = _TAKES[method]
    if not found.keys() <= set(names) or not all(isinstance(value, str) for value in found.values()):
        raise LocalError(
            f"a login by {method} takes {names[0]}=… and {names[1]}=…, each once",
            hint=f"a terminal is asked for {names[1]}, or give it on stdin: {names[1]}=-",
        )
    return found


def _by_token(run: Session, parameters: tuple[str, ...]) -> dict[str, Any]:
    given = next(iter(parameters), "-").removeprefix("token=")
    if len(parameters) > 1 or any(given.startswith(f"{name}=") for name in _FIELDS):
        raise LocalError(
            "a login by token takes the token alone",
            hint="give it on stdin, or when asked; with a name or a role, say --method userpass or --method approle",
        )
    token = terminal.given("token", given)
    found = run.client.login_token(token).data
    return {
        "token": token,
        "token_accessor": found.get("accessor"),
        "token_duration": duration(int(found.get("ttl") or 0)),
        "token_renewable": found.get("renewable"),
        "policies": found.get("policies") or [],
    }


def _by_password(run: Session, given: dict[str, str], mount: str) -> Answer:
    name = given.get("username") or terminal.ask("User name")
    return run.client.login_userpass(name, given.get("password") or terminal.secret("Password"), mount=mount)


def _by_role(run: Session, given: dict[str, str], mount: str) -> Answer:
    role = given.get("role_id") or terminal.ask("Role id")
    secret = given.get("secret_id") or (terminal.ask_secret("Secret id") if terminal.is_terminal() else None)
    return run.client.login_approle(role, secret, mount=mount)


def _store(run: Session) -> None:
    from ml_secrets.client.settings import write_token  # noqa: PLC0415 - help loads no client

    token = run.client.token
    assert token is not None
    path = write_token(os.environ, token)
    run.note(f"Logged in; the token is in {path}")
    overriding = [name for name in _OVERRIDES if os.environ.get(name)]
    if overriding:
        run.note(
            f"warning: {overriding[0]} is set, and goes before the stored token\n  next: unset {overriding[0]}"
        )


@click.command("logout", cls=Command, example="ml-secrets logout")
@click.option("--keep", is_flag=True, help="Only forget the token here; do not revoke it.")
@session
def logout(run: Session, *, keep: bool) -> None:
    """Revoke the stored token, and forget it."""
    from ml_secrets.client.settings import forget_token, token_file  # noqa: PLC0415 - help loads no client

    if not token_file(os.environ).exists():
        run.done("There is no stored token")
        return
    problem = None if keep else _revoke(run)
    forget_token(os.environ)
    if problem:
        run.note(f"warning: the server did not revoke it: {output.visible(problem)}")
    run.done("Logged out")


def _revoke(run: Session) -> str | None:
    """Revoke the stored token (never one from the environment). Returns what went wrong."""
    from ml_secrets.client.settings import token_file  # noqa: PLC0415 - help loads no client

    try:
        run.client.token = token_file(os.environ).read_text(encoding="ascii")
        run.write("auth/token/revoke-self")
    except (MlSecretsError, OSError, UnicodeDecodeError) as error:
        return error.message if isinstance(error, MlSecretsError) else type(error).__name__
    return None
