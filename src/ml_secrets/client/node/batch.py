"""A batch of reads, taken apart: what is known of each secret by itself serves batches and single reads alike."""

from __future__ import annotations

import msgspec

from ml_secrets.client.encoding import Unreadable, decode, items, part, raw_members
from ml_secrets.client.messages import READ
from ml_secrets.client.node.words import Ask, Told
from ml_secrets.sensitive import Sensitive


def reads_of(ask: Ask) -> list[Ask]:
    """The reads in it, each as if it were asked alone."""
    return [
        Ask(READ, "GET", path, {}, ask.headers, b"", ask.timeout, ask.fresh, ask.stale)
        for path in msgspec.json.decode(ask.body, type=dict[str, list[str]])["paths"]
    ]


def fewer(ask: Ask, reads: list[Ask]) -> Ask:
    """A batch of these only."""
    body = msgspec.json.encode({"paths": [read.path for read in reads]})
    return Ask(ask.kind, ask.method, ask.path, ask.query, ask.headers, body, ask.timeout)


def parts_of(told: Told, number: int) -> list[Told] | None:
    """What was answered to each, as if it had been asked alone; None where that is no answer to so many."""
    found = items(Sensitive(told.body), "data", "results") if told.status == 200 else None
    return None if found is None or len(found) != number else [_told(item) for item in found]


def is_part(told: Told) -> bool:
    """Is it what was answered to one, and not to the whole batch?"""
    return bool(told.body) and part(Sensitive(told.body), "path") is not None


def _told(item: Sensitive) -> Told:
    status, etag = _member(item, "status"), _member(item, "etag")
    code = status if isinstance(status, int) and status >= 200 else 500
    return Told(code, {"etag": etag} if isinstance(etag, str) else {}, item.reveal_bytes())


def _member(item: Sensitive, name: str) -> object:
    found = part(item, name)
    try:
        return None if found is None else decode(found)
    except Unreadable:
        return None


def together(reads: list[Ask], told: list[Told]) -> Told:
    """The batch's answer, as old as the oldest in it."""
    results = b",".join(_item(read.path, one) for read, one in zip(reads, told, strict=True))
    age = max((one.age for one in told), default=0.0)
    return Told(200, {}, b'{"data":{"results":[%b]}}' % results, age)


def _item(path: str, told: Told) -> bytes:
    """A result as batches have it; what came from a single read is made one."""
    members = raw_members(Sensitive(told.body)) if told.body else {}
    members |= {"path": msgspec.json.encode(path), "status": b"%d" % told.status}
    if told.headers.get("etag"):
        members["etag"] = msgspec.json.encode(told.headers["etag"])
    wanted = ("path", "status", "data", "etag", "warnings", "errors", "hint")
    return b"{%b}" % b",".join(
        b'"%b":%b' % (name.encode(), members[name]) for name in wanted if name in members
    )
