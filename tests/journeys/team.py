"""What the tutorial's job needs around it: a server with the team's secret and an identity for the job, samples, a tracker.

Values are such that no other text holds them, so that whoever holds one got it from the server.
"""

import contextlib
import http.server
import json
import os
import shlex
import sqlite3
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ml_secrets import Client
from ml_secrets.testing import programs

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_anywhere.py"
SECRET = "team-vision/training"
FIELDS = ("DATABASE_URL", "TRACKING_URL", "TRACKING_API_KEY")
PASSWORD = "fake-database-pa55word-of-journeys"
KEY = "fake-tracking-k3y/of+journeys=="
DATABASE = "--file", f"DATABASE_URL_FILE=secret://secret/{SECRET}#DATABASE_URL"
TRACKING = "--file", f"TRACKING_API_KEY_FILE=secret://secret/{SECRET}#TRACKING_API_KEY"
ADDRESS = "--file", f"TRACKING_URL_FILE=secret://secret/{SECRET}#TRACKING_URL"
POLICY = """
path "secret/data/team-vision/*" { capabilities = ["read"] }
path "auth/token/create"         { capabilities = ["update"] }
"""


def typed(*words):
    """A command line, as a shell takes it."""
    return shlex.join(map(str, words))


@dataclass
class Team:
    """The server, and what stands around it. `told`: what the tracker was sent, by (task, key)."""

    server: programs.Running
    folder: Path
    root: Client
    role_id: str
    runtime: Path
    told: Counter = field(default_factory=Counter)

    @property
    def token_file(self):
        """The job's token, in a file for its user alone."""
        return self.folder / "job-token"

    @property
    def secret_id_file(self):
        return self.folder / "secret-id"

    @property
    def log(self):
        return self.folder / "audit.log"

    @property
    def surroundings(self):
        """The variables of somebody who starts jobs: where the server is, and no token."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "ML_SECRETS_ADDR": self.server.url,
            "ML_SECRETS_REVALIDATE": "300",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }

    def asked(self, since=0, by=None):
        """What the server was asked since that line of its log, by path; by anybody, or by the token of that name."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines()[since:])
        asked = (line for line in lines if line["type"] == "request")
        ours = (line for line in asked if by in (None, line["auth"].get("display_name")))
        return Counter(line["request"]["path"] for line in ours)

    @property
    def lines(self):
        return len(self.log.read_text().splitlines())

    def left_in_memory(self):
        """The folders of runs that there are."""
        return sorted(self.runtime.glob("ml-secrets/run-*"))

    def live_tokens(self):
        """How many tokens there are."""
        return len(self.root.list("auth/token/accessors").data["keys"])


@contextlib.contextmanager
def team_in(folder):
    """All of it, in that folder, which everybody may enter."""
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(programs.dev_server(folder))
        root = stack.enter_context(Client(server.url, server.token))
        runtime = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="ml-secrets-test-", dir="/dev/shm"))
        )
        team = Team(server, folder, root, _identity(root, folder), runtime)
        url = stack.enter_context(_tracker(team.told))
        database = _samples(folder / "team-vision.db")
        values = (f"file:{database}?mode=ro&password={PASSWORD}", url, KEY)
        root.kv.put(SECRET, dict(zip(FIELDS, values, strict=True)))
        yield team


def _identity(root, folder):
    """A policy, a token with it, and an AppRole with it. The role's id."""
    root.write("sys/audit/log", {"type": "file", "options": {"file_path": str(folder / "audit.log")}})
    root.write("sys/policies/acl/team-vision", {"policy": POLICY})
    made = root.write("auth/token/create", {"policies": ["team-vision"], "ttl": "1h"})
    _private(folder / "job-token", made.auth["client_token"])
    root.write("sys/auth/approle", {"type": "approle"})
    root.write("auth/approle/role/job", {"token_policies": "team-vision", "token_ttl": "1h"})
    _private(folder / "secret-id", root.write("auth/approle/role/job/secret-id").data["secret_id"])
    return root.read("auth/approle/role/job/role-id").data["role_id"]


def _private(path, text):
    path.touch(0o600)
    path.write_text(text)


def _samples(path):
    """The data of the tutorial."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    rows = [
        (*map(float, features), int(label)) for features, label in zip(data.data, data.target, strict=True)
    ]
    columns = ", ".join(f"feature_{number} REAL" for number in range(data.data.shape[1]))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(f"CREATE TABLE samples ({columns}, label INTEGER)")
        database.executemany(f"INSERT INTO samples VALUES ({', '.join('?' for _ in rows[0])})", rows)
    return path


@contextlib.contextmanager
def _tracker(told):
    """An experiment tracker. Its address."""

    class Tracker(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            metric = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told[metric["task"], self.headers["Authorization"].removeprefix("Bearer ")] += 1
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tracker) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()
