"""`ml-secrets server`: the only command that loads the server wing, and only once it is called."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from ml_secrets.cli.command import Command
from ml_secrets.cli.failures import LocalError, at_fault_here
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import MlSecretsError


def from_server_wing(module: str, name: str) -> Any:
    """Something of the server wing by its dotted path. Says what to install where its libraries are missing."""
    try:
        return getattr(importlib.import_module(f"ml_secrets.server.{module}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("ml_secrets"):
            raise LocalError(
                "this build has no server", hint="install the whole package: pip install 'ml-secrets[server]'"
            ) from None
        raise LocalError(f"the server needs {error.name}", hint="pip install 'ml-secrets[server]'") from None


@click.command(
    "server",
    cls=Command,
    example="ml-secrets server --dev\nml-secrets server --config /etc/ml-secrets/server.toml",
)
@click.option(
    "--dev", is_flag=True, help="In memory, unsealed, with a fixed root token. For trying things out."
)
@click.option(
    "--dev-root-token-id",
    metavar="TOKEN",
    envvar=["ML_SECRETS_DEV_ROOT_TOKEN_ID", "VAULT_DEV_ROOT_TOKEN_ID"],
    help="The dev server's root token.",
)
@click.option(
    "--dev-listen-address",
    metavar="HOST:PORT",
    envvar=["ML_SECRETS_DEV_LISTEN_ADDRESS", "VAULT_DEV_LISTEN_ADDRESS"],
    help="Where the dev server listens.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, readable=False),
    help="Configuration file: ours (TOML) or Vault's (HCL, JSON).",
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where the data is kept.")
@click.option("--listen", metavar="HOST:PORT", help="Where to listen, over what the configuration says.")
@click.option(
    "--log-level",
    type=click.Choice(("trace", "debug", "info", "warn", "warning", "error"), case_sensitive=False),
    help="How much to log.",
)
@click.option(
    "--accept-rollback",
    is_flag=True,
    help="Start once from a store older than one seen before (a restored one).",
)
@session
def server(run: Session, **flags: Any) -> int | None:  # noqa: ARG001 - every command is given its session
    """Start a server and keep it running until it is told to stop.

    Without --dev and --config it is a local one: your own store, opened by your key file.
    """
    if flags["dev"] and flags["config"]:
        raise click.UsageError("--dev and --config do not go together")
    if flags["dev"] and flags["data_dir"]:
        raise click.UsageError("--dev keeps nothing, so it has no --data-dir")
    if not flags["dev"]:
        flags |= _without_dev()
    options = from_server_wing("options", "ServerOptions")(**flags)
    try:
        code: int = from_server_wing("run", "run")(options)
    except MlSecretsError as error:  # no server said no: this machine is at fault
        raise at_fault_here(error) from None
    return code


_INSTEAD: Final = {
    "dev_listen_address": "another server listens where --listen says",
    "dev_root_token_id": "another server makes its root token itself",
}


def _without_dev() -> dict[str, None]:
    """Only a dev server has these. What the environment says of one does not concern another server."""
    for name, instead in _INSTEAD.items():
        if click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = "--" + name.replace("_", "-")
            raise LocalError(f"{option} is for a dev server", hint=f"add --dev; {instead}")
    return dict.fromkeys(_INSTEAD)
