"""`move/<path>` and `copy/<path>`: a secret with all its versions and metadata, elsewhere, in one transaction.

Rights (docs/decisions/0014): `update` on the path of the request is the right to move or copy, and
- move: `delete` on the old metadata/; copy: `read` on the old data/
- `create` on the new data/ and metadata/; what is there already is never overwritten
- nobody sees more of the secret at its new place than at its old one (sight.py)

A moved secret keeps its uid, and so the opaque ids of its versions; a copy is another object. Within a mount a move
touches no content. A folder goes in pages: each is done whole or not at all.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec.structs import replace

from ml_secrets.contract import Context, Help, Response
from ml_secrets.domain.advice import refusal
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.mount import Mount
from ml_secrets.domain.path import canonical_path
from ml_secrets.engines.kv import news, rows
from ml_secrets.engines.kv.engine import KV2
from ml_secrets.engines.kv.listing import walk
from ml_secrets.engines.kv.rights import Rights
from ml_secrets.engines.kv.sight import check_no_gain
from ml_secrets.errors import Conflict, Invalid, NotFound, TooLarge

if TYPE_CHECKING:
    from ml_secrets.contract import Transaction
    from ml_secrets.domain.version import Secret

To = Annotated[
    str,
    Help(
        "The new name in its mount, without data/. With `recursive`: the new folder; empty is the mount's root."
    ),
]
ToMount = Annotated[str, Help("The KV version 2 mount to put it in; empty is this one.", name="mount")]
Recursive = Annotated[bool, Help("Take everything below this path as a folder, not the secret at it.")]
AfterName = Annotated[str, Help("With `recursive`: go on after this name, the `next` of the page before.")]
PageSize = Annotated[int, Help("With `recursive`: at most so many secrets at a time (1 to 1000).")]

MOST_SECRETS: Final = 1000
MOST_BYTES: Final = 64 << 20
"""The content that one request may copy."""
_ROW: Final = 1 << 10
"""What a version counts beside its content."""
_PLAIN: Final = ("to", "mount", "recursive", "after", "limit")
_PLAIN_RESPONSE: Final = ("secrets", "versions", "next")


class Side(msgspec.Struct):
    """A mount, and its part of the store."""

    mount: Mount
    store: Transaction
    opaque: Transaction


class Job(msgspec.Struct):
    """One request's worth of moving or copying. `left`: bytes of content that it may still copy."""

    ctx: Context
    rights: Rights
    source: Side
    target: Side
    moves: bool
    left: int = MOST_BYTES


def _declare(verb: str, help_: str, *, moves: bool) -> None:
    """Declare moving or copying: the same fields and steps, under a path and rights of its own."""

    def run(
        ctx: Context,
        path: str,
        to: To,
        mount: ToMount = "",
        *,
        recursive: Recursive = False,
        after: AfterName = "",
        limit: PageSize = MOST_SECRETS,
    ) -> Response:
        job = _job(ctx, mount, moves=moves)
        return _folder(job, path, to, after, limit) if recursive else _single(job, path, to)

    run.__doc__ = help_
    KV2.write(f"{verb}/{{path:path}}", plain=_PLAIN, plain_response=_PLAIN_RESPONSE)(run)


_declare(
    "move",
    """Move a secret, with all its versions and metadata, to another name or another KV version 2 mount.

    Nothing is overwritten. Besides `update` here it takes `delete` on the old metadata path and `create` on the new data and
    metadata paths; and whoever could see more of the secret at its new place than at its old one is refused. No right
    to read is needed.
    """,
    moves=True,
)
_declare(
    "copy",
    """Copy a secret, with all its versions and metadata, to another name or another KV version 2 mount.

    Nothing is overwritten. Besides `update` here it takes `read` on the old data path and `create` on the new data and
    metadata paths; and whoever could see more of the copy than of the secret is refused.
    """,
    moves=False,
)


def _job(ctx: Context, mount: str, *, moves: bool) -> Job:
    rights = Rights(ctx)
    source = Side(ctx.mount, ctx.store, ctx.opaque)
    return Job(ctx, rights, source, _target(ctx, rights, mount.strip("/"), source), moves)


def _target(ctx: Context, rights: Rights, mount: str, source: Side) -> Side:
    path = f"{mount}/"
    if not mount or path == source.mount.path:
        return source
    if not rights.reaches(path):
        raise refusal(f"your policies reach nothing in {path}")
    found = ctx.access.mounts.table(ctx.unit).by_path.get(path)
    if found is None or ctx.access.engine(found) is not KV2:
        raise Invalid(
            f"there is no KV version 2 mount at {path}", hint="secrets move and are copied among such"
        )
    return Side(found, ctx.access.store_of(ctx.unit, found), ctx.access.opaque_of(ctx.unit, found))


