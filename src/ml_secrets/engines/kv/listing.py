"""Names: one folder, or everything below one, in byte order and in pages."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from ml_secrets.contract import Context, Engine, Help, Response
from ml_secrets.contract.expand import expand
from ml_secrets.domain.glob import Glob
from ml_secrets.engines.kv import pages, rows, state
from ml_secrets.engines.kv.engine import KV1, KV2
from ml_secrets.engines.kv.pages import Walk
from ml_secrets.engines.kv.rights import Rights
from ml_secrets.engines.kv.seen import Seen
from ml_secrets.engines.kv.unversioned import PREFIX
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.contract import Transaction

After = Annotated[str, Help("Leave out all names up to and including this one, which need not exist.")]
Limit = Annotated[int, Help("At most so many names; 0 or less means all.")]
Filter = Annotated[
    str,
    Help(
        "Show only names that fit: * is any run of characters, slashes too. Names count from the folder that is listed.",
        name="filter",
    ),
]
Cursor = Annotated[str, Help("Go on where the page before ended: its `next`.")]
Depth = Annotated[
    int, Help("How many levels to go down; 0 means all. Folders below are shown as such, ending in a slash.")
]
_PAGE: Final = 1000
_PLAIN: Final = ("limit", "depth")
_DETAILED: Final = ", each with its metadata"
_MOST_DETAILED: Final = 1000


class _Asked(msgspec.Struct):
    """The fields of a request for names."""

    after: str
    limit: int
    filter_: str
    cursor: str
    depth: int = 0

    @property
    def plain(self) -> bool:
        """Nothing that other servers do not know."""
        return not (self.filter_ or self.cursor or self.depth)


def _gather(sent: dict[str, Any]) -> _Asked:
    return _Asked(**sent)


_FIELDS: Final = {"after": After, "limit": Limit, "filter_": Filter, "cursor": Cursor}
_DEFAULTS: Final = {"after": "", "limit": -1, "filter_": "", "cursor": "", "depth": 0}
_with_fields = expand("asked", _FIELDS, _gather, _DEFAULTS)
_with_depth = expand("asked", {**_FIELDS, "depth": Depth}, _gather, _DEFAULTS)


class _Names(msgspec.Struct):
    """Some names to list: of which engine, where they lie, and whether with metadata."""

    engine: Engine
    prefix: str
    detailed: bool

    def in_folder(self, ctx: Context, asked: _Asked, folder: str, purpose: str) -> Response | None:
        seen = self._seen(ctx)
        if asked.plain and seen is None:
            return self._show(ctx, folder, _names(ctx.store, self.prefix + folder, asked.after, asked.limit))
        return self._page(ctx, asked, folder, purpose, seen, depth=1)

    def below(self, ctx: Context, asked: _Asked, folder: str, purpose: str) -> Response | None:
        seen = self._seen(ctx)
        if asked.plain and seen is None:
            return self._show(ctx, folder, _below(ctx.store, self.prefix + folder, asked.after, asked.limit))
        if asked.depth < 0:
            raise Invalid("depth must be 0 or more")
        return self._page(ctx, asked, folder, purpose, seen, depth=asked.depth)

    def _seen(self, ctx: Context) -> Seen | None:
        """What filters the lists of this mount; None where they are not filtered."""
        filtered = self.engine is KV2 and rows.config(ctx.opaque).filtered_lists
        return Seen(ctx, Rights(ctx)) if filtered else None

    def _show(self, ctx: Context, folder: str, names: list[str]) -> Response | None:
        if not names:
            return None
        return Response(
            {"keys": names, "key_info": _info(ctx, folder, names)} if self.detailed else {"keys": names}
        )

    def _page(
        self, ctx: Context, asked: _Asked, folder: str, purpose: str, seen: Seen | None, *, depth: int
    ) -> Response | None:
        glob = glob_of(asked.filter_)

        def enter(inner: str) -> bool:
            return (glob is None or glob.reaches(inner)) and (seen is None or seen.could(folder + inner))

        def wanted(name: str) -> bool:
            if glob is not None and not glob.matches(name.removesuffix("/")) and not glob.matches(name):
                return False
            if seen is None:
                return True
            return (
                seen.folder(self.prefix, folder + name, way)
                if name.endswith("/")
                else seen.secret(folder + name)
            )

        way = Walk(ctx.store, self.prefix + folder, enter=enter, depth=depth)
        limit = pages.size(asked.limit)
        begin = pages.begin(ctx, purpose, asked.after, asked.cursor)
        page = pages.fill(way, begin, wanted, min(limit, _MOST_DETAILED) if self.detailed else limit)
        info = _info(ctx, folder, page.names) if self.detailed else None
        return pages.answer(ctx, purpose, page, info)


def _declare(names: _Names, template: str) -> None:
    """Declare LIST and SCAN, each of the mount's root and of a folder below it."""
    below = f"{template}/{{path:path}}".lstrip("/")
    also = _DETAILED if names.detailed else ""

    @_with_fields
    def list_root(ctx: Context, asked: _Asked) -> Response | None:
        return names.in_folder(ctx, asked, "", f"list {template}")

    @_with_fields
    def list_folder(ctx: Context, path: str, asked: _Asked) -> Response | None:
        return names.in_folder(ctx, asked, f"{path}/", f"list {template}/{path}")

    @_with_depth
    def scan_root(ctx: Context, asked: _Asked) -> Response | None:
        return names.below(ctx, asked, "", f"scan {template}")

    @_with_depth
    def scan_folder(ctx: Context, path: str, asked: _Asked) -> Response | None:
        return names.below(ctx, asked, f"{path}/", f"scan {template}/{path}")

    ends = "." if also else ". Folders end in a slash."
    for declare, path, run, words in (
        (names.engine.list, template, list_root, f"List the names at the mount's root{also}{ends}"),
        (names.engine.list, below, list_folder, f"List the names in a folder{also}{ends}"),
        (names.engine.scan, template, scan_root, f"List every secret of the mount{also}."),
        (names.engine.scan, below, scan_folder, f"List every secret below a folder{also}."),
    ):
        run.__doc__ = words
        declare(path, plain=_PLAIN)(run)


def glob_of(text: str) -> Glob | None:
    """The filter of a request; None for none."""
    return Glob(text) if text else None


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


def _info(ctx: Context, folder: str, names: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in names:
        secret = None if name.endswith("/") else rows.find(ctx.store, folder + name)
        found[name] = {} if secret is None else state.secret_shown(secret)
    return found


_declare(_Names(KV1, PREFIX, detailed=False), "")
_declare(_Names(KV2, rows.META, detailed=False), "metadata")
_declare(_Names(KV2, rows.META, detailed=True), "detailed-metadata")
