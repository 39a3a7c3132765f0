"""Where an agent listens, and what it does for whom. Every request passes the guard first (guard.py), then one of

GET  /agent/v1/health         how the agent is doing
POST /agent/v1/quit           end it: where that was allowed, and for its own user
POST /agent/v1/cache-clear    forget what the proxy keeps
…    /v1/…                    the server's API (proxy.py)
GET  /secretsmanager/get      on the AWS endpoint (aws.py)
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING, Final, Protocol

from ml_secrets.agent.resident import guard
from ml_secrets.agent.resident.aws import AwsEndpoint
from ml_secrets.agent.resident.aws import refusal as aws_refusal
from ml_secrets.agent.resident.http import MOST, Asked, Reply, converse, json_reply, refusal
from ml_secrets.agent.resident.proxy import Proxy
from ml_secrets.agent.resident.sockets import loopback, remove, unix
from ml_secrets.errors import MlSecretsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ml_secrets.agent.resident.config import Aws, Config, Listener
    from ml_secrets.agent.resident.health import Health
    from ml_secrets.agent.resident.placing import Placing
    from ml_secrets.agent.source import Source
    from ml_secrets.client import Client
    from ml_secrets.client.events import Event

_AGENT: Final = "/agent/v1/"
_STRANGERS: Final = 8
_MOMENT: Final = 1.0
_MUCH: Final = 1 << 16
_TOLD: Final = b'{"errors":["you are not a user who may ask here"]}'
_STRANGER: Final = (
    b"HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
    % (len(_TOLD), _TOLD)
)


class Behind(Protocol):
    """What the doors need of the work behind them."""

    client: Client

    @property
    def source(self) -> Source: ...
    @property
    def logged_in(self) -> bool: ...
    @property
    def current(self) -> bool: ...
    @property
    def stale(self) -> bool: ...
    def health(self) -> Health: ...
    def ask_for_the_end(self) -> None: ...


class Doors:
    """All doors of one configuration. Those that another one had, the same, are taken over open."""

    def __init__(self, config: Config, work: Behind, *, before: Doors | None) -> None:
        proxy = self._proxy = Proxy(work)
        self._before = before
        self.open_doors: dict[object, Door] = {}
        self._wanted: dict[object, tuple[Callable[[], socket.socket], Rules, Path | None]] = {}
        self._aws: AwsEndpoint | None = None
        for one in config.listeners:
            self._wanted[_key(one)] = (_opener(one), ListenerRules(one, work, proxy), one.socket)
        if config.aws is not None:
            aws = config.aws
            self._aws = AwsEndpoint(aws, work, proxy)
            self._wanted["aws", aws.tcp] = (lambda: loopback(aws.tcp), AwsRules(aws, self._aws), None)

    def open(self, placing: Placing) -> None:
        """Listen. Raises what keeps a door from being opened; those that were opened are closed again then."""
        kept = {} if self._before is None else self._before.open_doors
        self._before = None
        if self._aws is not None:
            self._aws.prepare(placing)
        try:
            for key, (opener, rules, path) in self._wanted.items():
                if key in kept:
                    self.open_doors[key] = kept[key]
                else:
                    self.open_doors[key] = Door(opener(), rules, path)
                    self.open_doors[key].start()
        except (MlSecretsError, OSError):
            for key, door in self.open_doors.items():
                if key not in kept:
                    door.close()
            raise
        for key, (_, rules, _path) in self._wanted.items():
            self.open_doors[key].rules = rules

    def close(self, *, after: Doors | None) -> None:
        """Close them, but for those that `after` goes on with."""
        for key, door in self.open_doors.items():
            if after is None or after.open_doors.get(key) is not door:
                door.close()

    def heard(self, event: Event | None) -> None:
        """Something changed at the server; None: anything may have."""
        self._proxy.heard(event)


class Rules(Protocol):
    """What a door does: `admits` a user, and answers."""

    def admits(self, user: int | None) -> bool: ...
    def answer(self, asked: Asked, user: int | None) -> Reply: ...


class Door(Thread):
    """A socket that listens, and a thread for each that comes."""

    def __init__(self, listening: socket.socket, rules: Rules, path: Path | None = None) -> None:
        super().__init__(name="ml-secrets door", daemon=True)
        self._path = path
        self._inode = 0 if path is None else path.lstat().st_ino
        self._listening = listening
        self._places = BoundedSemaphore(MOST)
        self._strangers = BoundedSemaphore(_STRANGERS)
        self.rules = rules

    def run(self) -> None:
        """Let in whoever may, until it is closed."""
        while True:
            try:
                line, _ = self._listening.accept()
            except OSError:
                return
            self._receive(line)

    def _receive(self, line: socket.socket) -> None:
        """Who it is comes first: strangers take no place from those who may."""
        try:
            user = guard.peer_of(line)
        except OSError:  # gone already
            line.close()
            return
        if self.rules.admits(user):
            aside(self._places, line, lambda: converse(line, lambda asked: self._answer(asked, user)))
        else:
            aside(self._strangers, line, lambda: _turn_away(line))

    def _answer(self, asked: Asked, user: int | None) -> Reply:
        try:
            return self.rules.answer(asked, user)
        except Exception:  # noqa: BLE001 - whatever it is, a caller hears of it and a log does not: it may hold a value
            return refusal(500, "something unexpected happened; this is a fault in the agent")

    def close(self) -> None:
        """Let nobody in any more."""
        if self._path is not None:
            with suppress(MlSecretsError, OSError):  # the folder is gone, and the socket with it
                remove(self._path, self._inode)
        try:
            self._listening.shutdown(socket.SHUT_RDWR)
        finally:
            self._listening.close()


def aside(places: BoundedSemaphore, line: socket.socket, what: Callable[[], None]) -> None:
    """Do it in a thread and close the connection; at once, where there is no place."""
    if not places.acquire(blocking=False):
        line.close()
        return

    def carry_out() -> None:
        try:
            what()
        finally:
            line.close()
            places.release()

    try:
        Thread(target=carry_out, name="ml-secrets caller", daemon=True).start()
    except RuntimeError:  # the machine has no more threads just now
        line.close()
        places.release()


def _turn_away(line: socket.socket) -> None:
    """Say so, and take what comes for a moment: an answer is lost with a socket that is closed before the question is in."""
    with suppress(OSError):
        line.settimeout(_MOMENT)
        line.sendall(_STRANGER)
        line.shutdown(socket.SHUT_WR)
        line.recv(_MUCH)


class ListenerRules:
    """Those of a listener: the agent's own paths, and the proxy."""

    def __init__(self, listener: Listener, work: Behind, proxy: Proxy) -> None:
        self._listener = listener
        self._work = work
        self._proxy = proxy
        self._port = int(listener.tcp.rpartition(":")[2]) if listener.tcp else 0

    def admits(self, user: int | None) -> bool:
        """Those who were named, and who may always."""
        return guard.may_come(user, self._listener.users)

    def answer(self, asked: Asked, user: int | None) -> Reply:
        """The guard, then what was asked for."""
        if (problem := self._problem(asked)) is not None:
            return problem
        if asked.path == f"{_AGENT}health":
            return _health(asked, self._work.health())
        if asked.path.startswith(_AGENT):
            return self._own(asked, user)
        if not self._listener.proxy:
            return refusal(404, "there is no proxy at this door")
        return self._proxy.answer(asked, own_token=self._listener.own_token)

    def _problem(self, asked: Asked) -> Reply | None:
        """What keeps it out. Health tells nothing that a probe without the header should not know."""
        if self._port and guard.wrong_host(asked, self._port, self._listener.hosts):
            return refusal(403, "Host is no name of this machine")
        if guard.forwarded(asked):
            return refusal(403, "this was sent on by somebody else, or by a web page")
        if self._listener.header and not guard.says_request(asked) and asked.path != f"{_AGENT}health":
            return refusal(412, "the header X-Vault-Request: true is missing")
        return None

    def _own(self, asked: Asked, user: int | None) -> Reply:
        name = asked.path.removeprefix(_AGENT)
        if asked.method != "POST" or name not in {"quit", "cache-clear"}:
            return refusal(404, "an agent has no such path")
        if name == "cache-clear":
            self._proxy.heard(None)
            return json_reply(200, b"{}")
        if not self._listener.quit or not guard.is_ours(user):
            return refusal(403, "the agent is not ended from here")
        self._work.ask_for_the_end()
        return json_reply(200, b"{}")


