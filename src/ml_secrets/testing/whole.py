"""A whole server in memory, without a network, and with a clock to turn: policies, audit, barrier and all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ml_secrets.dialects.vault.wire import HttpRequest
from ml_secrets.server.assemble import assemble
from ml_secrets.server.config import Config
from ml_secrets.server.exchange import exchange
from ml_secrets.testing.mounted import Answer
from ml_secrets.testing.programs import ROOT_TOKEN
from ml_secrets.upkeep import expire

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOME = "127.0.0.1"


class Whole:
    """An open server. `now` is its clock, in seconds since 1970, to be turned at will. `ask` may be called by many threads.

    With a `path` the store is SQLite in that folder, and `reopen` starts anew on what is there.
    """

    def __init__(self, path: Path | None = None, *, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self._config = Config(mode="development", storage="memory" if path is None else "sqlite", path=path)
        self.server = assemble(self._config, kv_at_secret=True, root_token=ROOT_TOKEN, clock=lambda: self.now)
        made = self.server.opening.initialize({"secret_shares": 1, "secret_threshold": 1})
        self._key = str(made["keys_base64"][0])
        self.server.opening.unseal(self._key, reset=False)

    @property
    def house(self) -> Any:
        """Everything inside (pipeline/house.py)."""
        return self.server.house

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = ROOT_TOKEN,
        address: str = HOME,
        wrap: str = "",
        headers: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """One HTTP request. `path` follows /v1/ and may have a query; `body` is JSON text as bytes, or a value."""
        sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        pairs = [(b"host", b"vault.test")]
        pairs += [(name.lower().encode(), value.encode()) for name, value in headers]
        if method == "PATCH":
            pairs.append((b"content-type", b"application/merge-patch+json"))
        if token is not None:
            pairs.append((b"x-vault-token", token.encode("latin-1")))
        if wrap:
            pairs.append((b"x-vault-wrap-ttl", wrap.encode()))
        raw_path, _, query = path.partition("?")
        http = HttpRequest(method, b"/v1/" + raw_path.encode(), query.encode(), pairs, (address, 1), sent)
        answer = exchange(self.server.pipeline, http)
        return Answer(
            answer.status, {name.decode(): value.decode() for name, value in answer.headers}, answer.body
        )

    def sweep(self) -> int:
        """Run the upkeep of tokens until nothing is due; how many rounds that took."""
        rounds = 1
        while expire.run_once(self.house, self.now):
            rounds += 1
        return rounds

    def rows(self, prefix: str = "") -> list[str]:
        """Names of all rows below a prefix, as the store behind the barrier would show them to its owner."""
        with self.server.barrier.begin(write=False) as tx:
            waiting, found = [prefix], list[str]()
            while waiting:
                folder = waiting.pop()
                for name in tx.list(folder):
                    (waiting if name.endswith("/") else found).append(folder + name)
        return sorted(found)

    def reopen(self) -> None:
        """Close, and start anew on the same store."""
        self.server.close()
        self.server = assemble(self._config, kv_at_secret=True, clock=lambda: self.now)
        self.server.opening.unseal(self._key, reset=False)

    def close(self) -> None:
        """Stop."""
        self.server.close()
