"""Which operation a request means: the mount its path lies in, and the operation of that mount's engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.contract.readings.help import help_operation
from ml_secrets.errors import NotFound, Unsupported
from ml_secrets.pipeline import hints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ml_secrets.contract.engine import Engine
    from ml_secrets.contract.operation import Operation
    from ml_secrets.contract.request import Request
    from ml_secrets.domain.mount import Mount
    from ml_secrets.registry.mounts import Table

_MOST_REMEMBERED: Final = 4096


class Route(msgspec.Struct, frozen=True):
    """Where a request leads. `mount` and `operation` are None when it leads nowhere; `known` tells a wrong verb apart."""

    mount: Mount | None
    engine: Engine | None
    operation: Operation | None
    captures: Mapping[str, str]
    known: bool

    @property
    def public(self) -> bool:
        """Needs no token."""
        return self.operation is not None and self.operation.public

    @property
    def logs_in(self) -> bool:
        """It is a login."""
        return self.public and self.mount is not None and self.mount.is_auth

    @property
    def unaudited(self) -> bool:
        """What load balancers and unsealing people ask all the time, without a token and without any secret in it."""
        return self.operation is not None and self.operation.public and self.operation.while_sealed

    def found(self, request: Request) -> tuple[Mount, Engine, Operation]:
        """The whole route, or why there is none. Ask only once the caller is authorised: paths are not for strangers."""
        if self.mount is None or self.engine is None:
            raise NotFound(
                f'no handler for route "{request.path}". route entry not found.',
                hint=_mounts_hint(request.path),
            )
        if self.operation is None:
            if self.known:
                raise Unsupported(
                    "unsupported operation",
                    hint=f"this path knows: {', '.join(self.engine.verbs(_below(self.mount, request.path)))}",
                )
            raise _no_path(self.mount, request)
        return self.mount, self.engine, self.operation


NOWHERE: Final = Route(None, None, None, {}, known=False)


def find(request: Request, table: Table, engine_of: Callable[[Mount], Engine]) -> Route:
    """The route of a request in that table of mounts.

    It depends on table, path and verb alone, so the table keeps it, whoever asked and whatever they were answered: who
    times a question for what others ask about spoils it for the next by asking.
    """
    asked = request.path, request.verb
    known = None if request.help else table.routes.get(asked)
    if known is None:
        mount = table.find(request.path)
        found = route(request, mount, engine_of(mount) if mount is not None else None)
        known = found, request.path
        if not request.help:
            if len(table.routes) >= _MOST_REMEMBERED:
                table.routes.clear()
            table.routes[asked] = known
    found, request.path = known
    return found


def route(request: Request, mount: Mount | None, engine: Engine | None) -> Route:
    """Match a request against the engine of the mount its path lies in. Names without case become lower case here."""
    if mount is None or engine is None:
        return NOWHERE
    if request.help:
        return Route(
            mount,
            engine,
            help_operation(engine, _below(mount, request.path), mount=mount.path),
            {},
            known=True,
        )
    below = _below(mount, request.path)
    operation, captures, known = engine.match(below, request.verb)
    if operation is not None:
        if operation.folded:
            captures = _folded(operation, captures)
            request.path = mount.path + _filled(operation, captures)
    elif known:  # another verb's: the refusal is the same for every spelling
        request.path = canonical(request.path, mount, engine)
    return Route(mount, engine, operation, captures, known)


def canonical(path: str, mount: Mount, engine: Engine) -> str:
    """A path as rules, rows and records see it, whatever the verb: names without case in lower case."""
    below = _below(mount, path)
    for verb in engine.verbs(below):
        operation, captures, _ = engine.match(below, verb)
        if operation is not None and operation.folded:
            return mount.path + _filled(operation, _folded(operation, captures))
    return path


def _folded(operation: Operation, captures: Mapping[str, str]) -> dict[str, str]:
    return {name: fold(text) if name in operation.folded else text for name, text in captures.items()}


def fold(name: str) -> str:
    """Lower case, for ASCII; what is not ASCII stays as it is, for the operation to refuse."""
    return name.lower() if name.isascii() else name


def _filled(operation: Operation, captures: Mapping[str, str]) -> str:
    segments = operation.template.split("/")
    return "/".join(captures[s[1:-1].partition(":")[0]] if s.startswith("{") else s for s in segments)


def _below(mount: Mount, path: str) -> str:
    return path[len(mount.path) :]


def _mounts_hint(path: str) -> str:
    if path.startswith("v1/"):
        return "leave out v1/: it stands in front of the path already"
    kind = "auth" if path.startswith("auth/") else "secrets"
    return f"list the mounts with `ml-secrets {kind} list`"


def _no_path(mount: Mount, request: Request) -> NotFound:
    """No verb knows the path. The commonest mistake of all is one of KV version 2 without its `data/`."""
    if not hints.is_kv(mount, "2"):
        hint = f"see the paths there are: `ml-secrets path-help {mount.path.rstrip('/')}`"
        return NotFound("unsupported path", hint=hint)
    path = hints.in_part(request.path, mount, request.verb)
    hint = f"{mount.path} is a KV version 2 mount: the path is {path}"
    warning = f"Invalid path for a versioned K/V secrets engine: {hint}"
    return NotFound("unsupported path", hint=hint, warnings=[warning])