class AwsRules:
    """Those of the AWS endpoint."""

    def __init__(self, aws: Aws, endpoint: AwsEndpoint) -> None:
        self._endpoint = endpoint
        self._users = aws.users
        self._port = int(aws.tcp.rpartition(":")[2])

    def admits(self, user: int | None) -> bool:
        """Those who were named, and who may always."""
        return guard.may_come(user, self._users)

    def answer(self, asked: Asked, _: int | None) -> Reply:
        """The guard, then what was asked for."""
        if guard.wrong_host(asked, self._port, ()):
            return aws_refusal(403, "AccessDeniedException", "Host is no name of this machine")
        if guard.forwarded(asked):
            return aws_refusal(400, "BadRequestException", "this was sent on by somebody else")
        return self._endpoint.answer(asked)


def _health(asked: Asked, health: Health) -> Reply:
    if asked.method not in {"GET", "HEAD"}:
        return refusal(405, "health is read")
    return json_reply(200 if health.serves else 503, json.dumps(health.report()).encode())


def _key(listener: Listener) -> object:
    return (listener.socket, listener.tcp, listener.mode, listener.owner)


def _opener(listener: Listener) -> Callable[[], socket.socket]:
    path: Path | None = listener.socket
    if path is None:
        return lambda: loopback(listener.tcp)
    return lambda: unix(path, listener.mode, listener.owner)
