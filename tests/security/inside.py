"""A whole server inside the test's process, on a store of its own: seal, anchor, audit log and all, but no socket.

Thousands of starts take minutes this way, and the file layer below SQLite can be one that fails on purpose.
"""

import functools
import json

from ml_secrets.dialects.vault.wire import HttpRequest
from ml_secrets.server.assemble import assemble
from ml_secrets.server.config import Config
from ml_secrets.server.exchange import exchange
from ml_secrets.storage import sqlite

STORE, KEYS, AUDIT, ANCHOR = "store", "keys/unseal.key", "audit.log", "keys/anchor"


class Inside:
    """The server of a folder; opened at once, made where there is none. Raises what a start raises. `clock` may be one to turn."""

    def __init__(self, folder, *, vfs=None, token="", clock=None):
        self.folder, self.token, self.made = folder, token, {}
        (folder / "keys").mkdir(parents=True, exist_ok=True, mode=0o700)
        config = Config(
            mode="local",
            path=folder / STORE,
            seal="keyfile",
            key_file=folder / KEYS,
            anchor_file=folder / ANCHOR,
            audit=[{"kind": "file", "path": "file", "file_path": str(folder / AUDIT)}],
        )
        plain = sqlite.SqliteStorage
        sqlite.SqliteStorage = functools.partial(plain, vfs=vfs)
        try:
            self.server = assemble(config, kv_at_secret=True, clock=clock)
        finally:
            sqlite.SqliteStorage = plain
        try:
            if self.server.opening.initialized:
                self.server.opening.open_automatically()
            else:
                self.made = self.server.opening.initialize({"recovery_shares": 1, "recovery_threshold": 1})
                self.token = self.made["root_token"]
        except BaseException:
            self.server.close()
            raise

    def ask(self, method, path, body=None, *, token=None):
        """Status and decoded body."""
        sent = b"" if body is None else json.dumps(body).encode()
        raw_path, _, query = path.partition("?")
        headers = [(b"x-vault-token", (self.token if token is None else token).encode())]
        http = HttpRequest(
            method, b"/v1/" + raw_path.encode(), query.encode(), headers, ("127.0.0.1", 1), sent
        )
        answer = exchange(self.server.pipeline, http)
        if answer.body[:1] in (b"{", b"["):
            return answer.status, json.loads(answer.body)
        return answer.status, answer.body

    def value(self, path):
        """The fields of a secret; None where there is none."""
        status, body = self.ask("GET", f"secret/data/{path}")
        assert status in (200, 404), (status, body)
        return body["data"]["data"] if status == 200 else None

    def close(self):
        self.server.close()
