"""What the demo plays on: a scratch folder, our server as a process, a database with real data, an experiment tracker.

Everything is real but for its size: the server is the one that `ml-secrets server` starts, the tracker checks the key of
every request, and the database is a file that the URL in the secret names.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from ml_secrets.cli.failures import LocalError
from ml_secrets.client import Client
from ml_secrets.errors import MlSecretsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATIENCE: Final = 60.0


def check_libraries() -> None:
    """Raise `LocalError` for what the demo needs and is not installed."""
    missing = [name for name in ("sklearn", "sqlalchemy", "httptools", "apsw") if find_spec(name) is None]
    if missing:
        raise LocalError(f"the demo needs {', '.join(missing)}", hint="pip install 'ml-secrets[server,demo]'")


def training_script() -> Path:
    """examples/train.py: beside the source in a checkout, inside the package once installed."""
    package = Path(__file__).parent.parent
    for place in (package / "examples", package.parent.parent / "examples"):
        if (place / "train.py").is_file():
            return place / "train.py"
    raise LocalError("examples/train.py is not in this installation", hint="install ml-secrets again")


class Stage:
    """The scratch folder and the commands that run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith(("ML_SECRETS_", "VAULT_", "BAO_"))
        }
        self.environment = {
            **inherited,
            "ML_SECRETS_ADDR": self.address,
            "ML_SECRETS_DATA_DIR": str(folder / "data"),
            "ML_SECRETS_CONFIG_DIR": str(folder / "config"),
            "ML_SECRETS_REVALIDATE": "0.2",
            "COLUMNS": "160",
        }

    @property
    def audit_log(self) -> Path:
        """The audit log of the embedded store."""
        return self.folder / "data" / "audit.log"

    @contextlib.contextmanager
    def server(self) -> Iterator[str]:
        """The server while inside; gives what it told the operator."""
        output = self.folder / "server.txt"
        command = [*_program(), "server", "--listen", f"127.0.0.1:{self.port}"]
        with output.open("wb") as file:
            process = subprocess.Popen(
                command, env=self.environment, stdout=file, stderr=file, stdin=subprocess.DEVNULL
            )
        try:
            self._wait_for(process, output)
            yield output.read_text()
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)

    def run(
        self, *arguments: str, token: str | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run an `ml-secrets` command to its end."""
        command = [*_program(), *arguments]
        return subprocess.run(
            command,
            env=self._as(token),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, command: Sequence[str], *, token: str) -> subprocess.Popen[str]:
        """Start a program that has nothing but the address and its token."""
        return subprocess.Popen(
            command, env=self._as(token), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def _as(self, token: str | None) -> dict[str, str]:
        return self.environment if token is None else {**self.environment, "ML_SECRETS_TOKEN": token}

    def _wait_for(self, process: subprocess.Popen[bytes], output: Path) -> None:
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(MlSecretsError), Client(self.address, token="none") as client:  # noqa: S106 - the health check takes no token
                client.read("sys/health")
                return
            time.sleep(0.05)
        raise LocalError(f"the server did not start: {output.read_text()[-2000:]}")


class Tracker:
    """An experiment tracker: takes metrics from whoever has the present key, and refuses everybody else."""

    def __init__(self, key: str) -> None:
        self.keys = {key}
        self.metrics: list[dict[str, Any]] = []
        self.refused = 0
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        tracker = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                known = any(
                    secrets.compare_digest(f"Bearer {key}", self.headers.get("Authorization", ""))
                    for key in tracker.keys
                )
                if known:
                    tracker.metrics.append(json.loads(body))
                else:
                    tracker.refused += 1
                self.send_response(204 if known else 401)
                self.end_headers()

            def log_message(self, *args: object) -> None:  # its lines would mix with the demo's
                pass

        return Handler


def make_database(path: Path) -> str:
    """The Wisconsin breast cancer data that scikit-learn ships, as a table; returns its URL."""
    import sqlalchemy  # noqa: PLC0415 - an extra
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415

    data = load_breast_cancer()
    columns = [f"feature_{number}" for number in range(data.data.shape[1])]
    url = f"sqlite:///{path}"
    engine = sqlalchemy.create_engine(url)
    typed = [sqlalchemy.Column(name, sqlalchemy.Float) for name in columns]
    table = sqlalchemy.Table(
        "samples", sqlalchemy.MetaData(), *typed, sqlalchemy.Column("label", sqlalchemy.Integer)
    )
    with engine.begin() as connection:
        table.create(connection)
        rows = [
            {**dict(zip(columns, map(float, row), strict=True)), "label": int(label)}
            for row, label in zip(data.data, data.target, strict=True)
        ]
        connection.execute(table.insert(), rows)
    engine.dispose()
    return url


def _program() -> list[str]:
    return [sys.executable, "-m", "ml_secrets.cli"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
