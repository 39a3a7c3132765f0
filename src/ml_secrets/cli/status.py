"""`ml-secrets status`. Its exit code is the answer: 0 unsealed, 2 sealed, 1 error."""

from __future__ import annotations

import click

from ml_secrets.cli import output
from ml_secrets.cli.command import Command
from ml_secrets.cli.failures import at_fault_here
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import MlSecretsError

_ROWS = (
    ("Seal Type", "type"), ("Initialized", "initialized"), ("Sealed", "sealed"), ("Total Shares", "n"),
    ("Threshold", "t"), ("Unseal Progress", "progress"), ("Version", "version"), ("Storage Type", "storage_type"),
    ("Cluster Name", "cluster_name"), ("Cluster ID", "cluster_id"), ("HA Enabled", "ha_enabled"),
)  # fmt: skip  # a table reads better packed


@click.command("status", cls=Command, example="ml-secrets status")
@session
def status(run: Session) -> int:
    """Show whether the server is initialised, unsealed and active.

    Exit code: 0 unsealed, 2 sealed, 1 error.
    """
    try:
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
