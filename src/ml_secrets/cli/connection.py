"""How the command line gets its client: options over environment over files, as the SDK resolves them; nothing cached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.client import Client

if TYPE_CHECKING:
    from ml_secrets.cli.session import Session


def connect(run: Session, *, timeout: float | None = None) -> Client:
    """A client for this run. A command sees the newest state, so it caches nothing."""
    return Client(run.address, namespace=run.namespace, cache_ttl=0, timeout=timeout)
