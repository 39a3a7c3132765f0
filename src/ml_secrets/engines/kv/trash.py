"""The trash of a mount with `trash_retention`: whoever deletes a secret's metadata can have it restored for so long.

    store   trash/<path>/./<id>     Secret, removed; an id begins with its time, the newest first
    opaque  due/<when>-<uid>        the name of such a row, in the order in which they are to be purged

No path has a segment ".", so what is removed below a name does not mix with what was removed of that name.

The name is free at once, and no list shows it any more; content stays where it is. What is due counts as gone, purged
or not; upkeep purges it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from ml_secrets.contract import Context, Help, Response
from ml_secrets.domain import version as model
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.instant import ordered, rfc3339
from ml_secrets.domain.version import Secret
from ml_secrets.engines.kv import calendar, news, pages, rows
from ml_secrets.engines.kv.engine import KV2
from ml_secrets.engines.kv.listing import Cursor, Filter, glob_of
from ml_secrets.engines.kv.pages import Page, Walk
from ml_secrets.engines.kv.rights import Rights
from ml_secrets.engines.kv.seen import Seen
from ml_secrets.errors import Conflict, NotFound, TamperFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.contract import Transaction
    from ml_secrets.contract.access import SystemAccess
    from ml_secrets.domain.mount import Mount
    from ml_secrets.registry.unit import Unit

Id = Annotated[
    str, Help("Which of the removed secrets of this name, as a scan of trash/ shows it.", name="id")
]
Limit = Annotated[int, Help("At most so many (1 to 1000).")]

_TRASH: Final = "trash/"
_DUE: Final = "due/"
_IDS: Final = "/./"
_MOST: Final = 1000
_MOST_PURGED: Final = 100
_ANY: Final = frozenset(Capability) - {Capability.DENY}
_OWN: Final = _ANY - {Capability.LIST, Capability.SCAN}
_encode = msgspec.msgpack.Encoder().encode
_secret = msgspec.msgpack.Decoder(Secret).decode


def throw(ctx: Context, path: str, secret: Secret, retention: int) -> None:
    """Take a secret from its name into the trash."""
    removed = model.remove(calendar.forget(ctx.opaque, secret), ctx.now, ctx.now + retention)
    name = f"{path}{_IDS}{ordered(ctx.now, newest_first=True)}-{secret.uid}"
    ctx.store.put(_TRASH + name, _encode(removed))
    ctx.opaque.put(_due(removed), name.encode())
    ctx.store.delete(rows.META + path)


# ── what is there ───────────────────────────────────────────────────────────────────────────────────────────────────


@KV2.scan("trash", plain=("limit",))
def scan_trash(
    ctx: Context, limit: Limit = _MOST, filter_: Filter = "", cursor: Cursor = ""
) -> Response | None:
    """List the removed secrets of the mount that can still be restored."""
    return _scan(ctx, "", limit, filter_, cursor)


@KV2.scan("trash/{path:path}", plain=("limit",))
def scan_trash_folder(
    ctx: Context, path: str, limit: Limit = _MOST, filter_: Filter = "", cursor: Cursor = ""
) -> Response | None:
    """List the removed secrets at a path and below it that can still be restored."""
    return _scan(ctx, f"{path}/", limit, filter_, cursor)


def _scan(ctx: Context, folder: str, limit: int, filter_: str, cursor: str) -> Response | None:
    rights, glob = Rights(ctx), glob_of(filter_)
    seen = Seen(ctx, rights) if rows.config(ctx.opaque).filtered_lists else None
    info: dict[str, Any] = {}

    def wanted(name: str) -> bool:
        path, _, id_ = (folder + name).rpartition(_IDS)
        if not _shown(ctx, rights, seen, path) or (glob is not None and not glob.matches(path)):
            return False
        way.charge(pages.ROW)
        secret = _find(ctx, path, id_)
        if secret is not None:
            info[name] = {"path": path, **_described(id_, secret)}
        return secret is not None

    way = Walk(ctx.store, _TRASH + folder, enter=lambda _: True)
    purpose = f"trash {folder}"
    page = pages.fill(way, pages.begin(ctx, purpose, "", cursor), wanted, min(pages.size(limit), _MOST))
    shown = {f"{info[name]['path']}/{info[name]['id']}": info[name] for name in page.names}
    return pages.answer(ctx, purpose, Page(list(shown), page.place), shown)


def _shown(ctx: Context, rights: Rights, seen: Seen | None, path: str) -> bool:
    """Who may scan sees all but what is denied; where lists are filtered, only their own."""
    place = f"{ctx.mount.path}{_TRASH}{path}"
    if seen is None:
        return rights.any(place, _ANY)
    restorable = rights.may(f"{ctx.mount.path}restore/{path}", Capability.UPDATE)
    return restorable or rights.any(place, _OWN) or (rights.any(place, _ANY) and seen.secret(path))


@KV2.read("trash/{path:path}")
def read_trash(ctx: Context, path: str) -> Response | None:
    """Show the removed secrets of a name that can still be restored, the newest first."""
    found = [_described(id_, secret) for id_, secret in _all(ctx, path)]
    return Response({"path": path, "removed": found}) if found else None


def _described(id_: str, secret: Secret) -> dict[str, Any]:
    return {
        "id": id_,
        "removed_time": rfc3339(secret.removed or 0.0),
        "purge_time": rfc3339(secret.purge_at or 0.0),
        "current_version": secret.current,
        "versions": len(secret.versions),
    }


# ── out of it ───────────────────────────────────────────────────────────────────────────────────────────────────────


@KV2.write("restore/{path:path}", plain=("id",), plain_response=("id", "versions"))
def restore(ctx: Context, path: str, id_: Id = "") -> Response:
    """Bring a removed secret back under its name, with all versions and metadata: the one that was removed last, or the one named.

    Nothing is overwritten: where the name is taken, move away what has it.
    """
    found = _one(ctx, path, id_)
    if found is None:
        raise NotFound(hint=f"nothing of that name is in the trash of {ctx.mount.path}")
    id_, secret = found
    if ctx.store.get(rows.META + path) is not None:
        raise Conflict(
            f"there is a secret at {ctx.mount.path}{path} already",
            hint="nothing is overwritten: move it away first",
        )
    _take(ctx.store, ctx.opaque, path + _IDS + id_, secret)
    secret = model.restore(secret)
    rows.keep(ctx.store, ctx.opaque, path, secret, ctx.now)
    news.tell(ctx, path, "restore", secret)
    return Response({"id": id_, "versions": len(secret.versions)})


@KV2.delete("trash/{path:path}", plain=("id",), plain_response=("purged", "more"))
def purge(ctx: Context, path: str, id_: Id = "") -> Response:
    """Purge removed secrets of a name now, for good: all, at most 100 at a time, or the one named."""
    ids = [id_] if id_ else ctx.store.list(_TRASH + path + _IDS, limit=_MOST_PURGED)
    done = 0
    for name in ids:
        secret = _row(ctx.store, path, name)
        if secret is not None:
            _purge(ctx.store, ctx.opaque, path + _IDS + name, secret)
            done += 1
    return Response({"purged": done, "more": not id_ and len(ids) == _MOST_PURGED})


def tidy(access: SystemAccess, unit: Unit, mount: Mount, limit: int) -> bool:
    """Purge what is due, about `limit` rows of it; true where more is. With a limit of 0 nothing is done."""
    store, opaque = access.store_of(unit, mount), access.opaque_of(unit, mount)
    done = 0
    for name in opaque.list(_DUE, limit=max(1, limit)):
        if name[:15] > ordered(unit.now):
            return False
        if done >= limit:
            return True
        row = (opaque.get(_DUE + name) or b"").decode()
        path, _, id_ = row.rpartition(_IDS)
        secret = _row(store, path, id_)
        if secret is None:
            raise TamperFault("a removed secret is missing from the store")
        _purge(store, opaque, row, secret)
        done += 2 + len(secret.versions)
    return bool(done)


KV2.tidy = tidy


def _all(ctx: Context, path: str) -> Iterator[tuple[str, Secret]]:
    """The removed secrets of a name that can be restored, the newest first."""
    for id_ in ctx.store.list(_TRASH + path + _IDS, limit=_MOST):
        secret = _find(ctx, path, id_)
        if secret is not None:
            yield id_, secret


def _one(ctx: Context, path: str, id_: str) -> tuple[str, Secret] | None:
    """The removed secret of that id; without one the newest."""
    if not id_:
        return next(_all(ctx, path), None)
    secret = _find(ctx, path, id_)
    return None if secret is None else (id_, secret)


def _find(ctx: Context, path: str, id_: str) -> Secret | None:
    """A removed secret; None where there is none, or it is due."""
    secret = _row(ctx.store, path, id_)
    return None if secret is None or (secret.purge_at or 0.0) <= ctx.now else secret


def _row(store: Transaction, path: str, id_: str) -> Secret | None:
    row = store.get(_TRASH + path + _IDS + id_) if "/" not in id_ else None
    return None if row is None else _secret(row)


def _take(store: Transaction, opaque: Transaction, name: str, secret: Secret) -> None:
    store.delete(_TRASH + name)
    opaque.delete(_due(secret))


def _purge(store: Transaction, opaque: Transaction, name: str, secret: Secret) -> None:
    _take(store, opaque, name, secret)
    rows.drop_content(opaque, secret, secret.versions)


def _due(secret: Secret) -> str:
    return f"{_DUE}{ordered(secret.purge_at or 0.0)}-{secret.uid}"
