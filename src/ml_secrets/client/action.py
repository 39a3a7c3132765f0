"""What a client can do is written once, as a method that returns a flow, and marked as an `action`.

`Blocking` users carry it out when it is called, `Awaited` ones when it is awaited; type checkers and `help` see a method of
either kind, with the parameters and the documentation of the one that was written. Arguments may be secret, so no frame
of ours keeps them.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ml_secrets.client.messages import Flow

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """Carries flows out with blocking calls."""

    def run(self, flow: Flow[T]) -> T:
        """Run a flow on this client's connection."""
        raise NotImplementedError

    def _bound(self, flow_of: Callable[..., Flow[T]]) -> Callable[..., T]:
        """A method out of one that returns a flow."""

        def call(*args: Any, **named: Any) -> T:
            try:
                flow = flow_of(self, *args, **named)
            finally:
                del args, named
            return self.run(flow)

        return call


class Awaited:
    """Carries flows out with tasks."""

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow on this client's connection."""
        raise NotImplementedError

    def _bound(self, flow_of: Callable[..., Flow[T]]) -> Callable[..., Coroutine[Any, Any, T]]:
        """A method out of one that returns a flow."""

        async def call(*args: Any, **named: Any) -> T:
            try:
                flow = flow_of(self, *args, **named)
            finally:
                del args, named
            return await self.run(flow)

        return call


class action(Generic[P, T]):  # noqa: N801 - a decorator
    """Marks a method that returns a flow."""

    def __init__(self, flow_of: Callable[Concatenate[Any, P], Flow[T]]) -> None:
        self._flow_of = flow_of
        self.__doc__ = flow_of.__doc__
        signature = inspect.signature(flow_of)
        self._signature = signature.replace(
            parameters=list(signature.parameters.values())[1:],
            return_annotation=signature.return_annotation.removeprefix("Flow[").removesuffix("]"),
        )

    @overload
    def __get__(self, user: None, owner: type) -> Callable[Concatenate[Any, P], Flow[T]]: ...
    @overload
    def __get__(self, user: Blocking, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, user: Awaited, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, user: Blocking | Awaited | None, owner: type) -> Any:
        if user is None:
            return self._flow_of
        bound = user._bound(self._flow_of)  # noqa: SLF001 - its own kind
        call: Any = functools.update_wrapper(bound, self._flow_of)
        del call.__wrapped__
        call.__signature__ = self._signature
        return call
