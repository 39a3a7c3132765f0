"""Notebooks among the examples: they hold code and words, and nothing that a run left."""

import json

import pytest
from pages import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def test_there_are_some():
    """Else the next test would say nothing."""
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_has_no_outputs(path):
    """No outputs, no counts, no state of widgets, no checkpoint beside it; and its code compiles but for the magics."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        assert "attachments" not in cell
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            source = "".join(cell["source"])
            compile("" if source.startswith("%") else source, path.name, "exec")
    assert not (path.parent / ".ipynb_checkpoints").exists()
