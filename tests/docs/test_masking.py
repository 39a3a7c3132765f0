"""docs/explain/masking.md says what the code does."""

import re
from pathlib import Path

from ml_secrets.detect import encodings, finders, rule
from ml_secrets.redaction import installed

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "explain" / "masking.md").read_text(encoding="utf-8")


def test_every_form_is_told():
    """The table of forms is the list of encodings, with their reasons, in order."""
    table = "".join(f"| {each.name} | {each.why} |\n" for each in encodings.ENCODINGS)
    assert f"| Form | Who writes it |\n|---|---|\n{table}\n" in PAGE


def test_limits_and_engines_are_told():
    """Lengths in the text are those of the code, and each engine has its line."""
    for told in (
        f"longer than {encodings.BLOCK:,} bytes",
        f"each line of {encodings.LINE} bytes",
        f"shorter than {finders.SHORTEST} bytes",
        f"shorter than {rule.SHORT} bytes, or with fewer than {rule.VARIETY} different bytes",
        f"| {', '.join(f'`{word}`' for word in ('true', 'false', 'null', 'none'))} in any case; a number of fewer than {rule.SHORT} characters",
        f"its first {finders.HEAD} bytes",
        f"{finders.HEAD} bytes of a form, or half of it if this is {rule.SHORT} bytes",
        *(f"| `{name}` |" for name in finders.ENGINES),
    ):
        assert told in PAGE
    assert {b"true", b"false", b"null", b"none"} == rule.SETTINGS


def test_every_guard_is_told():
    """The table of guards in the how-to names each guard that there is, once, and no other."""
    page = (DOCS / "how-to" / "keep-secrets-out-of-logs-and-trackers.md").read_text(encoding="utf-8")
    rows = page.partition("| Guard | What")[2].partition("\n\n")[0].splitlines()[2:]
    told = [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert sorted(told) == sorted([*installed.PYTHON, *installed.TOOLS])
