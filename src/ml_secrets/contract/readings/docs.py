"""The reference page of an engine, in Markdown. `docs/generate.py` writes these to docs/reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.contract.readings.shared import (
    FOLDER_VERBS,
    METHODS,
    by_template,
    needs,
    one_line,
    plain_template,
)

if TYPE_CHECKING:
    from ml_secrets.contract.engine import Engine
    from ml_secrets.contract.fields import Field
    from ml_secrets.contract.operation import Operation


def reference(engine: Engine, *, mount: str, title: str = "") -> str:
    """One page: every path, its operations, their fields. `mount` is the path shown ("secret/", "auth/approle/")."""
    parts = [f"# {title or engine.kind}", engine.summary]
    for template, operations in by_template(engine).items():
        parts.append(f"## `{_path(mount, template)}`")
        parts += [part for operation in operations for part in _operation(mount, operation)]
    return "\n\n".join(parts) + "\n"


def _path(mount: str, template: str) -> str:
    return f"/v1/{mount}{plain_template(template)}".rstrip("/")


def _operation(mount: str, operation: Operation) -> list[str]:
    path = _path(mount, operation.template) + ("/" if operation.verb in FOLDER_VERBS else "")
    parts = [f"### {METHODS[operation.verb]} `{path}`", operation.summary]
    if operation.details:
        parts.append(operation.details)
    right = needs(operation)
    parts.append(f"Needs the capability `{right}`." if right else "Needs no token.")
    if operation.while_sealed:
        parts.append("Answers while the server is sealed, too.")
    if operation.fields:
        parts.append(_table(operation.fields))
    return parts


def _table(fields: tuple[Field, ...]) -> str:
    rows = ["| field | type | default | |", "|---|---|---|---|"]
    rows += [f"| `{f.name}` | {_kind(f)} | {_default(f)} | {_cell(f.help)} |" for f in fields]
    return "\n".join(rows)


def _kind(field: Field) -> str:
    kind = f"{field.kind}, in the path" if field.in_path else field.kind
    return f"{kind}, secret" if field.sensitive else kind


def _default(field: Field) -> str:
    if field.required:
        return "" if field.in_path else "required"
    if field.sensitive or field.default in (None, "", (), {}):
        return ""
    return f"`{str(field.default).lower()}`" if isinstance(field.default, bool) else f"`{field.default}`"


def _cell(text: str) -> str:
    return one_line(text).replace("|", "\\|")
