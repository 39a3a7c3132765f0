"""The audit devices of a configuration file, in each form that one can have there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_secrets.audit import options
from ml_secrets.audit.options import DeviceRow
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def read_configured(blocks: Iterable[Mapping[str, Any]]) -> tuple[DeviceRow, ...]:
    """Devices of the configuration file: flat (`kind`, `path`, then options), or Vault's `audit "file" "path" { options { … } }`."""
    rows: list[DeviceRow] = []
    for block in blocks:
        kind = str(block["kind"])
        labelled = {
            name: part
            for name, part in block.items()
            if name not in ("kind", "options") and isinstance(part, dict | list)
        }
        if labelled:
            rows += [
                _configured_row(kind, name, one) for name, part in labelled.items() for one in _each(part)
            ]
        else:
            rows.append(_configured_row(kind, str(block.get("path", kind)), block))
    for row in rows:
        options.check(row)
    if len({row.path for row in rows}) != len(rows):
        raise Invalid("two audit devices have the same path", hint="give each a path of its own")
    return tuple(rows)


def _configured_row(kind: str, path: str, block: Mapping[str, Any]) -> DeviceRow:
    own = {
        name: value
        for name, value in block.items()
        if name not in ("kind", "path", "description", "local", "options")
    }
    for part in _each(block.get("options", {})):
        own |= part
    texts = {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in own.items()
    }
    return DeviceRow(
        path=path.strip("/") + "/",
        kind=kind,
        description=str(block.get("description", "")),
        options=texts,
        configured=True,
    )


def _each(part: Any) -> list[Any]:
    return part if isinstance(part, list) else [part]
