"""The HTTP edge before a server in memory, and a server that can be killed and started again."""

import contextlib

import httpx
import pytest

from ml_secrets.server import asgi
from ml_secrets.testing.programs import free_port, own_command, running


@pytest.fixture
def edge(server):
    """The edge; ask `edge.at(listener)` for the application."""
    made = asgi.Edge(server.server.pipeline)
    yield made
    made.close()


class Home:
    """A user's own server, started and killed at will."""

    def __init__(self, folder):
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"

    @contextlib.contextmanager
    def server(self):
        """It runs."""
        places = {
            "ML_SECRETS_DATA_DIR": str(self.folder / "data"),
            "ML_SECRETS_CONFIG_DIR": str(self.folder / "config"),
        }
        command = [*own_command(), "server", "--listen", self.url.removeprefix("http://")]
        with running(command, url=self.url, token="", log=self.folder / "log", environment=places) as made:
            token = (self.folder / "config" / "token").read_text().strip()
            with httpx.Client(base_url=f"{self.url}/v1/", headers={"X-Vault-Token": token}) as client:
                yield made.process, client


@pytest.fixture
def home(tmp_path):
    """A user's own server: `with home.server() as (process, client)`."""
    return Home(tmp_path)
