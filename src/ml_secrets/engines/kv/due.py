"""`due`: which secrets expire or are to be rotated soon, the most urgent first. Never a value.

A secret is shown to whom its metadata would be, without conditions: the dates are part of it. What a request may look at
is bounded, as in a search; the next page goes on at a sealed cursor, since its place may be a secret that is not theirs to see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from ml_secrets.contract import Context, Help, Response, Seconds
from ml_secrets.domain import dates
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.instant import ordered
from ml_secrets.engines.kv import calendar, pages, rows, state
from ml_secrets.engines.kv.engine import KV2
from ml_secrets.engines.kv.listing import Cursor
from ml_secrets.engines.kv.pages import Page, Walk
from ml_secrets.engines.kv.rights import Rights

if TYPE_CHECKING:
    from ml_secrets.domain.version import Secret

Within = Annotated[Seconds, Help("How far to look ahead; 0 shows only what is overdue.")]
Limit = Annotated[int, Help("At most so many secrets (1 to 1000).")]
_MONTH: Final = Seconds(30 * 86_400)
_MOST: Final = 1000
_NOTES: Final = ("owner", "contact")
"""Custom metadata that is shown beside the dates, where a secret has it."""
_PURPOSE: Final = "due"


@KV2.read("due", plain=("within", "limit"))
def read_due(
    ctx: Context, within: Within = _MONTH, limit: Limit = 100, cursor: Cursor = ""
) -> Response | None:
    """List the secrets that expire or are to be rotated within a time, and those that are overdue, by date.

    Only those whose metadata the caller may read.
    """
    rights, found = Rights(ctx), dict[str, tuple[str, dict[str, Any]]]()

    def wanted(name: str) -> bool:
        way.charge(pages.ROW)
        path = calendar.entry(ctx.opaque, name).path
        if not rights.holds(f"{ctx.mount.path}metadata/{path}", Capability.READ):
            return False
        way.charge(pages.ROW)
        secret = rows.find(ctx.store, path)
        if secret is None or not _earliest(secret, name, ctx.now):
            return False
        found[name] = path, _shown(secret, ctx.now)
        return True

    way = Walk(ctx.opaque, calendar.FOLDER, enter=lambda _: True)
    begin = pages.begin(ctx, _PURPOSE, "", cursor)
    end = ordered(ctx.now + within) + calendar.AFTER_ALL
    page = pages.fill(way, begin, wanted, min(pages.size(limit), _MOST), end=end)
    shown = dict(found[name] for name in page.names)
    return pages.answer(ctx, _PURPOSE, Page(list(shown), page.place), shown)


def _earliest(secret: Secret, name: str, now: float) -> bool:
    """The row is the first of the secret's dates: a secret is shown once."""
    earliest = dates.first(dates.in_force(secret, now))
    return earliest is not None and calendar.name_of(secret, *earliest) == name


def _shown(secret: Secret, now: float) -> dict[str, Any]:
    earliest = dates.first(dates.in_force(secret, now))
    notes: dict[str, Any] = {
        name: secret.custom_metadata[name] for name in _NOTES if name in secret.custom_metadata
    }
    return {
        **state.dates_shown(secret),
        "overdue": earliest is not None and earliest[1] <= now,
        "current_version": secret.current,
        **notes,
    }
