"""Records of an audit log as the verbs tail and report need them. Pure, but for reading files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, with their ends."""
    with path.open("rb") as file:
        yield from file


def read_record(line: bytes) -> dict[str, Any] | None:
    """A line's record of a request or a response; None for anything else (the lines that open segments, a torn end)."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("request"), dict) else None


def who(record: dict[str, Any]) -> str:
    """The name that the audit log knows somebody by."""
    auth = record.get("auth") or {}
    return str(auth.get("display_name") or auth.get("entity_id") or "-")


def moment(record: dict[str, Any]) -> str:
    """A record's time as text that sorts by time: without its Z, so that 03.5 comes after 03."""
    return str(record.get("time", "")).removesuffix("Z")


def row_of(record: dict[str, Any]) -> tuple[str, ...]:
    """A record on one line."""
    request = record["request"]
    namespace = str((request.get("namespace") or {}).get("path") or "")
    return (
        str(record.get("time", ""))[:19],
        str(record.get("type", "")),
        str(request.get("operation", "")),
        namespace + str(request.get("path", "")),
        who(record),
        str(request.get("remote_address") or "-"),
        " ".join(str(record.get("error") or "-").split()),
    )


@dataclass(slots=True)
class Filter:
    """Which records are wanted. None and False: any."""

    path_prefix: str | None = None
    who: str | None = None
    since: str | None = None
    errors: bool = False

    def takes(self, record: dict[str, Any]) -> bool:
        """Is it one of them?"""
        auth = record.get("auth") or {}
        return (
            (not self.path_prefix or str(record["request"].get("path", "")).startswith(self.path_prefix))
            and (not self.who or self.who in {auth.get("display_name"), auth.get("entity_id")})
            and (not self.since or moment(record) >= self.since.removesuffix("Z"))
            and (not self.errors or bool(record.get("error")))
        )


@dataclass(slots=True)
class Report:
    """Counts by who, path and operation. A request and its response are one."""

    _found: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def add(self, record: dict[str, Any]) -> None:
        """Count a record."""
        request = record["request"]
        key = (who(record), str(request.get("path", "")), str(request.get("operation", "")))
        time = moment(record)
        row = self._found.setdefault(key, {"times": 0, "refused": 0, "first": time, "last": time})
        row["first"], row["last"] = min(row["first"], time), max(row["last"], time)
        if request.get("id") not in self._seen:
            self._seen.add(str(request.get("id")))
            row["times"] += 1
        if record.get("error") and record.get("type") == "response":
            row["refused"] += 1

    def rows(self) -> list[dict[str, Any]]:
        """The counts, most frequent first."""
        ordered = sorted(self._found.items(), key=lambda item: (-item[1]["times"], item[0]))
        return [
            {"who": name, "path": path, "operation": operation, **row}
            for (name, path, operation), row in ordered
        ]
