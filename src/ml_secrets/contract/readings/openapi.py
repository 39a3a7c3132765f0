"""The API of a server with its present mounts, as an OpenAPI 3 document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.contract.operation import Shape, Verb
from ml_secrets.contract.readings.shared import (
    FOLDER_VERBS,
    by_template,
    one_line,
    package_version,
    plain_template,
    unique,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ml_secrets.contract.engine import Engine
    from ml_secrets.contract.fields import Field
    from ml_secrets.contract.operation import Operation

_METHODS: Final = {Verb.READ: "get", Verb.WRITE: "post", Verb.PATCH: "patch", Verb.DELETE: "delete"}
_MEDIA_TYPES: Final = {Verb.PATCH: "application/merge-patch+json"}
_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "duration": {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string"}], "format": "duration"},
    "string list": {"type": "array", "items": {"type": "string"}},
    "map": {"type": "object", "additionalProperties": {"type": "string"}},
    "any": {},
}
_COMPONENTS: Final[dict[str, Any]] = {
    "securitySchemes": {
        "token": {"type": "apiKey", "in": "header", "name": "X-Vault-Token"},
        "bearer": {"type": "http", "scheme": "bearer"},
    },
    "schemas": {
        "Envelope": {
            "type": "object",
            "properties": {
                "request_id": {"type": "string"},
                "lease_id": {"type": "string"},
                "renewable": {"type": "boolean"},
                "lease_duration": {"type": "integer"},
                "data": {"type": "object", "nullable": True},
                "wrap_info": {"type": "object", "nullable": True},
                "warnings": {"type": "array", "items": {"type": "string"}, "nullable": True},
                "auth": {"type": "object", "nullable": True},
                "mount_type": {"type": "string"},
            },
        },
        "Errors": {
            "type": "object",
            "properties": {
                "errors": {"type": "array", "items": {"type": "string"}},
                "hint": {"type": "string", "description": "What to do next."},
            },
            "required": ["errors"],
        },
    },
    "responses": {
        "Refused": {
            "description": "Refused or failed.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}},
        },
        "Absent": {
            "description": "Nothing there. The body has `errors`, or in the envelope what is known of it; or there is none.",
        },
        "Accepted": {
            "description": "Taken on, or nothing was left to do.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Envelope"}}},
        },
    },
}


def openapi(engines: Mapping[str, Engine]) -> dict[str, Any]:
    """Describe the engines by mount path ("secret/", "auth/approle/"). A secret field is `writeOnly`."""
    paths: dict[str, dict[str, Any]] = {}
    taken: set[str] = set()
    for mount, engine in sorted(engines.items()):
        for template, operations in by_template(engine).items():
            for path, some in _paths(mount, template, operations):
                paths[path] = _path_item(mount, path, some, taken)
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "ml-secrets API",
            "description": "The HTTP API of this server. All paths begin with `/v1/`.",
            "version": package_version(),
        },
        "servers": [{"url": "/v1"}],
        "security": [{"token": []}, {"bearer": []}],
        "paths": paths,
        "components": _COMPONENTS,
    }


def _paths(mount: str, template: str, operations: list[Operation]) -> Iterable[tuple[str, list[Operation]]]:
    """LISTs stand under the path with a closing slash, so that a GET of the value and a GET of the folder are two."""
    path = "/" + (mount + plain_template(template)).rstrip("/")
    folder = [o for o in operations if o.verb in FOLDER_VERBS]
    rest = [o for o in operations if o.verb not in FOLDER_VERBS]
    if rest:
        yield path, rest
    if folder:
        yield path + "/", folder


def _path_item(mount: str, path: str, operations: list[Operation], taken: set[str]) -> dict[str, Any]:
    first = operations[0]
    item: dict[str, Any] = {"description": one_line(first.summary)}
    parameters = [_parameter(field, "path") for field in first.fields if field.in_path]
    if parameters:
        item["parameters"] = parameters
    if any(o.public for o in operations):
        item["x-vault-unauthenticated"] = True
    if any(o.sudo for o in operations):
        item["x-vault-sudo"] = True
    if any(o.exists is not None for o in operations):
        item["x-vault-createSupported"] = True
    folder = [o for o in operations if o.verb in FOLDER_VERBS]
    if folder:
        item["get"] = _operation(mount, path, folder[0], taken) | {"parameters": _folder_parameters(folder)}
    else:
        item |= {_METHODS[o.verb]: _operation(mount, path, o, taken) for o in operations}
    return item


def _operation(mount: str, path: str, operation: Operation, taken: set[str]) -> dict[str, Any]:
    name = unique("-".join(re.findall(r"[A-Za-z0-9_]+", path)) + f"-{operation.verb}", taken)
    taken.add(name)
    shown: dict[str, Any] = {"summary": operation.summary, "operationId": name, "tags": [_tag(mount)]}
    if operation.details:
        shown["description"] = operation.details
    if operation.public:
        shown["security"] = []
    fields = [field for field in operation.fields if not field.in_path]
    if fields and operation.verb in (Verb.WRITE, Verb.PATCH):
        shown["requestBody"] = _body(operation.verb, fields)
    elif fields:
        shown["parameters"] = [_parameter(field, "query") for field in fields]
    shown["responses"] = _responses(operation)
    return shown


def _responses(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": "Done.", "content": _content(operation.shape)},
        "404": {"$ref": "#/components/responses/Absent"},
        "default": {"$ref": "#/components/responses/Refused"},
    }
    if operation.verb is Verb.WRITE:
        responses["202"] = {"$ref": "#/components/responses/Accepted"}
    if operation.verb not in (Verb.READ, *FOLDER_VERBS):
        responses["204"] = {"description": "Done, and there is nothing to say."}
    return responses


def _content(shape: Shape) -> dict[str, Any]:
    if shape is Shape.FILE:
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    if shape is Shape.STREAM:
        return {"text/event-stream": {"schema": {"type": "string"}}}
    if shape is Shape.BARE:
        return {"application/json": {"schema": {"type": "object"}}}
    return {"application/json": {"schema": {"$ref": "#/components/schemas/Envelope"}}}


def _body(verb: Verb, fields: list[Field]) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: _schema(field) for field in fields},
    }
    required = [field.name for field in fields if field.required]
    if required:
        schema["required"] = required
    media_type = _MEDIA_TYPES.get(verb, "application/json")
    return {"required": bool(required), "content": {media_type: {"schema": schema}}}


def _schema(field: Field) -> dict[str, Any]:
    schema = dict(_SCHEMAS[field.kind])
    if field.help:
        schema["description"] = field.help
    if field.sensitive:
        schema |= {"writeOnly": True, "format": "password"}
    elif not field.required and isinstance(field.default, str | int) and field.default:
        schema["default"] = field.default
    return schema


def _parameter(field: Field, where: str) -> dict[str, Any]:
    schema = _schema(field)
    text = schema.pop("description", "")
    shown = {"name": field.name, "in": where, "required": where == "path" or field.required, "schema": schema}
    return shown | ({"description": text} if text else {})


def _folder_parameters(operations: list[Operation]) -> list[dict[str, Any]]:
    """`list=true` or `scan=true` in the query, and what else the first of them takes."""
    flags = [
        {
            "name": str(operation.verb),
            "in": "query",
            "required": len(operations) == 1,
            "schema": {"type": "string", "enum": ["true"]},
            "description": operation.summary,
        }
        for operation in operations
    ]
    return flags + [_parameter(field, "query") for field in operations[0].fields if not field.in_path]


def _tag(mount: str) -> str:
    if mount == "sys/":
        return "system"
    return "auth" if mount.startswith("auth/") else "secrets"
