"""Operations that share a set of fields: declared once, bound and documented as if each had written them out."""

from __future__ import annotations

import inspect
import typing
from functools import wraps
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ml_secrets.contract.context import Context
    from ml_secrets.contract.response import Response

    Run = Callable[..., Response | None]


def expand(
    parameter: str,
    declared: Mapping[str, Any],
    gather: Callable[[dict[str, Any]], object],
    defaults: Mapping[str, object] = MappingProxyType({}),
) -> Callable[[Run], Run]:
    """Replace one parameter of an operation by the `declared` fields (name -> type). One that was not sent has its default, or None.

    The operation is called with `gather(values by name)` in the parameter's place.
    """

    def extend(run: Run) -> Run:
        @wraps(run)
        def extended(ctx: Context, **arguments: Any) -> Response | None:
            values = {name: arguments.pop(name) for name in declared}
            return run(ctx, **{parameter: gather(values)}, **arguments)

        own = [p for p in inspect.signature(run).parameters.values() if p.name != parameter]
        fields = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name))
            for name in declared
        ]
        hints = typing.get_type_hints(run, include_extras=True)
        extended.__signature__ = inspect.Signature([*own, *fields])  # type: ignore[attr-defined]  # what inspect.signature() looks at first
        extended.__annotations__ = {p.name: hints[p.name] for p in own} | dict(declared)
        return extended

    return extend
