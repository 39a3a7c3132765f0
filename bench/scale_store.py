"""A store that grows through the product's own way of writing: secrets and tokens by the thousand to a commit."""

import contextlib
import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path

import msgspec

from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Request
from ml_secrets.server import config as configuration
from ml_secrets.server.assemble import assemble
from ml_secrets.testing import programs

POLICY = """
path "secret/data/bench/*" { capabilities = ["create", "update", "read"] }
path "secret/metadata/bench/*" { capabilities = ["list"] }
"""
_TOGETHER = 20_000


def name_of(number):
    """The names of secrets: no two alike, and in no order, so that pages of names fill as they do in life."""
    return f"{number * 2654435761 % 2**32:08x}"


class Store:
    """A store in a folder: SQLite with synchronous=FULL, opened by a key file, with file audit and an anchor."""

    name = "ml-secrets"

    def __init__(self, folder):
        self.folder = folder
        self.address = f"127.0.0.1:{programs.free_port()}"
        self.url = f"http://{self.address}"
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "server.toml"
        self.config.write_text(
            f'anchor_file = "{folder}/anchor"\nlog_level = "error"\n'
            f'[storage]\ntype = "sqlite"\npath = "{folder}/store"\n'
            f'[seal]\ntype = "keyfile"\npath = "{folder}/unseal.key"\n'
            f'[[listener]]\ntype = "tcp"\naddress = "{self.address}"\n'
            f'[[audit]]\ntype = "file"\npath = "file"\nfile_path = "{folder}/audit.log"\n'
        )
        self._notes = folder / "made.json"
        made = json.loads(self._notes.read_text()) if self._notes.exists() else {}
        self.root = made.get("root", "")
        self.token = made.get("token", "")
        self.secrets = made.get("secrets", 0)
        self.tokens = made.get("tokens", [])
        self.seconds = made.get("seconds", 0.0)

    @property
    def size(self):
        """Bytes of the store's file."""
        return (self.folder / "store" / "store.sqlite").stat().st_size

    @contextlib.contextmanager
    def opened(self):
        """The server's parts, open, in this process."""
        server = assemble(configuration.load(self.config), kv_at_secret=True)
        try:
            first = {"recovery_shares": 1, "recovery_threshold": 1}
            made = server.opening.open_automatically(initialize=first)
            if made is not None:
                self._begin(server, made["root_token"])
            yield server
        finally:
            server.close()

    def grow(self, *, secrets=0, tokens=0):
        """Write until there are that many. `seconds` counts how long that took, since the store was empty."""
        if secrets <= self.secrets and tokens <= len(self.tokens):
            return
        began = time.perf_counter()
        with self.opened() as server:
            while self.secrets < secrets:
                self._write_secrets(server, min(secrets, self.secrets + _TOGETHER))
            while len(self.tokens) < tokens:
                self._make_tokens(server, min(_TOGETHER, tokens - len(self.tokens)))
        self.seconds += time.perf_counter() - began
        self._note()

    def _begin(self, server, root):
        self.root = root
        ask(server, [Request("p", Verb.WRITE, "sys/policies/acl/bench", root, {"policy": raw(POLICY)})])
        self._make_tokens(server, 1)
        self.token = self.tokens.pop()
        self._note()

    def _write_secrets(self, server, end):
        ask(
            server,
            [
                Request(
                    str(number),
                    Verb.WRITE,
                    f"secret/data/bench/{name_of(number)}",
                    self.root,
                    {
                        "data": raw(
                            {
                                "username": f"fake-user-{number}",
                                "password": f"fake-password-{number:032d}",
                            }
                        )
                    },
                )
                for number in range(self.secrets, end)
            ],
        )
        self.secrets = end

    def _make_tokens(self, server, count):
        fields = {"policies": raw(["bench"]), "ttl": raw("700h")}
        wanted = [
            Request(str(number), Verb.WRITE, "auth/token/create", self.root, fields)
            for number in range(count)
        ]
        self.tokens += [outcome.response.auth["client_token"] for outcome in ask(server, wanted)]

    def _note(self):
        made = {"root": self.root, "token": self.token, "secrets": self.secrets}
        made |= {"tokens": self.tokens, "seconds": self.seconds}
        self._notes.write_text(json.dumps(made))


def raw(value):
    """A field as it comes in a body."""
    return msgspec.Raw(msgspec.json.encode(value))


def ask(server, requests):
    """Changes that share one commit."""
    outcomes = server.pipeline.handle_all(requests)
    failed = next((outcome.error for outcome in outcomes if outcome.error is not None), None)
    if failed is not None:
        raise failed
    return outcomes


@contextlib.contextmanager
def running(store):
    """A server process on the store. Yields (process id, seconds to its first answer, unsealed; CPU seconds by then)."""
    with (store.folder / "server.log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            [*programs.own_command(), "server", "--config", str(store.config)],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        while not _answers(store.url):
            if process.poll() is not None or time.perf_counter() - began > 60:
                raise RuntimeError((store.folder / "server.log").read_text())
            time.sleep(0.005)
        yield process.pid, time.perf_counter() - began, processor_seconds(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def _answers(url):
    try:
        with urllib.request.urlopen(f"{url}/v1/sys/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def processor_seconds(pid):
    """What all threads of a process have used of the processors."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def memory(pid):
    """Resident memory of a process in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def cold():
    """Have the kernel forget files that it holds in memory, where we may."""
    os.sync()
    with contextlib.suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("1")
