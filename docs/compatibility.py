"""Write the tables of docs/reference/compatibility.md anew, from what the conformance tests hold as intended: `make docs`.

The text around the tables is written by hand. tests/conformance/vault/test_compatibility_page.py keeps them equal.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "reference" / "compatibility.md"
TESTS: Final = ROOT / "tests" / "conformance" / "vault"


def page() -> str:
    """The page as it should be."""
    different = tomllib.loads((TESTS / "sweep" / "differences.toml").read_text(encoding="utf-8"))
    listed = tomllib.loads((TESTS / "generated" / "differences.toml").read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8")
    tables = {"requests": requests(different), "generated": generated(listed), "commands": commands()}
    for name, table in tables.items():
        text = re.sub(
            rf"(<!-- {name}: [^\n]*-->\n)(.*?)(<!-- end -->)",
            lambda found, table=table: f"{found[1]}\n{table}\n{found[3]}",
            text,
            flags=re.DOTALL,
        )
    return text


def requests(different: dict[str, Any]) -> str:
    """What differs in raw answers: members that one side has alone, then requests."""
    rows = ["| why | where |", "|---|---|"]
    for entry in different["member"]:
        names = ", ".join(f"`{name}`" for name in entry["names"])
        rows.append(f"| {entry['why']} | only {entry['only']}: {names} |")
    for entry in different["request"]:
        lines = [_short(line) for area in entry["lines"].values() for line in area]
        rows.append(f"| {entry['why']} | {'<br>'.join(f'`{line}`' for line in dict.fromkeys(lines))} |")
    return "\n".join(rows) + "\n"


def generated(listed: dict[str, Any]) -> str:
    """What differs in answers to requests made at random, by the name of the reason."""
    rows = (
        f"| {entry['name']} | {entry['why']} | {', '.join(entry.get('areas', ['everywhere']))} |"
        for entry in listed["difference"]
    )
    return "\n".join(["| what | why | where |", "|---|---|---|", *rows]) + "\n"


def commands() -> str:
    """What differs in the output of the `bao` program."""
    rows, command = ["| why | where |", "|---|---|"], ""
    for line in (TESTS / "bao_cli" / "sessions.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("$ "):
            command = line[2:]
        elif line.startswith("~ "):
            rows.append(f"| {line[2:]} | `bao {command}` |")
    return "\n".join(rows) + "\n"


def _short(line: str) -> str:
    """A request of the sweep without what it learns, and without long codes, as a cell of a table."""
    line = re.sub(r"(X-Vault-Inline-Auth-Parameter-\w*)=\S+", r"\1=…", line)
    return line.partition(" => ")[0].replace(" | ", " ").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
