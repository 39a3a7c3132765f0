"""Clients of other languages and tools, unmodified, do their normal job on our server as on OpenBao.

Each has a program in a folder beside this file, which is written as its users write: it fails where the client fails, and
prints a line for each thing done. `make conformance-clients` installs the clients and runs them; what Debian packages, and
what is not there, is passed over with the way to get it.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conformance.clients.conftest import new_server
from tests.conformance.clients.page import rows

HERE = Path(__file__).parent
PYTHON = HERE.parents[2] / os.environ.get("CLIENTS", ".venv-clients") / "bin"
DONE = re.compile(r"^(?:ok (.+)|TASK \[(.+)\] \*+)$", re.MULTILINE)
MAKE = "make conformance-clients installs it"


@dataclass(frozen=True)
class Client:
    """How a client's program is run, the file without which it cannot, and how to get that."""

    command: tuple
    needs: str
    get: str = MAKE


def javascript(name, package):
    """A program for Node.js."""
    where = HERE / "javascript"
    return Client(("node", str(where / name)), str(where / "node_modules" / package / "package.json"))


def python(name):
    """A program for the environment of the clients."""
    return Client((str(PYTHON / "python"), str(HERE / "python" / name)), str(PYTHON / "python"))


def shell(name, needs, packages):
    """A program for bash, around a tool that Debian packages."""
    return Client(("bash", str(HERE / "programs" / name)), needs, f"apt-get install {packages}")


PLUGIN = "/usr/lib/mysql/plugin/hashicorp_key_management.so"
CLIENTS = {
    "curl": shell("curl_and_jq.sh", "jq", "curl jq"),
    "node-vault": javascript("node_vault.mjs", "node-vault"),
    "node-vault-client": javascript("node_vault_client.mjs", "node-vault-client"),
    "hashi-vault-js": javascript("hashi_vault_js.mjs", "hashi-vault-js"),
    "@litehex/node-vault": javascript("litehex_node_vault.mjs", "@litehex/node-vault"),
    "ansible": Client(
        (str(PYTHON / "ansible-playbook"), str(HERE / "ansible" / "playbook.yml")),
        str(PYTHON / "ansible-playbook"),
    ),
    "airflow": python("airflow_secrets.py"),
    "dynaconf": python("dynaconf_settings.py"),
    "pydantic-settings-vault": python("pydantic_fields.py"),
    "packer": shell("packer.sh", "packer", "packer"),
    "mariadb": shell("mariadb.sh", PLUGIN, "mariadb-server mariadb-plugin-hashicorp-key-management"),
}
OPERATORS = {
    "node-vault": javascript("node_vault_operator.mjs", "node-vault"),
    "@litehex/node-vault": javascript("litehex_operator.mjs", "@litehex/node-vault"),
}
EVERYWHERE = ("curl",)  # cheap enough for `make test`
NAMES = [pytest.param(name, marks=() if name in EVERYWHERE else pytest.mark.clients) for name in CLIENTS]


def run(client, side, home):
    """What the client did, one line each; its output where it failed."""
    home.mkdir()
    environment = {
        **side.environment,
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AIRFLOW_HOME": str(home / "airflow"),
        "LANG": "C.UTF-8",
    }
    done = subprocess.run(
        client.command, env=environment, cwd=home, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return [first or second for first, second in DONE.findall(done.stdout)]


def installed(name, client):
    """Passes the test over where the client is not there."""
    if not (shutil.which(client.command[0]) and (shutil.which(client.needs) or Path(client.needs).exists())):
        pytest.skip(f"{name} is not installed: {client.get}")


def alike(name, ours, theirs):
    """Both did the same, as much as the page says."""
    assert ours == theirs
    assert len(ours) == rows()[name].steps


@pytest.mark.parametrize("name", NAMES)
def test_a_client_does_its_job(name, ours, theirs, tmp_path):
    """Every step of its program succeeds on our server, and the same steps on OpenBao."""
    client = CLIENTS[name]
    installed(name, client)
    alike(name, run(client, ours, tmp_path / "ours"), run(client, theirs, tmp_path / "theirs"))


@pytest.mark.clients
@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_does_its_job_over_tls(name, over_tls, tmp_path):
    """The same steps succeed when it is told whose certificate to trust."""
    client = CLIENTS[name]
    installed(name, client)
    assert len(run(client, over_tls, tmp_path / "home")) == rows()[name].steps


@pytest.mark.clients
@pytest.mark.parametrize("name", OPERATORS)
def test_a_client_opens_a_new_server(name, theirs, tmp_path):
    """It initialises and unseals a server, lays it out and seals it, ours as OpenBao."""
    client, done = OPERATORS[name], []
    installed(name, client)
    for kind in ("ours", "theirs"):
        with new_server(kind, tmp_path) as side:
            done.append(run(client, side, tmp_path / kind))
    alike(f"{name}, for operators", *done)
