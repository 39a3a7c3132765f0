"""A server as the models see it: one kept connection, a status and a decoded body for each request."""

from __future__ import annotations

import http.client
import itertools
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    status: int
    body: Any

    @property
    def data(self) -> Any:
        """`data` of the envelope."""
        return self.body["data"]


class Server:
    """Ours or OpenBao."""

    def __init__(self, url: str, token: str, *, patience: float = 0.0) -> None:
        self.root, self.patience = token, patience
        place = urlsplit(url)
        self._connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)

    def ask(
        self, method: str, path: str, body: object = None, *, token: str | None = None, wrap: str = ""
    ) -> Said:
        """One request; root's token is the default, "" sends none."""
        headers = {"X-Vault-Request": "true"}
        if token != "":
            headers["X-Vault-Token"] = self.root if token is None else token
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        if wrap:
            headers["X-Vault-Wrap-TTL"] = wrap
        sent = None if body is None else json.dumps(body)
        self._connection.request(method, f"/v1/{path}", sent, headers)
        answer = self._connection.getresponse()
        raw = answer.read()
        return Said(answer.status, json.loads(raw) if raw else None)

    def find(self, token: str, expected: int) -> Said:
        """What is known of a token. OpenBao ends one that is used up a moment later: so long an unexpected answer is asked again."""
        end = time.monotonic() + self.patience
        while True:
            answer = self.ask("POST", "auth/token/lookup", {"token": token})
            if answer.status == expected or time.monotonic() >= end:
                return answer
            time.sleep(0.01)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def new_mount(self) -> str:
        """A new KV version 2 mount, ready to be used."""
        mount = f"model-{next(_numbers)}"
        assert self.ask("POST", f"sys/mounts/{mount}", {"type": "kv-v2"}).status == 204
        while self.ask("GET", f"{mount}/config").status != 200:  # OpenBao's is not there at once
            time.sleep(0.01)
        return mount


def run(machine: type[RuleBasedStateMachine], server: Server, *, examples: int, steps: int) -> None:
    """So many histories of so many steps, the same on every run. A history that fails is told as it was found, unshortened."""
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: machine(server), settings=chosen)
