"""`Engine`: a named table of operations. Decorators declare them; `match` finds the one for a path.

Literal segments win over `{name}`, and `{name}` wins over `{path:path}`, whatever the order of declaration.
"""

from __future__ import annotations

import inspect
import re
import typing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ml_secrets.contract.fields import Field, field_of
from ml_secrets.contract.operation import Operation, Shape, Verb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ml_secrets.contract.access import SystemAccess
    from ml_secrets.contract.context import Context
    from ml_secrets.contract.response import Response
    from ml_secrets.domain.capability import Capability
    from ml_secrets.domain.mount import Mount
    from ml_secrets.domain.token import TokenEntry, TokenParameters
    from ml_secrets.registry.unit import Unit
    from ml_secrets.storage.interface import Transaction

    Renewal = Callable[[Transaction, TokenEntry], TokenParameters]
    Remind = Callable[[SystemAccess, Unit, Mount, int], Mapping[int, int] | None]
    CountDue = Callable[[SystemAccess, Unit, Mount], Mapping[tuple[str, str], int]]
    Tidy = Callable[[SystemAccess, Unit, Mount, int], bool]
    Upgrade = Callable[[Transaction, Transaction, float, Callable[[int], bytes]], None]
    Audience = Callable[[SystemAccess, Unit, Mount, str], Iterable[tuple[str, Capability]]]

Run = TypeVar("Run", bound="Callable[..., Response | None]")
_REST: Final = ":path}"
_NAMED: Final = re.compile(r"\{([a-z_][a-z0-9_]*)(?::path)?\}", re.ASCII)


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    one: _Node | None = None
    rest: _Node | None = None
    operations: dict[Verb, tuple[Operation, tuple[str, ...]]] = field(default_factory=dict)


class Engine:
    """An engine or auth method: `kind` names its type on the wire ("kv", "approle").

    `renewal(store, token)`, of an auth method: the token parameters that its role or user has now. Raises `Invalid` when
    it is gone, or no longer gives what the token has. None: a token is renewed by what it was made with.
    `upgrade(store, opaque, now, random)` takes over what the engine's earlier version left in a mount; None: no such thing.
    `tidy(access, unit, mount, limit)` does one bounded round of what has come due in a mount, about `limit` rows; true when
    more is due. With a limit of 0 it tells that and changes nothing. None: nothing ever comes due.
    `remind(access, unit, mount, limit)` tells of dates that have come nearer, about `limit` of them; how many, by how near
    (in seconds, 0: they have come), or None where none has. With a limit of 0 it tells that and changes nothing.
    `count_due(access, unit, mount)`: how many dates are near, by what they are and "due" or "overdue".
    `audience(access, unit, mount, path)` tells who may hear that a secret of the mount changes: whoever holds one of these
    rights. Only `read` lets them hear its version, too. None: nobody.
    """

    def __init__(self, kind: str, *, summary: str, version: str = "") -> None:
        self.kind = kind
        self.summary = summary
        self.version = version
        self.operations: list[Operation] = []
        self.upgrade: Upgrade | None = None
        self.renewal: Renewal | None = None
        self.tidy: Tidy | None = None
        self.remind: Remind | None = None
        self.count_due: CountDue | None = None
        self.audience: Audience | None = None
        self._root = _Node()

    def read(self, template: str, **options: Any) -> Callable[[Run], Run]:
        """Declare a READ."""
        return self._declare(Verb.READ, template, options)

    def list(self, template: str, **options: Any) -> Callable[[Run], Run]:
        """Declare a LIST. `{path:path}` has at least one segment: declare the list of a mount's root apart, as ""."""
        return self._declare(Verb.LIST, template, options)

    def scan(self, template: str, **options: Any) -> Callable[[Run], Run]:
        """Declare a recursive LIST."""
        return self._declare(Verb.SCAN, template, options)

    def write(self, template: str, **options: Any) -> Callable[[Run], Run]:
        """Declare a WRITE (POST or PUT)."""
        return self._declare(Verb.WRITE, template, options)

    def patch(self, template: str, **options: Any) -> Callable[[Run], Run]:
        """Declare a PATCH."""
        return self._declare(Verb.PATCH, template, options)

    def delete(self, template: str, **options: Any) -> Callable[[Run], Run]:
        """Declare a DELETE."""
        return self._declare(Verb.DELETE, template, options)

    def match(self, path: str, verb: Verb) -> tuple[Operation | None, dict[str, str], bool]:
        """(operation, path arguments, known). `known` is True when the path exists under another verb."""
        segments = path.split("/") if path else []
        node, captures = _walk(self._root, segments, 0, verb)
        if node is None:
            other, _ = _walk(self._root, segments, 0, None)
            return None, {}, other is not None
        operation, names = node.operations[verb]
        return operation, dict(zip(names, captures, strict=True)), True

    def verbs(self, path: str) -> Iterable[Verb]:
        """The verbs that this path knows."""
        return [verb for verb in Verb if self.match(path, verb)[0] is not None]

    def _declare(self, verb: Verb, template: str, options: dict[str, Any]) -> Callable[[Run], Run]:
        def declare(run: Run) -> Run:
            self._add(make_operation(verb, template, run, **options))
            return run

        return declare

    def _add(self, operation: Operation) -> None:
        node, names = self._root, []
        for segment in operation.template.split("/") if operation.template else []:
            if segment.startswith("{"):
                names.append(segment[1:].split("}")[0].split(":")[0])
            node = _step(node, segment)
        if operation.verb in node.operations:
            raise TypeError(f"{self.kind}: {operation.verb} {operation.template} is declared twice")
        node.operations[operation.verb] = (operation, tuple(names))
        self.operations.append(operation)


