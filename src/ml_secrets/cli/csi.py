"""`ml-secrets csi`: secrets for pods as volumes, by Kubernetes' Secrets Store CSI driver."""

from __future__ import annotations

from pathlib import Path

import click

from ml_secrets.cli.command import Command
from ml_secrets.cli.declaring import at_fault
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.log import log_of
from ml_secrets.cli.session import Session, session


@click.command(
    "csi",
    cls=Command,
    example="ml-secrets csi --address https://secrets.example.org:8200\nml-secrets csi --socket /var/run/secrets-store-csi-providers/ml-secrets.sock --address https://secrets.example.org:8200",
)
@click.option(
    "--socket",
    type=click.Path(path_type=Path, dir_okay=False),
    default="/etc/kubernetes/secrets-store-csi-providers/ml-secrets.sock",
    show_default=True,
    metavar="PATH",
    help="Where the driver looks for its provider ml-secrets.",
)
@session
def csi(run: Session, socket: Path) -> None:
    """Be a provider of the Secrets Store CSI driver on a node, until told to stop.

    The driver mounts what it is given as files of a pod's volume. Pods log in by the Secret that nodePublishSecretRef names.
    """
    from importlib.metadata import version  # noqa: PLC0415 - slow to import

    from ml_secrets.cli.connection import named_address  # noqa: PLC0415 - help loads no client
    from ml_secrets.integrations.kubernetes.csi import Provider, serve  # noqa: PLC0415 - as above

    address = named_address(run)
    if not address:
        raise LocalError(
            "nothing says where the server is", hint="--address https://secrets.example.org:8200"
        )
    with at_fault():
        serve(Provider(address, run.namespace or "", version("ml-secrets"), log_of("csi")), socket)
