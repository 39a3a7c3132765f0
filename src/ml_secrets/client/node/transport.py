"""A client's requests: those that others on this machine may make, too, go to the process that asks for all.

Everything else goes the usual way; where that changed something, what was read before is forgotten there as well. What
broke off because that process died is asked of the next one: a login, too.
"""

from __future__ import annotations

import functools
import sys
import time
import weakref
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from ml_secrets.client.messages import Lost, Request, Response, Shared
from ml_secrets.client.node.place import place_for
from ml_secrets.client.node.reach import connected, reach
from ml_secrets.client.node.words import (
    FAULTS,
    FORGET,
    HEAD,
    Ask,
    Told,
    digest_of,
    length_of,
    packed,
    unpacked,
)
from ml_secrets.client.wire import body_of, frameless, headers_of
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ml_secrets.client.hold import Hold
    from ml_secrets.client.node.place import Place
    from ml_secrets.client.settings import Settings
    from ml_secrets.client.wire import Transport

AGAIN: Final = 30.0
"""Seconds after which that process is looked for again, when it could not be had."""
FORGET_SECONDS: Final = 2.0
_Usual = TypeVar("_Usual")
_Connection = TypeVar("_Connection")
_PIECE: Final = 1 << 20
_READS: Final = frozenset({"GET", "HEAD", "LIST"})


def shared_transport(settings: Settings, usual: Callable[[], Transport]) -> Transport:
    """The transport of a process that asks together with others; the usual one where they cannot meet."""
    place = place_for(settings)
    return usual() if place is None else SharedTransport(place, settings, usual)


class Meeting(Generic[_Usual, _Connection]):
    """What one of those who meet has: the way to the others, and the usual way, which `usual` makes."""

    def __init__(self, place: Place, settings: Settings, usual: Callable[[], _Usual]) -> None:
        self._place = place
        self._settings = settings
        self._make_usual = usual
        self._usual: _Usual | None = None
        self._idle: list[_Connection] = []
        self._not_before = 0.0

    def _the_usual(self) -> _Usual:
        if self._usual is None:
            self._usual = self._make_usual()
        return self._usual

    def _to_share(self, request: Request) -> Shared | None:
        """How others may have the answer, where they can be met just now."""
        return request.shared if time.monotonic() >= self._not_before else None

    def _leave_alone(self) -> None:
        """Look for that process again only after a while."""
        self._not_before = time.monotonic() + AGAIN


