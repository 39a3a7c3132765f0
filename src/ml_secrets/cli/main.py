"""`ml-secrets`: the front door of the command line. Names every command; loads the one that is called."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import click

from ml_secrets.cli import output
from ml_secrets.cli.command import Front, two_dashes
from ml_secrets.cli.failures import explain

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE: Final = "ml_secrets.cli"

CATALOG: Final[dict[str, tuple[str, str]]] = {
    "kv": (f"{_HERE}.kv:kv", "Secrets with versions: get, put, patch, list, roll back, move, compare."),
    "read": (f"{_HERE}.paths:read", "Read any path of the API."),
    "write": (f"{_HERE}.paths:write", "Write to any path of the API."),
    "list": (f"{_HERE}.paths:list_", "List the keys under a path."),
    "delete": (f"{_HERE}.paths:delete", "Delete what is at a path."),
    "login": (f"{_HERE}.login:login", "Log in, and store the token for the commands that follow."),
    "logout": (f"{_HERE}.login:logout", "Revoke the stored token, and forget it."),
    "status": (f"{_HERE}.status:status", "Show whether the server is initialised, unsealed and active."),
    "token": (f"{_HERE}.token:token", "Make, look up, renew and revoke tokens; see what they may do."),
    "policy": (f"{_HERE}.policy:policy", "Read, write, check, explain and simulate policies."),
    "secrets": (f"{_HERE}.secrets:secrets", "Enable, tune, move and disable secrets engines."),
    "auth": (f"{_HERE}.auth:auth", "Enable, tune and disable login methods."),
    "audit": (f"{_HERE}.audit:audit", "Enable audit devices; verify, follow and report on their logs."),
    "events": (
        f"{_HERE}.events:events",
        "Be told of changes of secrets as they happen; have other programs told.",
    ),
    "lease": (f"{_HERE}.lease:lease", "Look up, renew and revoke leases."),
    "run": (
        f"{_HERE}.run:run",
        "Run a command with its secrets; mask them in what it prints; take everything back when it ends.",
    ),
    "fetch": (f"{_HERE}.fetch:fetch", "Fetch what a job needs, write it as files, and end."),
    "agent": (
        f"{_HERE}.agent:agent",
        "Keep files, programs and other processes on this machine in fresh secrets.",
    ),
    "webhook": (
        f"{_HERE}.webhook:webhook",
        "Have pods of a Kubernetes cluster given their secrets, by their annotations.",
    ),
    "csi": (
        f"{_HERE}.csi:csi",
        "Be a provider of the Secrets Store CSI driver on a node, until told to stop.",
    ),
    "credential": (
        f"{_HERE}.credential:credential",
        "Give AWS, Docker, git and kubectl their credentials, in their own protocols.",
    ),
    "wrap": (f"{_HERE}.wrapping:wrap", "Wrap data into a single-use token."),
    "unwrap": (f"{_HERE}.wrapping:unwrap", "Take the content out of a wrapping token, once."),
    "import": (
        f"{_HERE}.importing:import_",
        "Bring secrets in from .env, JSON or YAML files, or from another Vault.",
    ),
    "export": (f"{_HERE}.exporting:export", "Write a secret out as .env, JSON or YAML, in the clear."),
    "server": (f"{_HERE}.server:server", "Start a server and keep it running until it is told to stop."),
    "operator": (
        f"{_HERE}.operator:operator",
        "Initialise, unseal, seal, rekey, verify, back up and restore a server.",
    ),
    "path-help": (f"{_HERE}.paths:path_help", "Show what a path of the API takes and gives."),
    "completion": (f"{_HERE}.completion:completion", "Print the completion script for your shell."),
    "version": (f"{_HERE}.version:version", "Print the version."),
}


def catalog() -> dict[str, tuple[str, str]]:
    """The commands of this build: `demo` only where it was installed."""
    if find_spec(f"{_HERE}.demo") is None:
        return CATALOG
    return {**CATALOG, "demo": (f"{_HERE}.demo:demo", "Watch a training job fetch its secrets just in time.")}


def front() -> Front:
    """The command line as click knows it."""
    return Front(
        "ml-secrets",
        catalog=catalog(),
        help="Secrets for machine-learning teams: store, hand out, rotate, revoke and audit.",
        example="ml-secrets server --dev\nml-secrets kv put app/db user=ada password=-\nml-secrets kv get --field password app/db",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    _open_closed_streams()
    args = two_dashes(_words() if arguments is None else list(arguments))
    if args in (["--version"], ["-v"]):
        args = ["version"]
    if "_ML_SECRETS_COMPLETE" in os.environ:
        from ml_secrets.cli import bash  # noqa: F401, PLC0415 - only while completing: click learns of it there
    try:
        code = front().main(args, prog_name="ml-secrets", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return output.LOCAL
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return output.LOCAL
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last line of defence against a traceback with values
        text, code = explain(error, debug="--debug" in args)
        click.echo(text, err=True)
    return code if isinstance(code, int) else output.OK


def _words() -> list[str]:
    """The command line. Called by a credential helper's name, it is that helper."""
    called = os.path.basename(sys.argv[0])  # noqa: PTH119 - help is quicker without pathlib
    if not called.endswith("-credential-ml-secrets"):
        return sys.argv[1:]
    return ["credential", called.partition("-")[0], *sys.argv[1:]]


def _open_closed_streams() -> None:
    """Give what was started without stdin, stdout or stderr (`>&-`) an empty one, so that no socket takes its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - open until the process ends; help is quicker without pathlib
