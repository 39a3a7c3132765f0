"""KV version 1: a path holds one map of fields, and a write replaces it.

    store   secret/<path>           the fields as one JSON object, each as it was sent

`ttl` (or `lease`) among the fields is only a hint to readers: nothing expires here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.contract import Context, Response
from ml_secrets.domain.duration import parse_duration
from ml_secrets.domain.value import fields_as_json, merge_patch
from ml_secrets.engines.kv.engine import KV1
from ml_secrets.errors import Invalid, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "secret/"
_PATH: Final = "{path:path}"
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def there(ctx: Context, captures: dict[str, str]) -> bool:
    """Whether a write would be an update."""
    return ctx.store.get(PREFIX + captures["path"]) is not None


@KV1.read(_PATH)
def read_fields(ctx: Context, path: str) -> Response | None:
    """Read a secret: its fields as they were written."""
    row = ctx.store.get(PREFIX + path)
    if row is None:
        return None
    fields = _fields(row)
    return Response(fields, lease_duration=_lease(ctx, fields))


@KV1.write(_PATH, exists=there, short=True)
def write_fields(ctx: Context, path: str) -> None:
    """Write a secret: the fields of the request replace all it held. A field `ttl` tells readers when to come back."""
    ctx.store.put(PREFIX + path, fields_as_json(ctx.request.fields))


@KV1.patch(_PATH)
def patch_fields(ctx: Context, path: str) -> None:
    """Change some fields of a secret (JSON merge patch): null removes one, what is left out stays as it is.

    Vault and OpenBao have this for version 2 only.
    """
    patch = fields_as_json(ctx.request.fields)
    row = ctx.store.get(PREFIX + path)
    if row is None:
        raise NotFound
    ctx.store.put(PREFIX + path, fields_as_json(_fields(merge_patch(row, patch))))


@KV1.delete(_PATH)
def delete_fields(ctx: Context, path: str) -> None:
    """Delete a secret for good."""
    ctx.store.delete(PREFIX + path)


def _lease(ctx: Context, fields: Mapping[str, msgspec.Raw]) -> int:
    """Seconds after which a reader had better read again: the secret's own field, else the mount's default."""
    default, maximum = ctx.access.mount_ttls(ctx.mount)
    for name in ("ttl", "lease"):
        if name in fields:
            try:
                return min(parse_duration(msgspec.json.decode(fields[name])), maximum)
            except Invalid:
                continue
    return default
