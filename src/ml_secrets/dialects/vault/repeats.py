"""Plain reads over HTTP, answered again (pipeline/recall.py has the rules).

A read is plain when nothing but its token and its target has a say in the answer. What the rest of this dialect would
refuse is never plain: it goes the whole way, and is refused there.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from ml_secrets.dialects.vault import wire
from ml_secrets.dialects.vault.request_ids import request_id

if TYPE_CHECKING:
    from ml_secrets.pipeline.handle import Pipeline
    from ml_secrets.pipeline.outcome import Outcome
    from ml_secrets.pipeline.recall import Repeat

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


def _token_of(http: wire.HttpRequest) -> bytes:
    """The token of a plain read; empty for every other request, odd ones included."""
    found = dict(http.headers)
    if (
        http.method != "GET"
        or http.query
        or len(found) != len(http.headers)
        or not _WEIGHTY.isdisjoint(found)
    ):
        return b""
    token = found.get(b"x-vault-token")
    if not token or not found.get(b"host") or sum(map(len, chain.from_iterable(http.headers))) > _LONGEST:
        return b""
    return token


def name_of_path(pipeline: Pipeline, token: bytes, path: str) -> bytes:
    """The same for a path of the API that came as text; empty for one that a GET would spell otherwise."""
    if not token or not path.isascii() or "%" in path or path != path.strip("/"):
        return b""
    return pipeline.name(token, wire.PREFIX + path.encode())


def answer(pipeline: Pipeline, http: wire.HttpRequest) -> tuple[wire.HttpResponse | None, bytes]:
    """The answer to a plain read that was answered before; None sends it the whole way, under that `Request.name`."""
    token = _token_of(http)
    if not token:
        return None, b""
    name = pipeline.name(token, http.raw_path)
    repeat = pipeline.recall(name, request_id(), token.decode("latin-1"), *http.client)
    return None if repeat is None else _written(repeat), name


def _written(repeat: Repeat) -> wire.HttpResponse:
    recalled = repeat.recalled
    if recalled.frame is None:
        recalled.frame = _frame(recalled.outcome)
    headers, start, middle, end = recalled.frame
    return wire.HttpResponse(
        200, headers, b"".join((start, repeat.request_id.encode(), middle, repeat.data, end))
    )


def _frame(outcome: Outcome) -> tuple[tuple[tuple[bytes, bytes], ...], bytes, bytes, bytes]:
    """Headers, and what the envelope has before the request's id, between it and the data, and after these."""
    assert outcome.response is not None
    response = replace(outcome.response, data={})
    body = wire.envelope(replace(outcome, request_id="?", response=response))
    start, _, rest = body.partition(b"?")
    middle, _, end = rest.partition(b'"data":{}')
    headers = (*wire.HEADERS, wire.JSON, (b"etag", b'"%b"' % response.etag.encode()))
    return headers, start, middle + b'"data":', end
