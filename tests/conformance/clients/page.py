"""The table of docs/how-to/use-with-other-clients.md: a row for each client, with its version and the number of its steps."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "use-with-other-clients.md"
ROW = re.compile(
    r"^\| (?:\[(?P<linked>[^]]+)\]\(\S+\)|(?P<plain>[^|]+?)) \| (?P<version>\S+) \|.*\| (?P<steps>\d+) \|$"
)


@dataclass(frozen=True)
class Row:
    """What the page says of a client."""

    version: str
    steps: int


def rows():
    """The rows by name; `for operators` is part of it."""
    found = filter(None, map(ROW.match, PAGE.read_text(encoding="utf-8").splitlines()))
    return {row["linked"] or row["plain"]: Row(row["version"], int(row["steps"])) for row in found}
