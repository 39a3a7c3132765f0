"""A server inside the caller's process, for the SDK when none runs: the same pipeline and store, without a network.

The caller can read the key file, so it is the owner of the store, and gets a token of its own: one that may do
everything, lives for an hour, and is nowhere stored. Every access is audited like any other.

The upkeep has no thread here, which would outlive its client: what is due is done on opening (but for what takes long) and, in
bounded rounds, after a request. Ctrl-C and other signals wait until that is done.
"""

from __future__ import annotations

import getpass
import logging
import os
import time
from threading import Lock
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ml_secrets.dialects.vault.wire import HttpRequest
from ml_secrets.domain.token import ROOT_POLICY, TokenEntry
from ml_secrets.server.assemble import Assembled, assemble
from ml_secrets.server.exchange import exchange
from ml_secrets.server.local import keep_token, local_config
from ml_secrets.server.ticker import Ticker
from ml_secrets.server.whole import whole

if TYPE_CHECKING:
    from pathlib import Path

_LIFETIME = 3600
_CHECKED: Final = 20_000
"""Rows; checking them takes half a second, for which one request waits."""
_log: Final = logging.getLogger("ml_secrets.embedded")


class Embedded:
    """An open local store."""

    def __init__(self, server: Assembled) -> None:
        self._server = server
        self._token = ""
        self._renew_at = 0.0
        jobs = server.jobs(most_checked=_CHECKED)
        for job in jobs:
            job.due = time.monotonic() + job.every if job.takes_long else 0.0
        self._upkeep = Ticker(jobs)
        self._upkeep_at = 0.0
        self._turn = Lock()

    @property
    def token(self) -> str:
        """The owner's token; another one before it ends, so that a process may run for as long as it likes."""
        now = self._server.clock()
        if now >= self._renew_at:
            self._token, self._renew_at = self._issue(now), now + _LIFETIME // 2
        return self._token

    def _issue(self, now: float) -> str:
        entry = TokenEntry(
            accessor="",
            policies=(ROOT_POLICY,),
            path="auth/token/embedded",
            created=now,
            expires=now + _LIFETIME,
            creation_ttl=_LIFETIME,
            display_name=f"embedded-{_user()}",
            renewable=False,
            kind="batch",
        )
        house = self._server.house
        return house.units.read(lambda unit: house.tokens.issue_batch(unit, entry))

    def request(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """One HTTP request; `path` is the raw path with its query. Returns status, headers (lower case) and body."""
        target = urlsplit(path)
        pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        http = HttpRequest(method, target.path.encode(), target.query.encode(), pairs, ("", 0), body)
        with whole():
            response = exchange(self._server.pipeline, http)
            self.keep_up()
        return (
            response.status,
            {name.decode(): value.decode() for name, value in response.headers},
            response.body,
        )

    def keep_up(self) -> None:
        """Do what is due, unless another thread is at it."""
        if time.monotonic() >= self._upkeep_at and self._turn.acquire(blocking=False):
            try:
                self._upkeep_at = self._upkeep.run_due()
            finally:
                self._turn.release()

    def close(self) -> None:
        """Seal the store and give up its files."""
        self._server.close()


def _user() -> str:
    """The user's name; a number where a container runs under one that has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def connect(data_dir: Path | None = None) -> Embedded:
    """Open the user's own store; the first time, make it. Raises `StoreFault` when another process has it."""
    config = local_config(data_dir)
    server = assemble(config, kv_at_secret=True)
    try:
        if server.opening.initialized:
            server.opening.open_automatically()
        else:
            keep_token(
                str(server.opening.initialize({"recovery_shares": 1, "recovery_threshold": 1})["root_token"])
            )
            # No recovery key is shown: standard error of somebody's program ends up in logs.
            _log.warning(
                "a new store was made in %s; only the key file %s opens it: keep a copy",
                config.path,
                config.key_file,
            )
        embedded = Embedded(server)
        embedded.keep_up()
    except BaseException:
        server.close()
        raise
    return embedded
