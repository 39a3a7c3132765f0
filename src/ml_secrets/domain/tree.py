"""The text of a configuration file as a tree: TOML, as ours are written; HCL or JSON, as those of Vault, OpenBao and their agents are."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec

from ml_secrets.domain import hcl
from ml_secrets.errors import Invalid


def parse(text: str, suffix: str) -> dict[str, Any]:
    """The file's text as a tree, by how its name ends: `.toml`, `.json`; HCL otherwise, or JSON where it looks so. Raises `Invalid`."""
    if suffix == ".toml":
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise Invalid(f"not valid TOML: {error}") from None
        except RecursionError:
            raise Invalid("not valid TOML: nested too deeply") from None
    if suffix == ".json" or text.lstrip().startswith("{"):
        try:
            return msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise Invalid(f"not valid JSON: {error}") from None
        except RecursionError:
            raise Invalid("not valid JSON: nested too deeply") from None
    return _parse_hcl(text)


def _parse_hcl(text: str) -> dict[str, Any]:
    try:
        return _tree(hcl.read(text))
    except hcl.Unreadable as error:
        raise Invalid(f"not valid HCL: {error.place}", hint="check quotes and braces") from None


def _tree(table: hcl.Table) -> dict[str, Any]:
    """Items as nested dictionaries; `listener "tcp" {...}` is {"listener": [{"tcp": {...}}]}. A setting may come once only."""
    tree: dict[str, Any] = {}
    for item in table:
        value = _tree(item.value) if isinstance(item.value, hcl.Table) else item.value
        for label in reversed(item.labels):
            value = {label: value}
        if isinstance(item.value, hcl.Table):
            tree.setdefault(item.key, []).append(value)
        elif item.key in tree:
            raise Invalid(f"setting {item.key!r} comes twice (line {item.line})")
        else:
            tree[item.key] = value
    return tree
