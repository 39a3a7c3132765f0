"""`ml-secrets credential`: the credential helpers of other tools. Each speaks its tool's own protocol, errors too.

What is asked comes on standard input, what is answered goes to standard output; no value is ever an argument or in an error.
Docker and git call a helper by a name of its own, docker-credential-ml-secrets and git-credential-ml-secrets: a link of that
name to this program does (main.py).
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from ml_secrets.cli import output
from ml_secrets.cli.command import Noun
from ml_secrets.cli.complete import kv_paths
from ml_secrets.cli.kv_place import find, mount_option
from ml_secrets.cli.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.client.secret import Secret
    from ml_secrets.sensitive import Sensitive

_DOCKER: Final = ("get", "store", "erase", "list")
_AGAIN: Final = "1h"


@click.group(
    "credential",
    cls=Noun,
    example="ml-secrets credential aws aws/train\nml-secrets credential kubectl clusters/train",
)
def credential() -> None:
    """Give AWS, Docker, git and kubectl their credentials, in their own protocols."""


def _again_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--again-after", metavar="TTL", default=_AGAIN, show_default=True, help=text)


@credential.verb(
    "aws", example="credential_process = ml-secrets credential aws aws/train    # in ~/.aws/config"
)
@_again_option("The SDK asks again after so long at most, sooner when the lease ends.")
@mount_option
@click.argument("path", shell_complete=kv_paths)
@session
def aws(run: Session, path: str, mount: str | None, again_after: str) -> None:
    """A credential_process of AWS SDKs and CLI.

    The fields of the secret: access_key (or access_key_id), secret_key (or secret_access_key) and, of temporary
    credentials, session_token.
    """
    from ml_secrets.integrations.aws import process_answer  # noqa: PLC0415 - help loads no client

    again = timedelta(seconds=_seconds(again_after))
    _print(process_answer(_secret(run, path, mount), now=datetime.now(UTC), again_after=again))


@credential.verb(
    "kubectl", example="ml-secrets credential kubectl clusters/train    # users[].user.exec of a kubeconfig"
)
@_again_option("kubectl asks again after so long at most, sooner when the lease ends.")
@mount_option
@click.argument("path", shell_complete=kv_paths)
@session
def kubectl(run: Session, path: str, mount: str | None, again_after: str) -> None:
    """An exec plug-in of kubectl and its like.

    The fields of the secret: token; or client_certificate and client_key, in PEM.
    """
    from ml_secrets.integrations.kubectl import VARIABLE, answer  # noqa: PLC0415 - help loads no client

    again_at = datetime.now(UTC) + timedelta(seconds=_seconds(again_after))
    _print(answer(_secret(run, path, mount), os.environ.get(VARIABLE, ""), again_at=again_at))


@credential.verb("docker", example='ln -s "$(command -v ml-secrets)" ~/bin/docker-credential-ml-secrets')
@click.argument("verb", type=click.Choice(_DOCKER))
@session
def docker(run: Session, verb: str) -> None:
    """A credential helper of Docker, Podman, Skopeo.

    They call it as docker-credential-ml-secrets: a link of that name to this program will do.

    The credentials of a registry are the secret credentials/docker/HOST, with the fields username and password. `docker
    login` stores them, `docker logout` deletes them. The request is on stdin; errors are on stdout, as Docker reads them.
    """
    from ml_secrets.errors import MlSecretsError  # noqa: PLC0415 - help loads no client
    from ml_secrets.integrations.docker import NOT_FOUND, NotThere, answer  # noqa: PLC0415 - as above

    try:
        told = answer(run.client, verb, _asked(stdin=verb != "list"))
    except NotThere:
        _refuse(NOT_FOUND)
    except click.ClickException as error:
        _refuse(error.format_message())
    except MlSecretsError as error:
        _refuse(str(error))
    if told is not None:
        _print(told)


def _verbs_of_git(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's signature
    """Those that do something; git may call others, which are ignored."""
    return [verb for verb in ("get", "store", "erase") if verb.startswith(incomplete)]


@credential.verb(
    "git", example="git config --global credential.https://git.example.helper '!ml-secrets credential git'"
)
@click.option("--write", is_flag=True, help="Let git store what it was told, and erase what did not serve.")
@click.argument("verb", shell_complete=_verbs_of_git)
@session
def git(run: Session, verb: str, *, write: bool) -> None:
    """A credential helper of git.

    git calls it as git-credential-ml-secrets (a link of that name to this program), or as its configuration says.

    The credentials of a host are the secret credentials/git/HOST (or HOST/PATH, with credential.useHttpPath), with the
    fields username and password. They are given for https only. The request is on stdin.
    """
    from ml_secrets.integrations.git import answer  # noqa: PLC0415 - help loads no client

    told = answer(run.client, verb, _asked(), write=write)
    if told is not None:
        click.echo(told.reveal(), nl=False)


def _secret(run: Session, path: str, mount: str | None) -> Secret:
    place = find(run, path, mount)
    return run.client.get_secret(place.name, mount=place.mount)


def _asked(*, stdin: bool = True) -> Sensitive:
    from ml_secrets.cli.terminal import stdin_text  # noqa: PLC0415 - help needs none of it
    from ml_secrets.sensitive import Sensitive  # noqa: PLC0415 - as above

    return Sensitive(stdin_text() if stdin else "")


def _seconds(text: str) -> int:
    from ml_secrets.cli.failures import at_fault_here  # noqa: PLC0415 - help needs none of it
    from ml_secrets.domain.duration import parse_duration  # noqa: PLC0415 - as above
    from ml_secrets.errors import Invalid  # noqa: PLC0415 - as above

    try:
        return parse_duration(text)
    except Invalid as error:
        raise at_fault_here(error) from None


def _print(document: Any) -> None:
    click.echo(output.as_line(document))


def _refuse(text: str) -> NoReturn:
    click.echo(text)
    raise click.exceptions.Exit(output.LOCAL)
