"""What the operations that a policy's rule can match ask for. The lint reads it: a rule that none asks for is dead.

secret/data/*      meets   secret/data/{path}        asks for create, read, update, patch, delete
secret/+/app       meets   secret/data/{path}, secret/metadata/{path} …
secret/dta/*       meets   nothing
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ml_secrets.contract.operation import Verb
from ml_secrets.domain.capability import Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ml_secrets.contract.engine import Engine
    from ml_secrets.contract.operation import Operation
    from ml_secrets.domain.pattern import Pattern

_REST: Final = ":path}"


def asked_for(engines: Mapping[str, Engine]) -> Callable[[Pattern], frozenset[Capability] | None]:
    """Gives for a pattern the capabilities that some request may need which it matches; None where it matches none.

    `engines`: by the path of their mounts.
    """
    offers = {mount: list(_offers(mount, engine)) for mount, engine in engines.items()}

    def asked(pattern: Pattern) -> frozenset[Capability] | None:
        near = (offer for mount in offers if pattern.reaches(mount) for offer in offers[mount])
        found = [wanted for template, wanted in near if _meets(pattern, template)]
        return frozenset().union(*found) if found else None

    return asked


def _offers(mount: str, engine: Engine) -> Iterator[tuple[tuple[str, ...], frozenset[Capability]]]:
    for operation in engine.operations:
        path = tuple(f"{mount}{operation.template}".rstrip("/").split("/"))
        wanted = _wanted(operation)
        yield path, wanted
        if operation.verb in (
            Verb.LIST,
            Verb.SCAN,
        ):  # asked of the folder; a rule without the slash speaks for it, too
            yield (*path, ""), wanted


def _wanted(operation: Operation) -> frozenset[Capability]:
    if operation.verb is Verb.WRITE:
        own = {Capability.UPDATE} if operation.exists is None else {Capability.CREATE, Capability.UPDATE}
    else:
        own = {Capability(operation.verb)}
    return frozenset(own | {Capability.SUDO} if operation.sudo else own)


def _meets(pattern: Pattern, template: tuple[str, ...]) -> bool:
    """Some path is matched by both. `{name}` is one segment, `{path:path}` one or more."""
    parts = pattern.parts
    last = len(parts) - 1

    def meet(at: int, place: int) -> bool:
        if at > last or place == len(template):
            return at > last and place == len(template)
        part, segment = parts[at], template[place]
        if pattern.glob and at == last:
            return segment.startswith((part, "{"))
        if not segment.startswith("{"):
            return part in ("+", segment) and meet(at + 1, place + 1)
        return part != "" and (meet(at + 1, place + 1) or (segment.endswith(_REST) and meet(at + 1, place)))

    return meet(0, 0)
