"""`search/<folder>`: which secrets have a name, a field or custom metadata like this. Values are never looked at.

Nobody learns more by searching than by asking for each secret in turn, and a search takes a right of its own:

- a name is compared if the caller may do something with the secret, or could list the folder it lies in
  (where the mount's lists are filtered: only the former)
- custom metadata, if they may read it, or the data beside which it is shown, without conditions
- names of fields, if they may read the data or the subkeys, without conditions; those of the current version, if it is live

A folder out of their reach is not entered. What a request may look at is bounded; the cursor from which the next goes on
is sealed, since its place may be a name that is not theirs to see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from ml_secrets.contract import Context, Help, Response, Strings
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.glob import Glob
from ml_secrets.domain.version import Secret, State
from ml_secrets.engines.kv import pages, rows
from ml_secrets.engines.kv.engine import KV2
from ml_secrets.engines.kv.listing import Cursor
from ml_secrets.engines.kv.pages import Walk
from ml_secrets.engines.kv.rights import Rights
from ml_secrets.engines.kv.seen import Seen
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Query = Annotated[
    str,
    Help(
        "What to look for: with *, which stands for any run of characters, the whole text; else a part of it, in any case."
    ),
]
In = Annotated[Strings, Help("Where: name, keys (names of fields), metadata (custom metadata).", name="in")]
Limit = Annotated[int, Help("At most so many secrets (1 to 1000).")]

_PLACES: Final = ("name", "keys", "metadata")
_ALL: Final = Strings(_PLACES)
_MOST: Final = 1000
_LISTS: Final = frozenset({Capability.LIST, Capability.SCAN})
_BYTES: Final = 1 << 10
"""Of content that cost as much as looking at one name."""


@KV2.read("search", plain=("in", "limit"))
def search_mount(
    ctx: Context, query: Query, in_: In = _ALL, limit: Limit = 100, cursor: Cursor = ""
) -> Response | None:
    """Search the mount by names, field names and custom metadata, within what the caller may list or read."""
    return _search(ctx, "", query, in_, limit, cursor)


@KV2.read("search/{path:path}", plain=("in", "limit"))
def search_folder(
    ctx: Context, path: str, query: Query, in_: In = _ALL, limit: Limit = 100, cursor: Cursor = ""
) -> Response | None:
    """Search below a folder by names, field names and custom metadata, within what the caller may list or read."""
    return _search(ctx, f"{path}/", query, in_, limit, cursor)


def _search(
    ctx: Context, folder: str, query: str, places: tuple[str, ...], limit: int, cursor: str
) -> Response | None:
    search = Search(ctx, folder, _test(query), _checked(places))
    purpose = f"search {folder}"
    page = pages.fill(
        search.walk,
        pages.begin(ctx, purpose, "", cursor),
        search.wanted,
        min(pages.size(limit), _MOST),
    )
    found = {folder + name: {"matched": search.matched[name]} for name in page.names}
    page.names = list(found)
    return pages.answer(ctx, purpose, page, found)


def _checked(places: tuple[str, ...]) -> tuple[str, ...]:
    if not places or not set(places) <= set(_PLACES):
        raise Invalid("in names places to look", hint=f"some of {', '.join(_PLACES)}")
    return places


def _test(query: str) -> Callable[[str], bool]:
    if not query:
        raise Invalid("the query is empty", hint="to list everything: SCAN metadata/")
    glob = Glob(query)
    if "*" in query:
        return glob.matches
    part = query.casefold()
    return lambda text: part in text.casefold()


class Search:
    """One request's search. `matched`: name below the folder -> the places where it matched."""

    def __init__(
        self, ctx: Context, folder: str, fits: Callable[[str], bool], places: tuple[str, ...]
    ) -> None:
        self._ctx = ctx
        self._folder = folder
        self._fits = fits
        self._places = places
        self._mount = ctx.mount.path
        self._rights = Rights(ctx)
        self._seen = Seen(ctx, self._rights)
        self._filtered = rows.config(ctx.opaque).filtered_lists
        self.matched: dict[str, list[str]] = {}
        self.walk = Walk(ctx.store, rows.META + folder, enter=self._enter)

    def wanted(self, name: str) -> bool:
        """The secret matches somewhere that the caller may see."""
        path = self._folder + name
        found = []
        if "name" in self._places and self._names(path) and self._fits(path):
            found.append("name")
        reads = self._reads(path)
        if "metadata" in self._places and (reads or self._holds("metadata/", path)):
            found += self._in_metadata(path)
        if "keys" in self._places and (reads or self._holds("subkeys/", path)):
            found += self._in_keys(path)
        if found:
            self.matched[name] = found
        return bool(found)

    # ── rights ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _enter(self, folder: str) -> bool:
        path = self._folder + folder
        return (
            self._seen.could(path)
            or self._rights.reaches(f"{self._mount}subkeys/{path}", frozenset({Capability.READ}))
            or (not self._filtered and (self._listed(path) or self._lists_below(path)))
        )

    def _names(self, path: str) -> bool:
        return self._seen.secret(path) or (not self._filtered and self._listed(path))

    def _listed(self, path: str) -> bool:
        """The caller could list the folder that this name lies in, or scan one further up."""
        folder = path.rstrip("/").rpartition("/")[0]
        if self._rights.any(f"{self._mount}metadata/{folder}".rstrip("/"), _LISTS):
            return True
        while folder:
            folder = folder.rpartition("/")[0]
            if self._rights.may(f"{self._mount}metadata/{folder}".rstrip("/"), Capability.SCAN):
                return True
        return False

    def _lists_below(self, folder: str) -> bool:
        return self._rights.reaches(f"{self._mount}metadata/{folder}", _LISTS)

    def _reads(self, path: str) -> bool:
        return self._holds("data/", path)

    def _holds(self, part: str, path: str) -> bool:
        return self._rights.holds(f"{self._mount}{part}{path}", Capability.READ)

    # ── what is looked at ───────────────────────────────────────────────────────────────────────────────────────────

    def _in_metadata(self, path: str) -> Iterable[str]:
        secret = self._find(path)
        notes = {} if secret is None else secret.custom_metadata
        texts = (text for key, value in notes.items() for text in (key, value, f"{key}={value}"))
        return ["metadata"] if any(map(self._fits, texts)) else []

    def _in_keys(self, path: str) -> Iterable[str]:
        secret = self._find(path)
        current = None if secret is None else secret.versions.get(secret.current)
        if secret is None or current is None or current.state(self._ctx.now) is not State.ENABLED:
            return []
        content = rows.json_content(self._ctx.opaque, secret, secret.current)
        self.walk.charge(pages.ROW + len(content) // _BYTES)
        return ["keys"] if any(map(self._fits, _fields(msgspec.json.decode(content)))) else []

    def _find(self, path: str) -> Secret | None:
        self.walk.charge(pages.ROW)
        return rows.find(self._ctx.store, path)


def _fields(value: Any, above: str = "") -> Iterator[str]:
    """Names of fields, with those around them: "db", "db.password"."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield above + key
            yield from _fields(inner, f"{above}{key}.")
