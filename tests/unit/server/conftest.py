"""The HTTP edge before a server in memory."""

import pytest

from ml_secrets.server import asgi


@pytest.fixture
def edge(server):
    """The edge; ask `edge.at(listener)` for the application."""
    made = asgi.Edge(server.server.pipeline)
    yield made
    made.close()
