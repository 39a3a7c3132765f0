"""Turns a request's raw fields into the typed arguments of an operation. Runs after authorization and audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.contract.fields import Field
    from ml_secrets.contract.operation import Operation
    from ml_secrets.contract.request import Request


def bind(operation: Operation, captures: Mapping[str, str], request: Request) -> dict[str, Any]:
    """Arguments by parameter name. Raises `Invalid` for a missing or malformed field."""
    arguments: dict[str, Any] = {}
    for field in operation.fields:
        if field.in_path:
            arguments[field.argument] = _captured(field, captures[field.name])
            continue
        raw = request.fields.get(field.name)
        value = None if raw is None else field.read(field.name, raw)
        if value is None and field.required and (raw is None or field.kind != "any"):
            raise Invalid(f"missing {field.name}", hint=f"send the field {field.name!r} ({field.kind})")
        arguments[field.argument] = field.default if value is None else value
    return arguments


def _captured(field: Field, text: str) -> Any:
    """A piece of the path: text mostly; a number in a path is read as strictly as one in a body."""
    if field.kind == "string" and not field.sensitive:
        return text
    return field.read(field.name, msgspec.Raw(msgspec.json.encode(text)))


def unrecognised(operation: Operation, request: Request) -> list[str]:
    """Names of fields that the operation does not know, sorted."""
    if not request.fields or operation.any_field:
        return []
    return sorted(request.fields.keys() - {field.name for field in operation.fields})
