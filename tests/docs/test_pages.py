"""What the documentation shows can be typed: every `sh` and `python` block of these pages runs, in order."""

import pytest
from pages import ROOT, play

RUN = [
    "docs/how-to/policies.md",
    "docs/how-to/use-with-hvac-and-bao.md",
    "docs/how-to/give-a-job-its-own-identity.md",
    "docs/how-to/rotate-and-revoke.md",
]


@pytest.mark.parametrize("name", RUN)
def test_a_page_does_what_it_says(name, tmp_path):
    """Its commands and programs succeed, from the first to the last, on a fresh server."""
    code, told = play(ROOT / name, tmp_path)
    assert code == 0, told[-3000:]


def test_the_readme_does_what_it_says(tmp_path):
    """So does the README, whose first example reads what its quick start stores."""
    code, told = play(ROOT / "README.md", tmp_path, last=1)
    assert code == 0, told[-3000:]
