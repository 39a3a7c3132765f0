"""Names: one folder, or everything below one, in byte order and in pages."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

from ml_secrets.contract import Context, Help, Response
from ml_secrets.engines.kv import rows, state
from ml_secrets.engines.kv.engine import KV1, KV2
from ml_secrets.engines.kv.unversioned import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.contract import Transaction

After = Annotated[str, Help("Leave out all names up to and including this one, which need not exist.")]
Limit = Annotated[int, Help("At most so many names; 0 or less means all.")]
_PAGE: Final = 1000
_PLAIN: Final = ("limit",)


@KV1.list("", plain=_PLAIN)
def list_fields_root(ctx: Context, after: After = "", limit: Limit = -1) -> Response | None:
    """List the names at the mount's root. Folders end in a slash."""
    return _keys(_names(ctx.store, PREFIX, after, limit))


@KV1.list("{path:path}", plain=_PLAIN)
def list_fields(ctx: Context, path: str, after: After = "", limit: Limit = -1) -> Response | None:
    """List the names in a folder. Folders end in a slash."""
    return _keys(_names(ctx.store, f"{PREFIX}{path}/", after, limit))


@KV1.scan("", plain=_PLAIN)
def scan_fields_root(ctx: Context, after: After = "", limit: Limit = -1) -> Response | None:
    """List every secret of the mount."""
    return _keys(_below(ctx.store, PREFIX, after, limit))


@KV1.scan("{path:path}", plain=_PLAIN)
def scan_fields(ctx: Context, path: str, after: After = "", limit: Limit = -1) -> Response | None:
    """List every secret below a folder."""
    return _keys(_below(ctx.store, f"{PREFIX}{path}/", after, limit))


@KV2.list("metadata", plain=_PLAIN)
def list_root(ctx: Context, after: After = "", limit: Limit = -1) -> Response | None:
    """List the names at the mount's root. Folders end in a slash."""
    return _keys(_names(ctx.store, rows.META, after, limit))


@KV2.list("metadata/{path:path}", plain=_PLAIN)
def list_folder(ctx: Context, path: str, after: After = "", limit: Limit = -1) -> Response | None:
    """List the names in a folder. Folders end in a slash."""
    return _keys(_names(ctx.store, f"{rows.META}{path}/", after, limit))


@KV2.scan("metadata", plain=_PLAIN)
def scan_root(ctx: Context, after: After = "", limit: Limit = -1) -> Response | None:
    """List every secret of the mount."""
    return _keys(_below(ctx.store, rows.META, after, limit))


@KV2.scan("metadata/{path:path}", plain=_PLAIN)
def scan_folder(ctx: Context, path: str, after: After = "", limit: Limit = -1) -> Response | None:
    """List every secret below a folder."""
    return _keys(_below(ctx.store, f"{rows.META}{path}/", after, limit))


@KV2.list("detailed-metadata", plain=_PLAIN)
def list_root_detailed(ctx: Context, after: After = "", limit: Limit = -1) -> Response | None:
    """List the names at the mount's root, each with its metadata."""
    return _detailed(ctx, "", _names(ctx.store, rows.META, after, limit))


@KV2.list("detailed-metadata/{path:path}", plain=_PLAIN)
def list_folder_detailed(ctx: Context, path: str, after: After = "", limit: Limit = -1) -> Response | None:
    """List the names in a folder, each with its metadata."""
    return _detailed(ctx, f"{path}/", _names(ctx.store, f"{rows.META}{path}/", after, limit))


@KV2.scan("detailed-metadata", plain=_PLAIN)
def scan_root_detailed(ctx: Context, after: After = "", limit: Limit = -1) -> Response | None:
    """List every secret of the mount, each with its metadata."""
    return _detailed(ctx, "", _below(ctx.store, rows.META, after, limit))


@KV2.scan("detailed-metadata/{path:path}", plain=_PLAIN)
def scan_folder_detailed(ctx: Context, path: str, after: After = "", limit: Limit = -1) -> Response | None:
    """List every secret below a folder, each with its metadata."""
    return _detailed(ctx, f"{path}/", _below(ctx.store, f"{rows.META}{path}/", after, limit))


def walk(store: Transaction, folder: str, after: str = "") -> Iterator[str]:
    """Every name below `folder` ("" or ending in a slash) that comes after `after`, in byte order. Few in memory at once."""
    first, slash, rest = after.partition("/")
    if slash:
        yield from (f"{first}/{name}" for name in walk(store, f"{folder}{first}/", rest))
    last = first + slash
    while names := store.list(folder, after=last, limit=_PAGE):
        for name in names:
            if name.endswith("/"):
                yield from (name + inner for inner in walk(store, folder + name))
            else:
                yield name
        last = names[-1]


def _names(store: Transaction, folder: str, after: str, limit: int) -> list[str]:
    return store.list(folder, after=after, limit=limit if limit > 0 else -1)


def _below(store: Transaction, folder: str, after: str, limit: int) -> list[str]:
    return list(islice(walk(store, folder, after), limit if limit > 0 else None))


def _keys(names: list[str]) -> Response | None:
    return Response({"keys": names}) if names else None


def _detailed(ctx: Context, folder: str, names: list[str]) -> Response | None:
    if not names:
        return None
    found: dict[str, Any] = {}
    for name in names:
        secret = None if name.endswith("/") else rows.find(ctx.store, folder + name)
        found[name] = {} if secret is None else state.secret_shown(secret)
    return Response({"keys": names, "key_info": found})
