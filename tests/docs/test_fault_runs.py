"""docs/explain/fault-runs.md names tests that there are, and every check and every long run of tests/security."""

import ast
import re

import pytest
from pages import DOCS, ROOT

PAGE = (DOCS / "explain" / "fault-runs.md").read_text(encoding="utf-8")
CHECKS = {
    *(1, 2, 3, 5, 6, 8, 9, 10, 12, 13, 15, 16, 17, 18, 20),
    *(21, 22, 23, 24, 26, 27, 28, 30, 31, 41, 43, 44),
    *(46, 47, 51, 52, 53, 54, 73, 74, 75, 77, 79, 80, 81),
    *(89, 90, 92, 93, 95, 96, 103, 105, 106, 107, 109, 111, 112),
    *(113, 114, 115, 117, 118, 119, 120, 121, 123, 125, 126, 128, 129, 131, 132, 134, 135, 137, 139, 140),
}
"""Those of the acceptance matrix that concern what is built."""


def found_in(folder):
    """(name, whether it is a long one) of every test function."""
    for file in (ROOT / "tests" / folder).rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node.name, any("mark.long" in ast.unparse(mark) for mark in node.decorator_list)


def test_every_test_that_is_named_exists():
    """No row tells of a test that was renamed or removed."""
    assert sorted(set(re.findall(r"`(test_\w+)`", PAGE)) - {name for name, _ in found_in("")}) == []


def test_every_check_has_its_row():
    """Or stands among what is open."""
    rows = re.findall(r"^(?:\| |- )([\d, ]+)(?: \||[ '(])", PAGE, re.MULTILINE)
    assert sorted(CHECKS - {int(number) for row in rows for number in row.split(",") if number.strip()}) == []


@pytest.mark.parametrize("name", sorted(name for name, long in found_in("security") if long))
def test_every_long_run_is_told(name):
    """With its counts, and how it ended."""
    assert f"`{name}`" in PAGE


def test_every_row_has_its_outcome():
    """No place is left to be filled in."""
    assert not re.findall(r"@[A-Z]+@", PAGE)
