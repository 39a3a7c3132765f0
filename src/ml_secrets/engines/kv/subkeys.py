"""`subkeys/<path>`: the shape of a secret, without its values."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ml_secrets.contract import Context, Help, Response
from ml_secrets.engines.kv import rows, state
from ml_secrets.engines.kv.data import Number, readable
from ml_secrets.engines.kv.engine import KV2

Depth = Annotated[int, Help("How many levels to show; 0 means all.")]


@KV2.read("subkeys/{path:path}", plain=("version", "depth"))
def read_subkeys(ctx: Context, path: str, version: Number = 0, depth: Depth = 0) -> Response | None:
    """Show which keys a secret has, with null in place of every value."""
    found = readable(ctx, path, version, absent="subkeys")
    if found is None:
        return None
    secret, number = found
    value = msgspec.json.decode(rows.json_content(ctx.opaque, secret, number))
    return Response({"subkeys": state.subkeys(value, depth), "metadata": state.version_shown(secret, number)})
