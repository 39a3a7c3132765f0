"""How the command line gets its client: options over environment over files, as the SDK resolves them; nothing cached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ml_secrets.client import Client

if TYPE_CHECKING:
    from ml_secrets.cli.session import Session


def connect(run: Session, *, timeout: float | None = None) -> Client:
    """A client for this run, closed when the command is done. A command sees the newest state, so nothing is cached."""
    return closed_at_end(Client(run.address, namespace=run.namespace, cache_ttl=0, timeout=timeout))


def closed_at_end(client: Client) -> Client:
    """The client, closed when the command that runs now is done."""
    ctx = click.get_current_context(silent=True)
    if ctx is not None:
        ctx.call_on_close(client.close)
    return client
