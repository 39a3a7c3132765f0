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
    import ssl
    from collections.abc import Callable

    from ml_secrets.integrations.kubernetes.settings import Settings

_LARGEST: Final = 4 << 20  # a cluster takes no object of more than 3 MiB
_HANDSHAKE: Final = 5.0
_PATIENCE: Final = 5.0
_ROOM: Final = 1.0
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
    """A door that speaks TLS to other machines. `known_only`: who shows no certificate hears of health alone.

    Anybody in a cluster may hold connections open. Where all places are taken, whoever has waited longest without a question goes.
    """

    def __init__(
        self, listening: socket.socket, rules: Webhook, certificate: Certificate, *, known_only: bool
    ) -> None:
        super().__init__(listening, rules)
        self._certificate = certificate
        self._known_only = known_only
        self._alone = Lock()
        self._lines: dict[socket.socket, bool] = {}
        """Those that are open: is one being answered? The one that has been so for longest is the first."""

    def _receive(self, line: socket.socket) -> None:
        if not self._has_room(0):
            self._send_one_away()
            self._has_room(_ROOM)
        aside(self._places, line, lambda: self._speak(line))

    def _has_room(self, seconds: float) -> bool:
        found = self._places.acquire(timeout=seconds)
        if found:
            self._places.release()  # nobody but this thread takes one
        return found

    def _send_one_away(self) -> None:
        with self._alone:
            oldest = next((line for line, answered in self._lines.items() if not answered), None)
        if oldest is not None:
            with suppress(OSError):  # gone by itself
                socket.socket.shutdown(oldest, socket.SHUT_RDWR)

    def _speak(self, line: socket.socket) -> None:
        with suppress(OSError):  # who speaks no TLS, or goes away, is none of ours
            line.settimeout(_HANDSHAKE)
            context = self._certificate.context()
            with context.wrap_socket(line, server_side=True, do_handshake_on_connect=False) as spoken:
                self._mark(spoken, answered=False)
                try:
                    self._converse(spoken)
                finally:
                    with self._alone:
                        del self._lines[spoken]

    def _converse(self, line: ssl.SSLSocket) -> None:
        line.do_handshake()
        user = None if self._known_only and not line.getpeercert() else 0
        converse(line, lambda asked: self._marked(line, asked, user), most=_LARGEST)

    def _marked(self, line: socket.socket, asked: Asked, user: int | None) -> Reply:
        self._mark(line, answered=True)
        try:
            return self._answer(asked, user)
        finally:
            self._mark(line, answered=False)

    def _mark(self, line: socket.socket, *, answered: bool) -> None:
        with self._alone:
            self._lines.pop(line, None)
            self._lines[line] = answered

    def _is_answering(self) -> bool:
        with self._alone:
            return any(self._lines.values())

    def finish(self) -> None:
        """Let nobody in any more, and wait for what is being answered."""
        self.close()
        ends = time.monotonic() + _PATIENCE
        while self._is_answering() and time.monotonic() < ends:
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
