"""Many reads in one HTTP request: `POST /v1/sys/batch {"paths": ["secret/data/a", ...]}`.

Each path goes through the whole pipeline as a READ of its own: authorised, counted, audited and answered by itself, under
the request id "<batch id>-<n>". The batch itself needs no right, because it gives none; but it needs a live token, so
that strangers cannot make thousands of requests of one. The answer keeps the order:

    {"data": {"results": [{"path": ..., "status": 200, "data": {...}}, {"path": ..., "status": 403, "errors": [...]}]}}

What comes after `MOST_BYTES` of results is not read (413).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from ml_secrets.contract.operation import Verb
from ml_secrets.contract.response import Response
from ml_secrets.dialects.vault.faults import status_of, texts_of
from ml_secrets.dialects.vault.repeats import name_of_path
from ml_secrets.domain.path import request_path
from ml_secrets.errors import Invalid, Refusal, TooLarge, Unauthenticated
from ml_secrets.pipeline.outcome import Outcome
from ml_secrets.pipeline.recall import PlainRead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.contract.request import Request
    from ml_secrets.pipeline.handle import Pipeline

PATH: Final = "sys/batch"
MOST: Final = 10_000
MOST_BYTES: Final = 32 * 1024 * 1024
_AT_ONCE: Final = 50
"""So many reads of a batch are recorded with one write; they are held in memory together."""
_encode = msgspec.json.Encoder().encode


def is_batch(request: Request) -> bool:
    """True for the request that this module answers."""
    return request.path == PATH and request.verb is Verb.WRITE


def batch(pipeline: Pipeline, request: Request) -> Outcome:
    """All reads of a batch. A path that cannot be read has its own error; only a malformed batch is refused whole."""
    try:
        paths = _paths(request)
        if not pipeline.look.serves(request):
            raise Unauthenticated("permission denied", hint="a batch needs a token that is live: log in")
    except Refusal as error:
        return pipeline.reject(request, error)
    results, size = list[msgspec.Raw](), 0
    reads = [_Read(request, path, number) for number, path in enumerate(paths, 1)]
    for start in range(0, len(reads), _AT_ONCE):
        for result in _results(pipeline, reads[start : start + _AT_ONCE], room=MOST_BYTES - size):
            results.append(msgspec.Raw(result))
            size += len(result)
    return Outcome(request.id, Response({"results": results}), verb=Verb.READ, mount_kind="system")


class _Read(NamedTuple):
    """One read of a batch."""

    batch: Request
    path: str
    number: int

    @property
    def id(self) -> str:
        return f"{self.batch.id}-{self.number}"


def _results(pipeline: Pipeline, reads: list[_Read], *, room: int) -> Iterator[bytes]:
    """The results of some reads, in order; what was answered before is answered again, recorded together."""
    plain = [_plain(pipeline, read) for read in reads]
    if room >= 0:
        pipeline.recall_patiently(plain)
    for read, again in zip(reads, plain, strict=True):
        if again.data is not None:
            result = _again(read.path, again, again.data)
        elif room < 0:
            result = _result(read.path, _left_out(read))
        else:
            result = _result(read.path, _answer(pipeline, read, again.name))
        room -= len(result)
        yield result


def _plain(pipeline: Pipeline, read: _Read) -> PlainRead:
    request, token = read.batch, read.batch.token or ""
    name = name_of_path(pipeline, token.encode("latin-1"), read.path)
    return PlainRead(name, token, read.id.encode(), request.remote_address, request.remote_port)


def _paths(request: Request) -> list[str]:
    raw = request.fields.get("paths")
    try:
        paths = msgspec.json.decode(raw or b"", type=list[str])
    except ValueError:  # msgspec's errors, and bytes that are no UTF-8
        raise Invalid(
            "'paths' must be a list of API paths", hint='send {"paths": ["secret/data/openai", ...]}'
        ) from None
    if len(paths) > MOST:
        raise Invalid(f"a batch reads at most {MOST} paths", hint="send several batches")
    return paths


def _answer(pipeline: Pipeline, read: _Read, name: bytes) -> Outcome:
    one = replace(read.batch, id=read.id, verb=Verb.READ, path="", fields={}, wrap_ttl=None, name=name)
    try:
        one.path, folder = request_path(read.path.strip("/").encode(errors="replace").replace(b"%", b"%25"))
        if folder:
            raise Invalid("the path must not end in '/'")
    except Refusal as error:
        return pipeline.reject(one, error)
    return pipeline.handle(one)


def _left_out(read: _Read) -> Outcome:
    return Outcome(
        read.id, error=TooLarge("the batch's answer is too large", hint="read the rest in another batch")
    )


def _again(path: str, read: PlainRead, data: bytes) -> bytes:
    response = read.recalled.outcome.response if read.recalled is not None else None
    beside = b""
    if response is not None and response.etag:
        beside = b',"etag":"\\"%b\\""' % response.etag.encode()
    if response is not None and response.warnings:
        beside += b',"warnings":%b' % _encode(response.warnings)
    return b'{"path":%b,"status":200,"data":%b%b}' % (_encode(path), data, beside)


def _result(path: str, outcome: Outcome) -> bytes:
    return _encode({"path": path, **_shown(outcome)})


def _shown(outcome: Outcome) -> dict[str, Any]:
    error, response = outcome.error, outcome.response
    if error is None:
        read: dict[str, Any] = {"status": 200, "data": None if response is None else response.data}
        if response is not None and response.etag:
            read["etag"] = f'"{response.etag}"'
        if response is not None and response.warnings:
            read["warnings"] = response.warnings
        return read
    shown: dict[str, Any] = {"status": status_of(error), "errors": texts_of(error)}
    if error.hint:
        shown["hint"] = error.hint
    if isinstance(error, Refusal) and error.data is not None:
        shown["data"] = error.data
    return shown
