"""What is printed, as text: tables for people, JSON and YAML for programs. Pure: nothing here writes or asks.

Exit codes, as in Vault's CLI: 0 done, 1 the command line or this machine is at fault, 2 the server said no (or did not
answer). `status` has its own reading: 0 unsealed, 2 sealed, 1 error.

Tables show control characters escaped, so that a stored value cannot steer the terminal; line breaks stay. `--field`,
JSON and YAML carry values exactly.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

OK: Final = 0
LOCAL: Final = 1
SERVER: Final = 2

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_GAP: Final = "    "


def as_json(document: Any) -> str:
    """Indented JSON, text as it is (not escaped to ASCII)."""
    return _json(document, indent=2)


def as_line(document: Any, *, ordered: bool = False) -> str:
    """JSON on one line. `ordered`: by key, so that the same things make the same line."""
    return _json(document, ordered=ordered)


def _json(document: Any, *, indent: int | None = None, ordered: bool = False) -> str:
    import json  # noqa: PLC0415 - help is quicker without

    return json.dumps(document, indent=indent, ensure_ascii=False, sort_keys=ordered)


def as_yaml(document: Any) -> str:
    """YAML in the order given. Needs PyYAML; raises ImportError without it."""
    import yaml  # noqa: PLC0415 - an extra, and slow to import

    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text.rstrip("\n")


def pairs(values: Mapping[str, Any]) -> str:
    """A table of two columns, Key and Value."""
    return table(("Key", "Value"), [(key, cell(value)) for key, value in values.items()])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns under their titles. A cell of several lines goes on below, in its column."""
    grid = [tuple(header), tuple("-" * len(title) for title in header)]
    for row in rows:
        grid.extend(_lines([visible(text) for text in row]))
    widths = [max(len(row[column]) for row in grid) for column in range(len(header))]
    return "\n".join(
        _GAP.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in grid
    )


def _lines(row: Sequence[str]) -> list[tuple[str, ...]]:
    split = [text.split("\n") for text in row]
    height = max(len(lines) for lines in split)
    return [tuple(lines[n] if n < len(lines) else "" for lines in split) for n in range(height)]


def section(title: str, body: str) -> str:
    """A titled part of a longer answer."""
    return f"{title}\n{'=' * len(title)}\n{body}"


def cell(value: Any) -> str:
    """A value in a table: an empty one is a dash, lists are joined, nested things are JSON."""
    if value is None or value == "":
        return "-"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or "-"
    return bare(value)


def bare(value: Any) -> str:
    """A value on its own, as `--field` prints it."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return _json(value)


def visible(text: str) -> str:
    r"""Control characters become visible (\x1b), line breaks and tabs stay."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text.replace("\r\n", "\n"))
