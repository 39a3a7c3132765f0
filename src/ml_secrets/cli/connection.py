"""How the command line gets its client: options over environment over files, as the SDK resolves them; nothing cached."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli.failures import at_fault_here
from ml_secrets.cli.inline import login_of
from ml_secrets.client import Client
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from ml_secrets.cli.session import Session


def connect(run: Session, *, timeout: float | None = None) -> Client:
    """A client for this run, closed when the command is done. A command sees the newest state, so nothing is cached."""
    return client_of(run.address, namespace=run.namespace, timeout=timeout, login=login_of(run))


def connect_quickly(run: Session) -> Client:
    """The same for a command that asks once or twice and ends: it begins sooner where the server is near."""
    from ml_secrets.client.near import QuickClient  # noqa: PLC0415 - few commands are in such a hurry

    return client_of(run.address, namespace=run.namespace, login=login_of(run), kind=QuickClient)


def named_address(run: Session) -> str:
    """What --address or the environment says; "" where neither does: not a server that happens to run on this machine."""
    names = ("ML_SECRETS_ADDR", "BAO_ADDR", "VAULT_ADDR")
    return run.address or next((os.environ[name] for name in names if os.environ.get(name)), "")


def client_of(*arguments: Any, kind: type[Client] = Client, **settings: Any) -> Client:
    """A client, closed when the command that runs now is done. Settings that are wrong are a fault here: no server was asked."""
    try:
        client = kind(*arguments, cache_ttl=0, **settings)
    except Invalid as error:
        raise at_fault_here(error) from None
    ctx = click.get_current_context(silent=True)
    if ctx is not None:
        ctx.call_on_close(client.close)
    return client
