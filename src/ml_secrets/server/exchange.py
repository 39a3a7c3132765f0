"""One HTTP request, answered without a network: for the embedded mode of the SDK, and for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.dialects.vault import repeats, wire
from ml_secrets.dialects.vault.batch import batch, is_batch
from ml_secrets.errors import Refusal

if TYPE_CHECKING:
    from ml_secrets.pipeline.handle import Pipeline


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
    if is_batch(request):
        return wire.write(batch(pipeline, request), request)
    return wire.write(pipeline.handle(request), request)
