"""What the readings have in common: the operations of one template, and the names of things."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from ml_secrets.contract.operation import Verb

if TYPE_CHECKING:
    from collections.abc import Collection

    from ml_secrets.contract.engine import Engine
    from ml_secrets.contract.operation import Operation

METHODS: Final = {
    Verb.READ: "GET",
    Verb.LIST: "LIST",
    Verb.SCAN: "SCAN",
    Verb.WRITE: "POST",
    Verb.PATCH: "PATCH",
    Verb.DELETE: "DELETE",
}
FOLDER_VERBS: Final = (Verb.LIST, Verb.SCAN)


def by_template(engine: Engine) -> dict[str, list[Operation]]:
    """Template -> its operations in the order of the verbs; templates in alphabetical order."""
    found: dict[str, list[Operation]] = {}
    order = {verb: at for at, verb in enumerate(Verb)}
    for operation in sorted(engine.operations, key=lambda o: (o.template, order[o.verb])):
        found.setdefault(operation.template, []).append(operation)
    return found


def plain_template(template: str) -> str:
    """Without the mark of a rest: "data/{path:path}" -> "data/{path}"."""
    return template.replace(":path}", "}")


def needs(operation: Operation) -> str:
    """The right an operation asks for, in a policy's words; "" for a public one."""
    if operation.public:
        return ""
    if operation.verb is Verb.WRITE:
        right = "create or update" if operation.exists is not None else "update"
    else:
        right = str(operation.verb)
    return f"{right}, sudo" if operation.sudo else right


def package_version() -> str:
    """This package's version; "0" when it runs without having been installed."""
    try:
        return version("ml-secrets")
    except PackageNotFoundError:
        return "0"


def one_line(text: str) -> str:
    """The text with its line breaks and runs of blanks as single blanks."""
    return " ".join(text.split())


def unique(name: str, taken: Collection[str]) -> str:
    """The name, or the name with the first number that makes it one of its own."""
    candidate, at = name, 2
    while candidate in taken:
        candidate, at = f"{name}-{at}", at + 1
    return candidate
