"""Names: one folder, or everything below one, in byte order and in pages."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

from ml_secrets.contract import Context, Help, Response
from ml_secrets.engines.kv import rows, state
from ml_secrets.engines.kv.engine import KV1, KV2
from ml_secrets.engines.kv.unversioned import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ml_secrets.contract import Engine, Transaction

After = Annotated[str, Help("Leave out all names up to and including this one, which need not exist.")]
Limit = Annotated[int, Help("At most so many names; 0 or less means all.")]
_PAGE: Final = 1000
_PLAIN: Final = ("limit",)


_DETAILED: Final = ", each with its metadata"


def _declare(
    engine: Engine,
    template: str,
    prefix: str,
    answer: Callable[[Context, str, list[str]], Response],
    also: str = "",
) -> None:
    """Declare LIST and SCAN, each of the mount's root and of a folder below it. `prefix` is where the names lie."""
    below = f"{template}/{{path:path}}".lstrip("/")

    def list_root(ctx: Context, after: After = "", limit: Limit = -1) -> Response | None:
        return told(ctx, "", _names(ctx.store, prefix, after, limit))

    def list_folder(ctx: Context, path: str, after: After = "", limit: Limit = -1) -> Response | None:
        return told(ctx, f"{path}/", _names(ctx.store, f"{prefix}{path}/", after, limit))

    def scan_root(ctx: Context, after: After = "", limit: Limit = -1) -> Response | None:
        return told(ctx, "", _below(ctx.store, prefix, after, limit))

    def scan_folder(ctx: Context, path: str, after: After = "", limit: Limit = -1) -> Response | None:
        return told(ctx, f"{path}/", _below(ctx.store, f"{prefix}{path}/", after, limit))

    def told(ctx: Context, folder: str, names: list[str]) -> Response | None:
        return answer(ctx, folder, names) if names else None

    ends = "." if also else ". Folders end in a slash."
    for declare, path, run, words in (
        (engine.list, template, list_root, f"List the names at the mount's root{also}{ends}"),
        (engine.list, below, list_folder, f"List the names in a folder{also}{ends}"),
        (engine.scan, template, scan_root, f"List every secret of the mount{also}."),
        (engine.scan, below, scan_folder, f"List every secret below a folder{also}."),
    ):
        run.__doc__ = words
        declare(path, plain=_PLAIN)(run)


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


def _keys(_ctx: Context, _folder: str, names: list[str]) -> Response:
    return Response({"keys": names})


def _detailed(ctx: Context, folder: str, names: list[str]) -> Response:
    found: dict[str, Any] = {}
    for name in names:
        secret = None if name.endswith("/") else rows.find(ctx.store, folder + name)
        found[name] = {} if secret is None else state.secret_shown(secret)
    return Response({"keys": names, "key_info": found})


_declare(KV1, "", PREFIX, _keys)
_declare(KV2, "metadata", rows.META, _keys)
_declare(KV2, "detailed-metadata", rows.META, _detailed, _DETAILED)
