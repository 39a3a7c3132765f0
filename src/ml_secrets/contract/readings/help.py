"""The answer to `?help=1`: what a path is for, in words and as OpenAPI. `bao path-help` prints the words."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from ml_secrets.contract.context import Context  # noqa: TC001 - a declaration's types are read when it is made
from ml_secrets.contract.engine import make_operation
from ml_secrets.contract.operation import Shape, Verb
from ml_secrets.contract.readings.openapi import openapi
from ml_secrets.contract.readings.shared import METHODS, by_template, needs, one_line, plain_template
from ml_secrets.contract.response import Response
from ml_secrets.errors import NotFound

if TYPE_CHECKING:
    from ml_secrets.contract.engine import Engine
    from ml_secrets.contract.fields import Field
    from ml_secrets.contract.operation import Operation

_WIDTH = 80


def help_of(engine: Engine, path: str, *, mount: str) -> dict[str, Any]:
    """{"help", "openapi", "see_also"} for a path below a mount; "" is the engine itself. Raises NotFound."""
    operations = _operations(engine, path)
    if operations:
        return _answer(path_help(path, operations), _part(engine, operations), mount)
    if path:
        raise NotFound(
            "unsupported path",
            hint=f"`ml-secrets path-help {mount.rstrip('/')}` lists the paths of this mount",
        )
    return _answer(engine_help(engine), engine, mount)


def help_operation(engine: Engine, path: str, *, mount: str) -> Operation:
    """The operation that a request for help stands for, whatever its verb."""

    def tell(ctx: Context) -> Response:  # noqa: ARG001 - every operation is given its context
        """Tell what a path is for."""
        return Response(help_of(engine, path, mount=mount))

    return make_operation(Verb.READ, "", tell, shape=Shape.BARE)


def path_help(path: str, operations: list[Operation]) -> str:
    """The words for one path."""
    fields: dict[str, Field] = {}
    for operation in operations:
        fields |= {field.name: field for field in operation.fields if field.name not in fields}
    templates = ", ".join(dict.fromkeys(plain_template(operation.template) for operation in operations))
    lines = [
        f"Request:        {path}",
        f"Matching Route: {templates}",
        "",
        *_wrapped(operations[0].summary, 0),
    ]
    if fields:
        lines += ["", "## PARAMETERS"]
    for field in sorted(fields.values(), key=lambda f: f.name):
        lines += ["", f"    {field.name} ({field.kind}{', required' if field.required else ''})"]
        if field.help:
            lines += ["", *_wrapped(field.help, 8)]
    lines += ["", "## DESCRIPTION"]
    for operation in operations:
        lines += [
            "",
            f"    {METHODS[operation.verb]} ({_right(operation)})",
            "",
            *_wrapped(operation.summary, 8),
        ]
        for paragraph in operation.details.split("\n\n"):
            if paragraph.strip():
                lines += ["", *_wrapped(paragraph, 8)]
    return "\n".join(lines)


def engine_help(engine: Engine) -> str:
    """The words for a whole engine: what it is, and its paths."""
    lines = ["## DESCRIPTION", "", *_wrapped(engine.summary, 0), "", "## PATHS"]
    lines += [
        "",
        *_wrapped("Ask for help on any of these paths, with names filled in, to see its parameters.", 0),
    ]
    for template, operations in by_template(engine).items():
        lines += ["", f"    {plain_template(template) or '/'}"]
        lines += [
            line
            for operation in operations
            for line in _wrapped(f"{METHODS[operation.verb]}: {operation.summary}", 8)
        ]
    return "\n".join(lines)


def _operations(engine: Engine, path: str) -> list[Operation]:
    found = (engine.match(path, verb)[0] for verb in Verb)
    return list({id(operation): operation for operation in found if operation is not None}.values())


def _part(engine: Engine, operations: list[Operation]) -> Engine:
    """An engine of these operations alone, to be described."""
    part = type(engine)(engine.kind, summary=engine.summary, version=engine.version)
    part.operations = operations
    return part


def _answer(text: str, engine: Engine, mount: str) -> dict[str, Any]:
    return {"help": text, "openapi": openapi({mount: engine}), "see_also": None}


def _right(operation: Operation) -> str:
    right = needs(operation)
    return f"needs {right}" if right else "needs no token"


def _wrapped(text: str, indent: int) -> list[str]:
    blank = " " * indent
    return textwrap.wrap(one_line(text), _WIDTH, initial_indent=blank, subsequent_indent=blank) or [
        blank.rstrip()
    ]
