"""The webhook, served: HTTPS on an agent's door.

POST /mutate     an AdmissionReview; answered with 200, whatever was decided
GET  /healthz    for probes: it serves; and what keeps a renewed certificate from being used
"""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.resident.doors import Door, aside
from ml_secrets.agent.resident.http import Asked, Reply, converse, json_reply, refusal
from ml_secrets.errors import Invalid
from ml_secrets.integrations.kubernetes import review
from ml_secrets.integrations.kubernetes.tls import Certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.integrations.kubernetes.settings import Settings

_LARGEST: Final = 8 << 20
_HANDSHAKE: Final = 5.0
_PATIENCE: Final = 5.0
_PORT: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\[\]]*):([0-9]{1,5})", re.ASCII)


class Webhook:
    """What is answered. `told` passes a line on to the log."""

    def __init__(self, settings: Settings, certificate: Certificate, told: Callable[[str], None]) -> None:
        self._settings = settings
        self._certificate = certificate
        self._told = told

    def admits(self, user: int | None) -> bool:  # noqa: ARG002 - whoever it is, the network and its certificate decide
        """Anybody that gets here."""
        return True

    def answer(self, asked: Asked, user: int | None) -> Reply:
        """One of the two paths. `user` None: who asks has shown no certificate, and was to show one."""
        if asked.path == "/healthz":
            return self._health(asked)
        if asked.path != "/mutate":
            return refusal(404, "there is no such path; pods are sent to /mutate")
        if user is None:
            return refusal(403, "who asks has to show a certificate of the API server's")
        if asked.method != "POST" or not (asked.header("content-type") or "").startswith("application/json"):
            return refusal(415, "an AdmissionReview in JSON is posted here")
        try:
            request = review.read(asked.body.reveal_bytes())
        except Invalid as error:
            return refusal(400, str(error))
        decided = review.decide(request, self._settings)
        self._told(decided.line)
        return json_reply(200, json.dumps(decided.document()).encode())

    def _health(self, asked: Asked) -> Reply:
        if asked.method not in {"GET", "HEAD"}:
            return refusal(405, "health is read")
        problem = self._certificate.problem
        report = {
            "state": "troubled" if problem else "fine",
            "problems": {"certificate": problem} if problem else {},
        }
        return json_reply(200, json.dumps(report).encode())


class HttpsDoor(Door):
    """A door that speaks TLS to other machines. `known_only`: who shows no certificate hears of health alone."""

    def __init__(
        self, listening: socket.socket, rules: Webhook, certificate: Certificate, *, known_only: bool
    ) -> None:
        super().__init__(listening, rules)
        self._certificate = certificate
        self._known_only = known_only
        self._counting = Lock()
        self._busy = 0

    def _receive(self, line: socket.socket) -> None:
        aside(self._places, line, lambda: self._speak(line))

    def _speak(self, line: socket.socket) -> None:
        with suppress(OSError):  # who speaks no TLS, or goes away, is none of ours
            line.settimeout(_HANDSHAKE)
            spoken = self._certificate.context().wrap_socket(line, server_side=True)
            user = None if self._known_only and not spoken.getpeercert() else 0
            converse(spoken, lambda asked: self._counted(asked, user), most=_LARGEST)

    def _counted(self, asked: Asked, user: int | None) -> Reply:
        with self._counting:
            self._busy += 1
        try:
            return self._answer(asked, user)
        finally:
            with self._counting:
                self._busy -= 1

    def finish(self) -> None:
        """Let nobody in any more, and wait for what is being answered."""
        self.close()
        ends = time.monotonic() + _PATIENCE
        while self._busy and time.monotonic() < ends:
            time.sleep(0.02)


def listening_at(address: str) -> socket.socket:
    """A socket that listens on "0.0.0.0:8443" or "[::]:8443". Raises `Invalid`."""
    found = _PORT.fullmatch(address)
    if found is None or not 0 < int(found[2]) < 1 << 16:
        raise Invalid(f"{address!r} is no address to listen at", hint="0.0.0.0:8443")
    host = found[1].strip("[]")
    try:
        return socket.create_server(
            (host, int(found[2])), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
        )
    except OSError as error:
        raise Invalid(
            f"cannot listen at {address}: {error.strerror}", hint="does another one listen there?"
        ) from None


def serve(settings: Settings, told: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. Raises `Invalid` for what keeps it from beginning."""
    if settings.cert is None or settings.key is None:
        raise Invalid("an API server speaks TLS only", hint="--tls-cert FILE --tls-key FILE")
    certificate = Certificate(settings.cert, settings.key, settings.client_ca)
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    door = HttpsDoor(
        listening_at(settings.listen),
        Webhook(settings, certificate, told),
        certificate,
        known_only=settings.client_ca is not None,
    )
    door.start()
    told(f"listening at {settings.listen}")
    signal.sigwait(ends)
    door.finish()
    told("ended")
