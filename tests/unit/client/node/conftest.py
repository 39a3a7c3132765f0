"""A server that notes who asked for what, and a place for processes to meet that goes with the test."""

import json
import os
import shutil
import signal
import socket
import struct
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from tests.postgres import postgres  # noqa: F401 - a fixture
from tests.soon import eventually

from ml_secrets import Client
from ml_secrets.client.node import reach
from ml_secrets.client.node.place import place_for
from ml_secrets.client.settings import resolve
from ml_secrets.testing.programs import dev_server


class Audited:
    """A server with an audit log. `asked()` counts its requests by path, since the last time it was asked."""

    def __init__(self, running, folder):
        self.url, self.token, self.process = running.url, running.token, running.process
        self._log = folder / "audit.log"
        with self.client(share="off") as root:
            root.write("sys/audit/log", {"type": "file", "options": {"file_path": str(self._log)}})
        self._read = 0
        self.asked()

    def client(self, token=None, *, share="on", kind=Client, **more):
        token = token or (None if "login" in more else self.token)
        with pytest.MonkeyPatch.context() as surroundings:
            surroundings.setenv("ML_SECRETS_SHARE", share)
            return kind(self.url, token, **more)

    def asked(self):
        lines = self._log.read_text().splitlines()
        fresh, self._read = lines[self._read :], len(lines)
        return Counter(
            line["request"]["path"] for line in map(json.loads, fresh) if line["type"] == "request"
        )


@pytest.fixture
def meeting(monkeypatch):
    """A private folder of a short name; whoever serves there at the end ends soon."""
    folder = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("ML_SECRETS_SHARE", "on")
    monkeypatch.setattr(reach, "LINGER", 1.0)
    yield folder
    for path in (folder / "ml-secrets" / "node").glob("*"):
        kill(node_at(str(path)))
    shutil.rmtree(folder)


@pytest.fixture
def server(meeting, tmp_path):
    with dev_server(tmp_path) as running:
        audited = Audited(running, tmp_path)
        with audited.client(share="off") as root:
            for number in range(5):
                root.kv.put(f"s{number}", {"value": f"v{number}"})
        audited.asked()
        yield audited


@pytest.fixture
def node_of():
    """The process that asks for all at a server; 0 where there is none."""

    def find(server):
        place = place_for(resolve(address=server.url))
        return node_at(place.socket)

    return find


def node_at(path):
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(path)
        except OSError:
            return 0
        return struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


def kill(pid):
    """End it as nothing can be done about; gone when this returns."""
    if pid:
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not alive(pid))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