# ── one ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _single(job: Job, path: str, to: str) -> Response:
    versions = _carry(job, path, to.strip("/"))
    if versions is None:
        raise TooLarge(
            f"the secret's versions hold more than {MOST_BYTES >> 20} MiB", hint="destroy old versions first"
        )
    _tell(job, path, to.strip("/"))
    return Response({"secrets": 1, "versions": versions})


def _carry(job: Job, path: str, to: str) -> int | None:
    """Move or copy one secret; how many versions it has. None, and nothing done, where its content is too much for now."""
    _check_name(job, to)
    _check_rights(job, path, to)
    secret = rows.find(job.source.store, path)
    if secret is None:
        raise NotFound(hint=f"there is no secret at {job.source.mount.path}{path}")
    if job.target.store.get(rows.META + to) is not None:
        raise Conflict(
            f"there is a secret at {job.target.mount.path}{to} already",
            hint="nothing is overwritten: choose another name",
        )
    if job.moves and job.source is job.target:
        rows.rename(job.target.store, job.target.opaque, (path, to), secret, job.ctx.now)
        return len(secret.versions)
    contents = _contents(job, secret)
    if contents is None:
        return None
    made = replace(secret, noted={}, uid=secret.uid if job.moves else job.ctx.random(16).hex())
    for number, content in contents.items():
        rows.put_content(job.target.opaque, made, number, content)
    rows.keep(job.target.store, job.target.opaque, to, made, job.ctx.now)
    if job.moves:
        rows.forget(job.source.store, job.source.opaque, path, secret)
    return len(secret.versions)


def _tell(job: Job, path: str, to: str) -> None:
    if job.moves:
        news.tell(job.ctx, path, "remove", mount=job.source.mount)
    news.tell(job.ctx, to, "write", rows.find(job.target.store, to), job.target.mount)


def _contents(job: Job, secret: Secret) -> dict[int, bytes] | None:
    """The content of every version that is not destroyed; None where that is more than the request may still copy."""
    found: dict[int, bytes] = {}
    left = job.left
    for number, version in secret.versions.items():
        if not version.destroyed:
            found[number] = rows.content(job.source.opaque, secret, number)
            left -= len(found[number]) + _ROW
            if left < 0:
                return None
    job.left = left
    return found


def _check_name(job: Job, to: str) -> None:
    """Raise `Invalid` for a name that no request could reach again."""
    if not to:
        raise Invalid("the new name is empty", hint='send {"to": "its/new/name"}')
    canonical_path(f"{job.target.mount.path}detailed-metadata/{to}")


def _check_rights(job: Job, path: str, to: str) -> None:
    old, new = job.source.mount.path, job.target.mount.path
    if job.moves:
        job.rights.demand(f"{old}metadata/{path}", Capability.DELETE)
    else:
        job.rights.demand(f"{old}data/{path}", Capability.READ)
    job.rights.demand(f"{new}data/{to}", Capability.CREATE)
    job.rights.demand(f"{new}metadata/{to}", Capability.CREATE)
    check_no_gain(job.rights, (old, path), (new, to))


# ── a folder ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _folder(job: Job, path: str, to: str, after: str, limit: int) -> Response:
    """One page: all of its secrets, or a refusal and none. Who asks may see the names, and so which one is refused."""
    if not 1 <= limit <= MOST_SECRETS:
        raise Invalid(f"limit must lie between 1 and {MOST_SECRETS}")
    old = job.source.mount.path
    job.rights.demand(f"{old}metadata/{path}", Capability.SCAN)
    names = list(islice(walk(job.source.store, f"{rows.META}{path}/", after), limit + 1))
    if not names and not after:
        raise NotFound(hint=f"there is nothing below {old}{path}/")
    done = versions = 0
    verb = "move" if job.moves else "copy"
    for name in names[:limit]:
        job.rights.demand(f"{old}{verb}/{path}/{name}", Capability.UPDATE)
        new = _below(job, path, to.strip("/"), name)
        carried = _carry(job, f"{path}/{name}", new)
        if carried is None:
            break
        _tell(job, f"{path}/{name}", new)
        done, versions = done + 1, versions + carried
    if names and not done:
        raise TooLarge(
            f"the versions of {path}/{names[0]} hold more than {MOST_BYTES >> 20} MiB",
            hint="destroy old versions first",
        )
    answer: dict[str, Any] = {
        "secrets": done,
        "versions": versions,
        "next": names[done - 1] if done < len(names) else "",
    }
    return Response(answer)


def _below(job: Job, path: str, to: str, name: str) -> str:
    new = f"{to}/{name}" if to else name
    if job.source is job.target and new.startswith(f"{path}/"):
        raise Invalid("a folder cannot be put into itself", hint="choose a folder outside it")
    return new
