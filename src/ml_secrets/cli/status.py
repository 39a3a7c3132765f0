"""`ml-secrets status`. Its exit code is the answer: 0 unsealed, 2 sealed, 1 error."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import output
from ml_secrets.cli.command import Command
from ml_secrets.cli.failures import at_fault_here
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import MlSecretsError

if TYPE_CHECKING:
    from ml_secrets.client import Client

_ROWS = (
    ("Seal Type", "type"), ("Initialized", "initialized"), ("Sealed", "sealed"), ("Total Shares", "n"),
    ("Threshold", "t"), ("Unseal Progress", "progress"), ("Version", "version"), ("Storage Type", "storage_type"),
    ("Cluster Name", "cluster_name"), ("Cluster ID", "cluster_id"), ("HA Enabled", "ha_enabled"),
)  # fmt: skip  # a table reads better packed


@click.command(
    "status", cls=Command, example="ml-secrets status\nml-secrets status --config /etc/ml-secrets/server.toml"
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Ask the server that has this configuration, on this machine: for health checks.",
)
@session
def status(run: Session, config: Path | None) -> int:
    """Show whether the server is initialised, unsealed and active.

    Exit code: 0 unsealed, 2 sealed, 1 error.
    """
    try:
        if config is not None:
            run.use(_own_server(config))
        found = dict(run.read("sys/seal-status").data)
        if not found.get("sealed"):
            found |= run.read("sys/leader").data
    except MlSecretsError as error:  # here 2 means sealed, so an error of any kind is 1
        raise at_fault_here(error) from None
    rows = {
        title: found[name]
        for title, name in _ROWS
        if name in found and (name != "progress" or found.get("sealed"))
    }
    run.show(found, output.pairs(rows))
    return output.SERVER if found.get("sealed") else output.OK


def _own_server(config: Path) -> Client:
    """A client of the configuration's first listener. Over TLS it trusts the listener's own certificate, whatever its names."""
    from ml_secrets.cli.connection import client_of  # noqa: PLC0415 - help loads no client
    from ml_secrets.cli.server import from_server_wing  # noqa: PLC0415 - the server wing is for this option only
    from ml_secrets.client.settings import resolve  # noqa: PLC0415 - help loads no client

    listener = from_server_wing("config", "load")(config).listeners[0]
    verify: dict[str, Any] = {}
    if listener.tls_cert_file is not None:
        verify["verify"] = trusted = ssl.create_default_context(cafile=listener.tls_cert_file)
        trusted.check_hostname = False
        trusted.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        chosen = resolve(address=listener.url)
        if chosen.client_cert:
            trusted.load_cert_chain(chosen.client_cert, chosen.client_key or None)
    return client_of(listener.url, **verify)
