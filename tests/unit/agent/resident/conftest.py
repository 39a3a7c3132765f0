"""Real agents, as processes of their own, in front of our development server."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time

import pytest

from ml_secrets import Client
from ml_secrets.testing.programs import own_command

PATIENCE = 20.0


def until(what, seconds=PATIENCE, told=lambda: ""):
    """Wait until `what()` gives something; that."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"it did not come to that in time: {told()}"
        time.sleep(0.01)
    return found


def private(path, text):
    """A file of one line that only we can read."""
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(f"{text}\n")


class OverUnix(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=15)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(15)
        self.sock.connect(self.path)


class Running:
    """An agent that runs, with its configuration in `folder` and its files in `room`."""

    def __init__(self, folder, room, config, *, environment=(), name="agent.toml"):
        self.folder = folder
        self.room = room
        self.socket = room / "door" / "agent.sock"
        self.log = folder / "agent.log"
        self.config = folder / name
        self.configure(config)
        self.environment = {**os.environ, **dict(environment)}
        self.process = None

    def configure(self, text):
        self.config.touch(0o600)
        self.config.chmod(0o600)
        self.config.write_text(text)

    def start(self, *arguments):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*own_command(), "agent", "run", "--config", str(self.config), *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.environment,
            )
        return self

    def ask(self, method, path, headers=(), body=None, *, header=True):
        sent = ({"X-Vault-Request": "true"} if header else {}) | dict(headers)
        line = OverUnix(self.socket)
        with contextlib.closing(line):
            line.request(method, path, body, sent)
            answer = line.getresponse()
            return answer.status, answer.read()

    def health(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return json.loads(self.ask("GET", "/agent/v1/health")[1])
        if self.process.poll() is not None:
            raise AssertionError(f"the agent ended: {self.log.read_text()}")
        return {"state": ""}

    def fine(self):
        until(lambda: self.health()["state"] == "fine", told=lambda: (self.health(), self.log.read_text()))
        return self

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


@pytest.fixture
def agents(tmp_path, room):
    """Start agents: `agents(config)`; they are stopped with the test."""
    started = []

    def start(config, *arguments, environment=(), name="agent.toml", wait=True):
        running = Running(tmp_path, room, config, environment=environment, name=name).start(*arguments)
        started.append(running)
        return running.fine() if wait else running

    yield start
    for running in started:
        running.stop()


@pytest.fixture(scope="session")
def root(dev_server):
    """The development server's root, with login methods, a policy and a role."""
    with Client(dev_server.url, dev_server.token, cache_ttl=0) as client:
        policy = 'path "secret/*" { capabilities = ["read", "list", "create", "update", "delete"] }'
        client.write(
            "sys/policies/acl/agents",
            {"policy": policy + '\npath "sys/events/subscribe/*" { capabilities = ["read"] }'},
        )
        for name in ("approle", "userpass"):
            with contextlib.suppress(Exception):
                client.write(f"sys/auth/{name}", {"type": name})
        client.write("auth/approle/role/agents", {"token_policies": "agents", "token_ttl": "1h"})
        client.write("auth/userpass/users/ada", {"password": "pass-for-tests", "token_policies": "agents"})
        yield client


@pytest.fixture
def role(root, tmp_path):
    """A folder with what each login method reads: files with a role id and a fresh secret id, a password, a token."""
    role_id = root.read("auth/approle/role/agents/role-id").data["role_id"]
    secret_id = root.write("auth/approle/role/agents/secret-id").data["secret_id"]
    for name, text in (
        ("role-id", role_id),
        ("secret-id", secret_id),
        ("password", "pass-for-tests"),
        ("token", root.token.reveal()),
    ):
        private(tmp_path / name, text)
    return tmp_path


DOOR = """
[[listener]]
socket = "{room}/door/agent.sock"
quit = true
"""

APPROLE = """
[login]
method = "approle"
role-id-file = "role-id"
secret-id-file = "secret-id"
remove-secret-id-file = true
"""


@pytest.fixture
def door(room):
    """The part of a configuration that opens a door."""
    return DOOR.format(room=room)
