"""Plain reads over HTTP, answered again (pipeline/recall.py has the rules).

A read is plain when nothing but its token and its target has a say in the answer. What the rest of this dialect would
refuse is never plain: it goes the whole way, and is refused there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from ml_secrets.dialects.vault import wire
from ml_secrets.dialects.vault.request_ids import request_id_bytes
from ml_secrets.pipeline.recall import PlainRead

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml_secrets.pipeline.handle import Pipeline
    from ml_secrets.pipeline.outcome import Outcome
    from ml_secrets.pipeline.recall import Recalled

    Answer = tuple[wire.HttpResponse | None, bytes]
    Frame = tuple[tuple[tuple[bytes, bytes], ...], bytes, bytes, bytes]

_LONGEST: Final = 8192
"""Bytes of headers in a plain read."""
_WEIGHTY: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"if-none-match",
        b"transfer-encoding",
        b"x-vault-inline-auth-path",
        b"x-vault-namespace",
        b"x-vault-wrap-format",
        b"x-vault-wrap-ttl",
    }
)
"""Headers that change what a GET means. Who sends one goes the whole way."""
_shared: Final = lru_cache(256)(bytes)
"""One object for equal bytes: most answers have the same around their data."""
_NOT_PLAIN: Final[Answer] = (None, b"")


def name_of_path(pipeline: Pipeline, token: bytes, path: str) -> bytes:
    """The same for a path of the API that came as text; empty for one that a GET would spell otherwise."""
    if not token or not path.isascii() or "%" in path or path != path.strip("/"):
        return b""
    return pipeline.name(token, wire.PREFIX + path.encode())


def answers(pipeline: Pipeline, requests: Iterable[wire.HttpRequest]) -> list[Answer]:
    """Answers to the plain reads among these that were answered before, recorded together just ahead of them.

    None sends a request the whole way, under that `Request.name`. They are held in memory together, so bound their number.
    """
    reads = [_plain(pipeline, http) for http in requests]
    pipeline.recall(filter(None, reads))
    return [_NOT_PLAIN if read is None else _answer(read) for read in reads]


def answer(pipeline: Pipeline, http: wire.HttpRequest) -> Answer:
    """The same for one that came alone."""
    return answers(pipeline, (http,))[0]


def _plain(pipeline: Pipeline, http: wire.HttpRequest) -> PlainRead | None:
    """A plain read; None for every other request, odd ones included."""
    if http.method != "GET" or http.query:
        return None
    headers = http.headers
    found = dict(headers)
    token = found.get(b"x-vault-token")
    if (
        not token
        or not found.get(b"host")
        or len(found) != len(headers)
        or not _WEIGHTY.isdisjoint(found)
        or len(b"".join(found)) + len(b"".join(found.values())) > _LONGEST
    ):
        return None
    address, port = http.client
    name = pipeline.name(token, http.raw_path)
    return PlainRead(name, token.decode("latin-1"), request_id_bytes(), address, port)


def _answer(read: PlainRead) -> Answer:
    recalled, data = read.recalled, read.data
    if recalled is None or data is None:
        return None, read.name
    headers, start, middle, end = recalled.frame or _framed(recalled)
    body = b"".join((start, read.request_id, middle, data, end))
    return wire.HttpResponse(200, headers, body), read.name


def _framed(recalled: Recalled) -> Frame:
    recalled.frame = frame = _frame(recalled.outcome)
    return frame


def _frame(outcome: Outcome) -> Frame:
    """Headers, and what the envelope has before the request's id, between it and the data, and after these."""
    assert outcome.response is not None
    response = replace(outcome.response, data={})
    body = wire.envelope(replace(outcome, request_id="?", response=response))
    start, _, rest = body.partition(b"?")
    middle, _, end = rest.partition(b'"data":{}')
    headers = (*wire.HEADERS, wire.JSON, (b"etag", b'"%b"' % response.etag.encode()))
    return headers, _shared(start), _shared(middle + b'"data":'), _shared(end)
