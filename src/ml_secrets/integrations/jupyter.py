"""Saved notebooks: hooks for Jupyter's server, which are called before a notebook is written.

In jupyter_server_config.py:

    c.ContentsManager.pre_save_hook = "ml_secrets.integrations.jupyter.strip_outputs"    # or mask_outputs

The server is another process than the kernel: it was handed out nothing. So it can leave out all outputs (`strip_outputs`), or mask in them, and in the
code, what looks like a secret (`mask_outputs`, which needs the extra `detect`). The kernel's own guard knows the real values; see notebook.py.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ml_secrets.detect.table import Span
from ml_secrets.redaction.sweep import Sweep

if TYPE_CHECKING:
    from ml_secrets.detect.patterns import Patterns


def strip_outputs(model: dict[str, Any], **_: Any) -> None:
    """Leave out outputs and counts of all code cells. Changes the model, as the hook's contract has it."""
    for cell in _cells(model):
        if cell.get("cell_type") == "code":
            cell["outputs"], cell["execution_count"] = [], None


def mask_outputs(model: dict[str, Any], **_: Any) -> None:
    """Mask what looks like a secret, in outputs and in code."""
    for cell in _cells(model):
        for part in ("outputs", "source"):
            if part in cell:
                cell[part] = Sweep(_unknown).clean(cell[part])


def _cells(model: dict[str, Any]) -> list[dict[str, Any]]:
    content = model.get("content")
    if model.get("type") != "notebook" or not isinstance(content, dict):
        return []
    cells: list[dict[str, Any]] = content.get("cells", [])
    return cells


def _unknown(data: bytes) -> list[Span]:
    return [Span(each.start, each.end, frozenset({each.rule})) for each in _patterns().find(data)]


@functools.cache
def _patterns() -> Patterns:
    from ml_secrets.detect.patterns import Patterns  # noqa: PLC0415 - takes a third of a second

    return Patterns()
