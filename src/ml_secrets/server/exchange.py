"""One HTTP request, answered without a network: for the embedded mode of the SDK, and for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.dialects.vault import repeats, wire
from ml_secrets.dialects.vault.batch import batch, is_batch
from ml_secrets.errors import Refusal
from ml_secrets.pipeline.inline import enter

if TYPE_CHECKING:
    from ml_secrets.contract.request import Request
    from ml_secrets.pipeline.handle import Pipeline
    from ml_secrets.pipeline.outcome import Outcome


def exchange(pipeline: Pipeline, http: wire.HttpRequest) -> wire.HttpResponse:
    """The same answer that the network would bring."""
    again, name = repeats.answer(pipeline, http)
    if again is not None:
        return again
    request = wire.blank(http)
    request.name = name
    try:
        wire.read(http, request)
    except Refusal as error:
        return wire.write(pipeline.reject(request, error), request)
    return wire.write(_outcome(pipeline, request), request)


def _outcome(pipeline: Pipeline, request: Request) -> Outcome:
    if request.login is not None and not pipeline.look.open_to_all(request):
        refused = enter(request, pipeline.handle(request.login))
        if refused is not None:
            return refused
    return batch(pipeline, request) if is_batch(request) else pipeline.handle(request)
