"""The agent's token as files, for programs that bring no login of their own. Written anew whenever there is another token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml_secrets.agent.resident.config import Sink
    from ml_secrets.agent.resident.placing import Placing
    from ml_secrets.client import Client


def write_token(client: Client, sinks: Iterable[Sink], placing: Placing) -> None:
    """Write the token of `client` to each sink, wrapped where that was asked for."""
    token = client.session.token
    if token is not None:
        placing.write((sink.place, _content(client, token, sink)) for sink in sinks)


def _content(client: Client, token: Sensitive, sink: Sink) -> Sensitive:
    if not sink.wrap_ttl:
        return token
    wrapped = client.write("sys/wrapping/wrap", {"token": token}, wrap_ttl=sink.wrap_ttl)
    return Sensitive(json.dumps(wrapped.wrap_info))