class SharedTransport(Meeting["Transport", "socket.socket"]):
    """Threads may share it."""

    def __init__(self, place: Place, settings: Settings, usual: Callable[[], Transport]) -> None:
        super().__init__(place, settings, usual)
        self._end = weakref.finalize(self, _hang_up, self._idle)

    def send(self, request: Request) -> Response:
        """The server's answer, whoever asked for it. Raises `NotSent` or `Lost`."""
        shared = self._to_share(request)
        if shared is not None:
            answer = self._asked(request, shared)
            if answer is not None:
                return answer
        if request.shared is not None and request.shared.among_us:
            return Response(204, {}, Sensitive(b""))  # nobody is there to hear it
        try:
            return self._the_usual().send(request)
        finally:
            if changes(request):
                self._forget(request.path)

    def _asked(self, request: Request, shared: Shared) -> Response | None:
        """The answer; None where nobody asks for all."""
        handled, ends = sys.exception(), time.monotonic() + request.timeout
        try:
            told = self._ask(request, shared, ends)
        except TimeoutError:
            self._leave_alone()  # the server is slow, or that process hangs
            failure = too_slow(self._settings.address)
        except BaseException as error:  # noqa: BLE001 - it goes on, without its frames
            raise frameless(error, handled)  # noqa: B904 - it is the same error
        else:
            return None if told is None else response_of(told)
        raise frameless(failure, handled)

    def _ask(self, request: Request, shared: Shared, ends: float) -> Told | None:
        while time.monotonic() < ends:
            opened = self._opened(shared, ends)
            if opened is None:
                self._leave_alone()
                say_alone()
                return None
            ask = ask_of(request, shared, self._settings.namespace, ends)
            told = self._exchange(opened, ask, ends, shared.hold)
            if told is not None:
                return told
        raise TimeoutError

    def _opened(self, shared: Shared, ends: float) -> socket.socket | None:
        """A connection: that of a share in a lease, one that is idle, or a new one; None where none can be had."""
        if shared.hold is not None and (held := shared.hold.taken()) is not None:
            return held
        if shared.hold is None and self._idle:
            return self._idle.pop()
        return reach(self._place, self._settings, ends - time.monotonic())

    def _exchange(
        self, opened: socket.socket, ask: Ask, ends: float, hold: Hold | None = None
    ) -> Told | None:
        """What is said to it; None where it is gone."""
        kept = False
        try:
            told = _exchanged(opened, ask, ends)
            kept = True
        except TimeoutError:
            raise
        except (OSError, EOFError):
            return None
        finally:
            if not kept:
                opened.close()
            elif hold is None:
                self._idle.append(opened)
            else:
                hold.keep(opened)
        return told

    def _forget(self, path: str) -> None:
        """Something was changed: what was read before is not to be told any more. Where nobody serves, nothing is kept."""
        try:
            opened = self._idle.pop() if self._idle else connected(self._place)
            if opened is not None:
                self._exchange(opened, forgetting(path), time.monotonic() + FORGET_SECONDS)
        except TimeoutError:
            self._leave_alone()  # it hangs: ask nothing of it

    def close(self) -> None:
        """Close the connections."""
        _hang_up(self._idle)
        if self._usual is not None:
            self._usual.close()


def _hang_up(idle: list[socket.socket]) -> None:
    while idle:
        idle.pop().close()


def ask_of(request: Request, shared: Shared, namespace: str, ends: float) -> Ask:
    """The request as it is told to the process that asks for all."""
    return Ask(
        shared.kind,
        request.method,
        request.path,
        dict(request.query),
        headers_of(request, namespace),
        body_of(request),
        timeout=max(ends - time.monotonic(), 0.001),
        fresh=shared.fresh,
        stale=shared.stale,
        refused="" if shared.refused is None else digest_of(shared.refused.reveal()),
        lease=shared.lease,
        held=b"" if shared.held is None else shared.held.reveal_bytes(),
        left=shared.left,
    )


@functools.cache
def say_alone() -> None:
    """Once for each process: it asks for itself, which costs the server more, and nothing else."""
    import logging  # noqa: PLC0415 - only when there is something to say

    logging.getLogger("ml_secrets").warning(
        "no process could be had that asks for all of this job: each asks alone"
    )


def changes(request: Request) -> bool:
    """May the server know something else after it?"""
    return request.shared is None and request.method not in _READS


def forgetting(path: str) -> Ask:
    """That it did so is told like this."""
    return Ask(FORGET, path=path)


def too_slow(address: str) -> Lost:
    """What is raised when time is up."""
    return Lost(f"{address} did not answer in time", hint="raise the timeout, or look at the server's load")


def response_of(told: Told) -> Response:
    """The answer, as the usual way gives it. Raises `NotSent`, `Lost` or `Invalid`."""
    if told.fault:
        raise FAULTS[told.fault](told.text, hint=told.hint)
    return Response(told.status, told.headers, Sensitive(told.body), age=told.age)


def _exchanged(opened: socket.socket, ask: Ask, ends: float) -> Told:
    _bound(opened, ends)
    opened.sendall(packed(ask))
    length = length_of(_received(opened, HEAD.size, ends))
    told: Told = unpacked(_received(opened, length, ends), Told)
    return told


def _received(opened: socket.socket, length: int, ends: float) -> bytes:
    pieces = bytearray()
    while len(pieces) < length:
        _bound(opened, ends)
        piece = opened.recv(min(length - len(pieces), _PIECE))
        if not piece:
            raise EOFError
        pieces += piece
    return bytes(pieces)


def _bound(opened: socket.socket, ends: float) -> None:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    opened.settimeout(left)
