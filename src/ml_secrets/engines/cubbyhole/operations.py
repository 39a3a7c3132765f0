"""Read, write, list and delete in the caller's own cubbyhole.

    store   <key of the token>/<path>       the fields as one JSON object, each as it was sent

The key is always the caller's: no path leads into another cubbyhole. When a token ends, the pipeline clears `<key>/`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ml_secrets.contract import Context, Response
from ml_secrets.contract.names import named
from ml_secrets.domain.value import fields_as_json
from ml_secrets.engines.cubbyhole.engine import ENGINE
from ml_secrets.errors import Invalid

_PATH: Final = "{path:path}"
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _own(ctx: Context) -> str:
    caller = ctx.caller
    if caller is None or caller.entry.kind == "batch":
        raise Invalid("cubbyhole operations are only supported by service tokens")
    return f"{caller.key}/"


def there(ctx: Context, captures: dict[str, str]) -> bool:
    """Whether a write would be an update."""
    return ctx.store.get(_own(ctx) + captures["path"]) is not None


@ENGINE.read(_PATH)
def read(ctx: Context, path: str) -> Response | None:
    """Read a secret of this token's own."""
    row = ctx.store.get(_own(ctx) + path)
    return None if row is None else Response(_fields(row))


@ENGINE.write(_PATH, exists=there, short=True)
def write(ctx: Context, path: str) -> None:
    """Write a secret of this token's own: the fields of the request replace all it held."""
    ctx.store.put(_own(ctx) + path, fields_as_json(ctx.request.fields))


@ENGINE.delete(_PATH)
def delete(ctx: Context, path: str) -> None:
    """Delete a secret of this token's own."""
    ctx.store.delete(_own(ctx) + path)


@ENGINE.list("")
def list_root(ctx: Context) -> Response | None:
    """List the names in this token's cubbyhole. Folders end in a slash."""
    return named(ctx.store.list(_own(ctx)))


@ENGINE.list(_PATH)
def list_folder(ctx: Context, path: str) -> Response | None:
    """List the names in a folder of this token's cubbyhole. Folders end in a slash."""
    return named(ctx.store.list(f"{_own(ctx)}{path}/"))
