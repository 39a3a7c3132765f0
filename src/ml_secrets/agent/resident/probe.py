"""Asking an agent how it is."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, Final

from ml_secrets.errors import Unreachable

_SECONDS: Final = 5.0


class _OverUnix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)


def probe(path: str | None, tcp: str | None) -> tuple[bool, dict[str, Any]]:
    """Is everything there and fresh, and the agent's own report. Raises `Unreachable` where no agent answers."""
    line = http.client.HTTPConnection(tcp or "", timeout=_SECONDS) if path is None else _OverUnix(path)
    try:
        line.request("GET", "/agent/v1/health")
        answer = line.getresponse()
        report = json.loads(answer.read(1 << 20))
    except (OSError, http.client.HTTPException, ValueError):
        report = None
    finally:
        line.close()
    if not isinstance(report, dict) or "state" not in report:
        raise Unreachable(
            f"no agent answers at {path or tcp}", hint="does it run, and has its configuration that listener?"
        )
    return answer.status == http.HTTPStatus.OK, report
