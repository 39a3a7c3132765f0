"""HTTP/1.1 on a socket of this machine, for the few that ask an agent: one thread for each connection, read by h11.

h11 is strict about what a request is, and httpx brings it. The server wing's parser is not ours to import, and is made for ten
thousand connections; here there are `MOST` at most, each answer is small, and a thread can wait for the server.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import h11

from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping

    from ml_secrets.client.streams import Stream

MOST: Final = 128
_HEAD: Final = 32 << 10
_BODY: Final = 32 << 20
_PIECE: Final = 1 << 16
_IDLE: Final = 60.0
_WHOLE: Final = 30.0
_SILENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `target` as it was sent; header names in lower case, each as often as it came."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: Sensitive

    def header(self, name: str) -> str | None:
        """The only header of that name; None where there is none, or more than one."""
        found = [value for key, value in self.headers if key == name]
        return found[0] if len(found) == 1 else None

    def has(self, name: str) -> bool:
        """Is there one?"""
        return any(key == name for key, _ in self.headers)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `stream`: it goes on, and what comes is handed on."""

    status: int
    body: Sensitive
    headers: Mapping[str, str]
    stream: Stream | None = None


def json_reply(status: int, body: bytes) -> Reply:
    """A small answer in JSON."""
    return Reply(status, Sensitive(body), {"content-type": "application/json"})


def refusal(status: int, text: str) -> Reply:
    """As the server's API has it."""
    return json_reply(status, json.dumps({"errors": [text]}).encode())


class _Refused(Exception):  # noqa: N818 - a message
    """It is not read to its end."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


def converse(line: socket.socket, answer: Callable[[Asked], Reply], *, most: int = _BODY) -> None:
    """Answer requests on a connection until it ends. `most`: the bytes of a body."""
    with contextlib.suppress(OSError, h11.LocalProtocolError), line:
        talk = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD)
        while talk.our_state is h11.IDLE:
            try:
                asked = _read(line, talk, most)
            except (h11.RemoteProtocolError, _Refused) as error:
                status = error.status if isinstance(error, _Refused) else error.error_status_hint
                _say(line, talk, refusal(status, "this is no request that is taken here"))
                return
            if asked is None:
                return
            _say(line, talk, answer(asked), head=asked.method == "HEAD")
            talk.start_next_cycle()  # raises where this was the last one


def _read(line: socket.socket, talk: h11.Connection, most: int) -> Asked | None:
    """The next request; None at the end of the connection."""
    ends = time.monotonic() + _IDLE
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            if talk.they_are_waiting_for_100_continue:
                line.sendall(talk.send(h11.InformationalResponse(status_code=100, headers=[])))
            _more(line, talk, ends)
        elif isinstance(event, h11.Request):
            head, ends = event, time.monotonic() + _WHOLE
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > most:
                raise _Refused(413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return _asked(head, bytes(body))
        else:
            return None


def _more(line: socket.socket, talk: h11.Connection, ends: float) -> None:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    line.settimeout(left)
    talk.receive_data(line.recv(_PIECE))


def _asked(head: h11.Request, body: bytes) -> Asked:
    headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers)
    return Asked(head.method.decode("ascii"), head.target.decode("ascii"), headers, Sensitive(body))


def _say(line: socket.socket, talk: h11.Connection, reply: Reply, *, head: bool = False) -> None:
    """`head`: only the head is wanted."""
    line.settimeout(_SILENCE)
    pieces = _pieces(talk, reply, head=head)
    if reply.stream is None:
        pieces = iter([b"".join(pieces)])  # TCP holds a second small one back
    for piece in pieces:
        line.sendall(piece)


def _pieces(talk: h11.Connection, reply: Reply, *, head: bool) -> Iterator[bytes]:
    body = reply.body.reveal_bytes()
    headers: list[tuple[str, str]] = [*reply.headers.items()]
    if reply.stream is None:
        headers.append(("content-length", str(len(body))))
    yield _sent(talk, h11.Response(status_code=reply.status, headers=headers))
    if body and not head:
        yield _sent(talk, h11.Data(data=body))
    if reply.stream is not None:
        try:
            while (piece := reply.stream.take(_SILENCE)) is not None:
                yield _sent(talk, h11.Data(data=piece))
        finally:
            reply.stream.close()
    yield _sent(talk, h11.EndOfMessage())


def _sent(talk: h11.Connection, event: Any) -> bytes:
    return talk.send(event) or b""
