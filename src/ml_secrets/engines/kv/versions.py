"""`delete/`, `undelete/` and `destroy/`: what happens to single versions of a secret."""

from __future__ import annotations

import re
from typing import Annotated, Final

from ml_secrets.contract import Context, Help, Strings
from ml_secrets.domain import version as model
from ml_secrets.engines.kv import news, rows, state
from ml_secrets.engines.kv.engine import KV2
from ml_secrets.errors import Invalid

Versions = Annotated[Strings, Help("Version numbers.")]
_NUMBER: Final = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_NONE: Final = Strings(())
_PLAIN: Final = ("versions",)


@KV2.write("delete/{path:path}", plain=_PLAIN)
def delete_versions(ctx: Context, path: str, versions: Versions = _NONE) -> None:
    """Soft-delete versions of a secret. Undelete brings them back."""
    numbers = _numbers(versions, "No version number provided")
    secret = rows.find(ctx.store, path)
    if secret is not None:
        secret = model.delete(secret, numbers, ctx.now)
        rows.keep(ctx.store, ctx.opaque, path, secret, ctx.now)
        news.tell(ctx, path, "delete", secret)


@KV2.write("undelete/{path:path}", plain=_PLAIN)
def undelete_versions(ctx: Context, path: str, versions: Versions = _NONE) -> None:
    """Bring soft-deleted versions of a secret back."""
    numbers = _numbers(versions, "No version number provided")
    secret = rows.find(ctx.store, path)
    if secret is not None:
        deleted = state.dies(secret, rows.config(ctx.opaque), ctx.now)
        secret = model.undelete(secret, numbers, deleted)
        rows.keep(ctx.store, ctx.opaque, path, secret, ctx.now)
        news.tell(ctx, path, "undelete", secret)


@KV2.write("destroy/{path:path}", plain=_PLAIN)
def destroy_versions(ctx: Context, path: str, versions: Versions = _NONE) -> None:
    """Destroy versions of a secret: their data is gone for good, their numbers stay taken."""
    numbers = _numbers(versions, "no version number provided")
    secret = rows.find(ctx.store, path)
    if secret is not None:
        secret, gone = model.destroy(secret, numbers)
        rows.drop_content(ctx.opaque, secret, gone)
        rows.keep(ctx.store, ctx.opaque, path, secret, ctx.now)
        news.tell(ctx, path, "destroy", secret)


def _numbers(versions: Strings, missing: str) -> tuple[int, ...]:
    if not versions:
        raise Invalid(missing, hint='send {"versions": [1, 2]}')
    if not all(_NUMBER.fullmatch(text) for text in versions):
        raise Invalid("versions must be whole numbers")
    return tuple(int(text) for text in versions)
