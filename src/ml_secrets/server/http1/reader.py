"""The requests in what a client sends; no socket here.

1. A head is collected until it is whole, within limits, and then read by llhttp in one go.
2. Its body follows in parts: as long as its length says, or as its chunks do.
3. What comes behind a whole request stays unread until the next one is asked for.
4. What llhttp refuses ends it all: nothing behind it can be trusted to begin where it seems to.

llhttp knows the methods of its registry only. LIST and SCAN, which Vault has of its own, are shown to it as SEARCH; a
SEARCH that a client sends stays one, which no route takes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from ml_secrets.dialects.vault.wire import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.server.http1.call import Call

    Begin = Callable[["Head"], Call]

TARGET_LIMIT: Final = 64 * 1024
HEAD_LIMIT: Final = TARGET_LIMIT + 32 * 1024
MOST_HEADERS: Final = 100
_VERSIONS: Final = (b" HTTP/1.1", b" HTTP/1.0")
_AUTHORITY: Final = re.compile(rb"[^:/?#]+://[^/?#]*")
_OURS: Final = {b"LIST ": b"SEARCH", b"SCAN ": b"SEARCH"}


class Malformed(Exception):  # noqa: N818 - an answer, not an error of ours
    """What came is no request, or none that is taken: the status to answer with, and a text for people."""

    def __init__(self, status: int = 400, text: str = "malformed request") -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Head(NamedTuple):
    """A request without its body. `keeps`: by its version and headers, another may follow on the connection."""

    http: HttpRequest
    version: str
    keeps: bool
    whole: bool


class Reader:
    """Bytes in, requests out, one at a time. `begin` makes a call of each head; the call is told of its body."""

    def __init__(self, client: tuple[str, int], begin: Begin) -> None:
        self._client = client
        self._begin = begin
        self._parser = HttpRequestParser(self)
        self._unread = b""
        self._call: Call | None = None
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_head = False
        self._keeps = False
        self._left: int | None = None
        """Bytes of the body that are still to come; None where chunks say it."""
        self._counts = False
        """The body is cut off here, by its length alone: the parser has nothing to do with it."""
        self._more = False
        """Another request has begun in the parser."""
        self._framing = 0
        """By how much what frames the body is longer than the body."""

    @property
    def held(self) -> int:
        """Bytes that came and wait for somebody."""
        return len(self._unread) + (0 if self._call is None else self._call.held)

    @property
    def amid(self) -> bool:
        """A part of a head has come."""
        return self._call is None and bool(self._unread)

    def feed(self, data: bytes) -> None:
        """Bytes came. They go to the body of the current request; what is none of it waits for `next`."""
        call = self._call
        if call is None or call.whole:
            self._unread = self._unread + data if self._unread else data
        else:
            self._read_body(call, data)

    def next(self) -> Call | None:
        """The next request, with what came of its body; None until its head is whole. The one before it is over. Raises `Malformed`."""
        self._call = None
        data = self._unread
        if data[:1] in (b"\r", b"\n"):  # some clients end a body with a line of its own
            data = self._unread = data.lstrip(b"\r\n")
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 or end > HEAD_LIMIT:
            _check_part(data)
            return None
        head, self._unread = (data[:end], data[end:]) if end < len(data) else (data, b"")
        self._call = call = self._begin(self._read_head(head))
        if self._unread and not call.whole:
            rest, self._unread = self._unread, b""
            self._read_body(call, rest)
        return call

    # ── the head ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read_head(self, head: bytes) -> Head:
        method, shown = b"", _OURS.get(head[:5])
        if shown is not None:
            method, head = head[:4], shown + head[4:]
        self._target, self._headers, self._in_head = b"", [], True
        self._counts = self._more = False
        parser = self._parser
        try:
            parser.feed_data(head)
        except HttpParserUpgrade:
            self._decline_upgrade()
        except HttpParserError:
            raise Malformed from None
        if not head.partition(b"\r\n")[0].endswith(_VERSIONS):  # llhttp reads RTSP and ICE as well
            raise Malformed(505, "no version of HTTP but 1.0 and 1.1 is spoken here")
        if len(self._headers) > MOST_HEADERS:
            raise Malformed(431, "there are too many headers")
        whole = not self._in_head
        if not whole:
            self._in_head, self._framing, self._left = False, 0, _length(self._headers)
        raw_path, _, query = _origin(self._target).partition(b"?")
        method = method or parser.get_method()
        http = HttpRequest(method.decode(), raw_path, query, self._headers, self._client)
        return Head(http, parser.get_http_version(), self._keeps, whole)

    def _decline_upgrade(self) -> None:
        """No other protocol is spoken here: it is a request of HTTP/1.1, and may have a body, though llhttp reads no further."""
        self._parser = HttpRequestParser(self)
        if any(name == b"transfer-encoding" for name, _ in self._headers):
            raise Malformed(400, "no chunks with an offer to change the protocol")
        self._in_head = self._counts = bool(_length(self._headers))

    # ── the body ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read_body(self, call: Call, data: bytes) -> None:
        if self._left is not None:
            if len(data) > self._left:
                data, self._unread = data[: self._left], data[self._left :]
            self._left -= len(data)
        if self._counts:
            self._take(call, data)
        else:
            self._parse(call, data)

    def _take(self, call: Call, data: bytes) -> None:
        call.came(data)
        if not self._left:
            call.ends()

    def _parse(self, call: Call, data: bytes) -> None:
        self._framing += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError:
            call.keeps = False
            if not call.whole:
                call.leaves()
            return
        if call.whole and self._more:  # the next head began behind the last chunk, and the parser has it
            call.keeps = False
        elif self._framing > HEAD_LIMIT:
            call.leaves()

    # ── llhttp calls ────────────────────────────────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        """A request begins; or what came behind the last chunk of one."""
        self._more = not self._in_head

    def on_url(self, target: bytes) -> None:
        """The target of a request, or a part of it."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which nobody needs."""
        if self._in_head:
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """The end of a head; or of the trailers behind a body."""
        if self._in_head:
            self._keeps = self._parser.should_keep_alive()

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        if self._call is not None and not self._call.whole:
            self._framing -= len(part) * 2
            self._call.came(part)

    def on_message_complete(self) -> None:
        """The end of a request: one without a body, while its head is read."""
        if self._in_head:
            self._in_head = False
        elif self._call is not None and not self._call.whole:
            self._call.ends()


def _check_part(data: bytes) -> None:
    """Half a head. What cannot become one is refused at once, so that a client of another protocol is not left waiting."""
    if len(data) > HEAD_LIMIT:
        if data.find(b"\r\n", 0, TARGET_LIMIT) < 0:
            raise Malformed(414, "the path is too long")
        raise Malformed(431, "the headers are too large")
    if data and (not data[:1].isalpha() or b"\n\n" in data):
        raise Malformed


def _origin(target: bytes) -> bytes:
    """The target in its usual form. A client that takes us for a proxy names the host in it too."""
    if target[:1] == b"/" or b"://" not in target:
        return target
    found = _AUTHORITY.match(target)
    rest = b"" if found is None else target[found.end() :]
    return rest if rest[:1] == b"/" else b"/" + rest


def _length(headers: list[tuple[bytes, bytes]]) -> int | None:
    """The length of a body that llhttp has found well-formed; None for chunks."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return None
