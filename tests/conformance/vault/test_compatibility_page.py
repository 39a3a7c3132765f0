"""docs/reference/compatibility.md tells the differences that the tests hold as intended."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_page_lists_every_intended_difference():
    """Its tables equal what would be written now; if not, run `make docs`."""
    spec = importlib.util.spec_from_file_location("compatibility", ROOT / "docs" / "compatibility.py")
    compatibility = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compatibility)
    text = compatibility.PAGE.read_text(encoding="utf-8")
    assert text == compatibility.page(), "run `make docs`"
    assert text.count("\n| ") > 40
