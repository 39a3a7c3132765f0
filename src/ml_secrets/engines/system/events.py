"""Changes of secrets, told as they come."""

from __future__ import annotations

from typing import Annotated

from ml_secrets.contract import Context, Help, Response, Shape, Strings
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid
from ml_secrets.registry.changes import KINDS, wanted

Kinds = Annotated[Strings, Help(f"Kinds of change, with commas between; * is all: {', '.join(KINDS)}.")]
Path = Annotated[
    str, Help("Only secrets at or below this path, which begins with their mount: secret/team-a.")
]


@ENGINE.read(
    "events/subscribe/{kinds}", plain=("path",), plain_response=("ended", "sent"), shape=Shape.STREAM
)
def subscribe(ctx: Context, kinds: Kinds, path: Path = "") -> Response:
    """Follow changes of secrets: server-sent events, for as long as the connection lasts.

    You hear of secrets that you may read, and the names of those that you may list; never a value. With `Last-Event-ID` you
    hear what came since, or that some may be missing: then read again what you hold. It ends with your token or your right.
    """
    if ctx.request.wrap_ttl is not None:
        raise Invalid("a stream of events cannot be wrapped", hint="leave out X-Vault-Wrap-TTL")
    if ctx.request.fields.keys() - {"path"}:
        raise Invalid("a stream of events takes a path, and nothing else")
    return Response(follows=wanted(kinds, path))
