"""Reading an audit log: who did what, when, from where, and whether they were let. Pure: lines are an argument.

Understands the records of this server and those of Vault and OpenBao. A request and its response are two lines with one
id; here they are one `Row`. Lines that are no record are not passed over: they become rows that say so.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Outcome = Literal["done", "denied", "failed", "unfinished", "unreadable"]
_SHORT: Final = len("hmac-sha256:") + 12
_TEST: Final = "sys/audit/test"
"""The path in the record that a device writes when it is enabled: no request."""
_MOST_WAITING: Final = 10_000
_decode = msgspec.json.Decoder().decode


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `line` is the number of its last line in the log.

    who: display name, else the start of the token's hash, else "anonymous". identities: all that `Filter.who` may name.
    outcome: done; denied (no right, or no known token); failed (an error); unfinished (no response is recorded: the server
    stopped in between, or the log ends); unreadable (the line is no record).
    """

    line: int
    time: str = ""
    who: str = ""
    operation: str = ""
    path: str = ""
    address: str = ""
    outcome: Outcome = "unreadable"
    error: str = ""
    reason: str = ""
    id: str = ""
    identities: frozenset[str] = frozenset()

    @property
    def allowed(self) -> bool:
        """They were let, whether or not it then worked."""
        return self.outcome in ("done", "failed", "unfinished")


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows to show. None and "" mean: any. Times are seconds since 1970, `since` included and `until` not."""

    since: float | None = None
    until: float | None = None
    path: str = ""
    who: str = ""
    allowed: bool | None = None

    def admits(self, row: Row) -> bool:
        """Whether the row is to be shown. Unreadable lines always are."""
        if row.outcome == "unreadable":
            return True
        if self.allowed is not None and row.allowed is not self.allowed:
            return False
        if not row.path.startswith(self.path) or (self.who and not _names(row, self.who)):
            return False
        if self.since is None and self.until is None:
            return True
        moment = seconds(row.time)
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


class Tally(msgspec.Struct, kw_only=True):
    """How often somebody did one thing to one path. `addresses`: from where, sorted. Times are the first and last request's."""

    who: str
    operation: str
    path: str
    times: int = 0
    denied: int = 0
    failed: int = 0
    addresses: list[str] = msgspec.field(default_factory=list)
    first: str = ""
    last: str = ""


def rows(lines: Iterable[bytes]) -> Iterator[Row]:
    """The log's requests, in the order in which they ended; those without a response come last."""
    waiting: dict[str, Row] = {}
    for number, line in enumerate(lines, 1):
        record = _record(line)
        if record is None:
            yield Row(line=number, error="this line is no record of an audit log")
        elif record["type"] == "request":
            row = _row(number, record, None)
            if row.path == _TEST and not row.address:
                continue
            if row.id in waiting:
                yield waiting.pop(row.id)
            waiting[row.id] = row
            if len(waiting) > _MOST_WAITING:
                yield waiting.pop(next(iter(waiting)))
        elif record["type"] == "response":
            yield _row(number, record, waiting.pop(_text(_part(record, "request"), "id"), None))
    yield from waiting.values()


def tally(found: Iterable[Row]) -> list[Tally]:
    """Who did what to which path, and how often; most often first. Unreadable lines are left out."""
    tallies: dict[tuple[str, str, str], Tally] = {}
    for row in found:
        if row.outcome != "unreadable":
            key = (row.who, row.operation, row.path)
            _count(tallies.setdefault(key, Tally(who=row.who, operation=row.operation, path=row.path)), row)
    return sorted(tallies.values(), key=lambda one: (-one.times, one.path, one.who, one.operation))


def seconds(time: str) -> float:
    """RFC 3339 to seconds since 1970; 0 for what is no time."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return 0.0


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = _decode(line)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("type"), str) else None


def _row(number: int, record: dict[str, Any], asked: Row | None) -> Row:
    auth, request = _part(record, "auth"), _part(record, "request")
    who, identities = _identity(auth, request)
    error = _text(record, "error")
    return Row(
        line=number,
        time=asked.time if asked is not None else _text(record, "time"),
        who=asked.who if asked is not None and who == "anonymous" else who,
        operation=_text(request, "operation"),
        path=_text(request, "path"),
        address=_text(request, "remote_address"),
        outcome=_outcome(record, auth, error),
        error=error,
        reason=_text(record, "reason"),
        id=_text(request, "id"),
        identities=identities if asked is None else identities | asked.identities,
    )


def _outcome(record: dict[str, Any], auth: dict[str, Any], error: str) -> Outcome:
    if record["type"] == "request" and not error:
        return "unfinished"
    if not error:
        return "done"
    allowed = _part(auth, "policy_results").get("allowed")
    unknown = allowed is None and error.strip().endswith("permission denied")
    return "denied" if allowed is False or unknown else "failed"


def _identity(auth: dict[str, Any], request: dict[str, Any]) -> tuple[str, frozenset[str]]:
    hashes = [_text(auth, "client_token") or _text(request, "client_token"), _text(auth, "accessor")]
    names = [_text(auth, "display_name"), _text(auth, "entity_id"), *hashes]
    metadata = [value for value in _part(auth, "metadata").values() if isinstance(value, str)]
    who = names[0] or hashes[0][:_SHORT] or "anonymous"
    return who, frozenset(name for name in (*names, *metadata) if name)


def _names(row: Row, who: str) -> bool:
    """Whether `who` is this row's identity: a name in full, or the start of a hash."""
    return who == row.who or any(
        name == who or (name.startswith("hmac-") and name.startswith(who)) for name in row.identities
    )


def _count(one: Tally, row: Row) -> None:
    one.times += 1
    one.denied += row.outcome == "denied"
    one.failed += row.outcome == "failed"
    one.first = min(one.first or row.time, row.time)
    one.last = max(one.last, row.time)
    if row.address and row.address not in one.addresses:
        one.addresses = sorted([*one.addresses, row.address])


def _part(record: dict[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) else ""
