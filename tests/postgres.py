"""A real PostgreSQL for a run of tests, and OpenBao making users of it."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from ml_secrets.testing import programs


def _program(name):
    found = shutil.which(name) or next(iter(sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return str(found)


class Postgres:
    """A PostgreSQL that asks everybody but its owner for a password."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port

    def sql(self, text):
        """Run as its owner, who comes in by the socket."""
        command = ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port), "-c", text]
        done = subprocess.run(
            [*as_postgres(), *command, "postgres"], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def as_postgres():
    """PostgreSQL does not run as root."""
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


@pytest.fixture(scope="session")
def postgres():
    initdb, program = _program("initdb"), _program("postgres")
    folder = Path(
        tempfile.mkdtemp(prefix="postgres-of-tests-")
    )  # not below pytest's own, which is closed to others
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    port, data = programs.free_port(), folder / "data"
    subprocess.run(
        [*as_postgres(), initdb, "-D", data, "--auth-local=trust", "--auth-host=scram-sha-256", "-N"],
        capture_output=True,
        check=True,
        cwd="/",
    )
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        "fsync": "off",
        "shared_buffers": "16MB",
    }
    command = [
        *as_postgres(),
        program,
        "-D",
        str(data),
        *(f"-c{name}={value}" for name, value in settings.items()),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
    try:
        yield _ready(Postgres(str(folder), port))
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def _ready(found):
    deadline = time.monotonic() + 30
    while True:
        try:
            found.sql("SELECT 1")
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return found


def lent_by(client, postgres, **role):
    """Have OpenBao, whose root `client` is, make users of this PostgreSQL: the role "train" of database/, with these settings."""
    postgres.sql("DROP ROLE IF EXISTS vault")
    postgres.sql("CREATE ROLE vault SUPERUSER LOGIN PASSWORD 'FAKE-vault'")
    if "database/" not in client.read("sys/mounts").data:
        client.write("sys/mounts/database", {"type": "database"})
    client.write(
        "database/config/train",
        {
            "plugin_name": "postgresql-database-plugin",
            "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{postgres.port}/postgres",
            "username": "vault",
            "password": "FAKE-vault",
            "allowed_roles": "*",
        },
    )
    made = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
    client.write("database/roles/train", {"db_name": "train", "creation_statements": made, **role})