def _step(node: _Node, segment: str) -> _Node:
    if segment.endswith(_REST):
        node.rest = node.rest or _Node()
        return node.rest
    if segment.startswith("{"):
        node.one = node.one or _Node()
        return node.one
    return node.literals.setdefault(segment, _Node())


def _walk(
    node: _Node, segments: list[str], at: int, verb: Verb | None
) -> tuple[_Node | None, tuple[str, ...]]:
    if at == len(segments):
        fits = bool(node.operations) if verb is None else verb in node.operations
        return (node, ()) if fits else (None, ())
    literal = node.literals.get(segments[at])
    if literal is not None:
        found, captures = _walk(literal, segments, at + 1, verb)
        if found is not None:
            return found, captures
    if node.one is not None:
        found, captures = _walk(node.one, segments, at + 1, verb)
        if found is not None:
            return found, (segments[at], *captures)
    if node.rest is not None:
        return _walk_rest(node.rest, segments, at, verb)
    return None, ()


def _walk_rest(
    node: _Node, segments: list[str], at: int, verb: Verb | None
) -> tuple[_Node | None, tuple[str, ...]]:
    """`{path:path}` takes as little as leaves a literal tail that fits ("mounts/{path:path}/tune"), else all."""
    if node.literals:
        for end in range(at + 1, len(segments)):
            if segments[end] in node.literals:
                found, captures = _walk(node, segments, end, verb)
                if found is not None:
                    return found, ("/".join(segments[at:end]), *captures)
    fits = bool(node.operations) if verb is None else verb in node.operations
    return (node, ("/".join(segments[at:]),)) if fits else (None, ())


def make_operation(
    verb: Verb,
    template: str,
    run: Callable[..., Response | None],
    *,
    plain: Iterable[str] = (),
    plain_response: Iterable[str] = (),
    public: bool = False,
    while_sealed: bool = False,
    sudo: bool = False,
    changes: bool | None = None,
    slow: bool = False,
    short: bool = False,
    any_field: bool = False,
    folded: Iterable[str] = (),
    shape: Shape = Shape.ENVELOPE,
    exists: Callable[[Context, dict[str, str]], bool] | None = None,
    role: Callable[[Context], str] | None = None,
) -> Operation:
    """Read a function's signature and docstring into an Operation. Raises TypeError for a bad declaration."""
    summary, details = _help(template, run)
    fields, folded = tuple(_fields(template, run)), tuple(folded)
    _check_fields(template, run.__name__, fields, folded)
    if public and sudo:
        raise TypeError(f"{template}: public and sudo exclude each other")
    if short and slow:
        raise TypeError(f"{template}: short and slow exclude each other")
    if exists is not None and verb is not Verb.WRITE:
        raise TypeError(f"{template}: only a write can be a create or an update")
    return Operation(
        verb=verb,
        template=template,
        run=run,
        fields=fields,
        summary=summary,
        details=details,
        plain=frozenset(plain),
        plain_response=frozenset(plain_response),
        public=public,
        while_sealed=while_sealed,
        sudo=sudo,
        changes=(verb in (Verb.WRITE, Verb.PATCH, Verb.DELETE) and not slow) if changes is None else changes,
        slow=slow,
        short=short,
        any_field=any_field,
        folded=frozenset(folded),
        shape=shape,
        exists=exists,
        role=role,
    )


def _help(template: str, run: Callable[..., Response | None]) -> tuple[str, str]:
    """(summary, details), as its docstring has them."""
    doc = inspect.getdoc(run)
    if not doc:
        raise TypeError(f"{template}: an operation needs a docstring, it is its help text")
    summary, _, details = doc.partition("\n")
    return summary, details.strip()


def _check_fields(template: str, name: str, fields: tuple[Field, ...], folded: tuple[str, ...]) -> None:
    captured = _captured(template)
    if sorted(captured) != sorted(f.name for f in fields if f.in_path):
        raise TypeError(f"{template}: its path arguments do not match the parameters of {name}")
    if len({f.name for f in fields}) != len(fields):
        raise TypeError(f"{template}: two fields have the same name on the wire")
    if not set(folded) <= set(captured):
        raise TypeError(f"{template}: only path arguments can be folded")


def _captured(template: str) -> list[str]:
    """Names of the path arguments. Raises TypeError for a template with any but whole, named pieces."""
    names = []
    for segment in template.split("/") if template else ():
        named = _NAMED.fullmatch(segment)
        if named is None and (not segment or "{" in segment or "}" in segment):
            raise TypeError(f"{template}: a segment is a plain word, {{name}} or {{path:path}}")
        names += [] if named is None else [named[1]]
    return names


def _fields(template: str, run: Callable[..., Response | None]) -> Iterable[Field]:
    hints = typing.get_type_hints(run, include_extras=True)
    parameters = list(inspect.signature(run).parameters.values())[1:]
    for parameter in parameters:
        if parameter.name not in hints:
            raise TypeError(f"{template}: parameter {parameter.name!r} of {run.__name__} needs a type")
        required = parameter.default is inspect.Parameter.empty
        yield field_of(
            parameter.name,
            hints[parameter.name],
            default=None if required else parameter.default,
            required=required,
            in_path=f"{{{parameter.name}}}" in template or f"{{{parameter.name}:path}}" in template,
        )
