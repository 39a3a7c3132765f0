"""Runs flows with tasks."""

from __future__ import annotations

import asyncio
import copy
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ml_secrets.client.messages import Leave, Once, Pause, Request, Take
from ml_secrets.errors import MlSecretsError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Hashable

    from ml_secrets.client.embedded import EmbeddedTransport
    from ml_secrets.client.messages import Flow, Response, Step, Together
    from ml_secrets.client.wire import AsyncTransport

T = TypeVar("T")


class AsyncDriver:
    """Runs flows with tasks. Each event loop has a connection of its own, so one client serves several `asyncio.run`.

    Unclosed, it closes with its last user, and with the loop where that ends its generators, as `asyncio.run` does.
    """

    def __init__(self, connect: Callable[[], AsyncTransport]) -> None:
        self._connect = connect
        self._kept: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Kept] = weakref.WeakKeyDictionary()
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}
        self._abandoned: list[Any] = []

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end."""
        result: Any = None
        failure: MlSecretsError | None = None
        while True:
            try:
                step = flow.send(result) if failure is None else flow.throw(failure)
            except StopIteration as stop:
                value: T = stop.value
                return value
            result, failure = None, None
            try:
                result = await self._carry_out(step)
            except MlSecretsError as error:
                failure = error.with_traceback(None)

    async def _carry_out(self, step: Step) -> Any:
        if isinstance(step, Request):
            return await (await self._transport()).send(step)
        if isinstance(step, Take):
            return await step.stream.take(step.seconds)
        if isinstance(step, Leave):
            return await step.stream.close()
        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        return await (self._once(step) if isinstance(step, Once) else self._together(step))

    async def _transport(self) -> AsyncTransport:
        loop = asyncio.get_running_loop()
        kept = self._kept.get(loop)
        if kept is None or kept.open.ag_frame is None:  # type: ignore[attr-defined]  # typing's generators lack what real ones have
            transport = self._connect()
            kept = self._kept[loop] = _Kept(transport, _until_closed(transport))
            await anext(kept.open)
        return kept.transport

    async def _once(self, step: Once) -> Any:
        """The work is a task of its own: who asked first may be cancelled without the others losing it."""
        place = (asyncio.get_running_loop(), step.key)
        task = self._under_way.get(place)
        if task is None:
            task = self._under_way[place] = asyncio.create_task(self.run(step.flow()))
            task.add_done_callback(lambda done: self._finish(place, done))
        try:
            return await asyncio.shield(task)
        except MlSecretsError as error:
            failure = copy.copy(error)
        raise failure

    def _finish(self, place: Hashable, task: asyncio.Task[Any]) -> None:
        self._under_way.pop(place, None)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain when nobody is left to raise it to

    async def _together(self, step: Together) -> list[Any]:
        gate = asyncio.Semaphore(step.width)

        async def caught(flow: Flow[Any]) -> Any:
            async with gate:
                try:
                    return await self.run(flow)
                except MlSecretsError as error:
                    return error

        return await asyncio.gather(*(caught(flow()) for flow in step.flows))

    def renew(self) -> None:
        """In a child process after a fork: loops, tasks and connections are the parent's."""
        self._abandoned.append((dict(self._kept), self._under_way))
        self._kept = weakref.WeakKeyDictionary()
        self._under_way = {}

    async def close(self) -> None:
        """Close the connection of this event loop. The next call opens another."""
        kept = self._kept.pop(asyncio.get_running_loop(), None)
        if kept is not None:
            await kept.open.aclose()


class _Kept(NamedTuple):
    """A connection, and what closes it: a loop that ends, or lets go of a generator, carries out its `finally`."""

    transport: AsyncTransport
    open: AsyncGenerator[None, None]


async def _until_closed(transport: AsyncTransport) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await transport.close()


class Threaded:
    """The embedded store, off the event loop."""

    def __init__(self, transport: Callable[[], EmbeddedTransport]) -> None:
        self._open = transport
        self._transport: EmbeddedTransport | None = None
        self._turn = asyncio.Lock()

    async def send(self, request: Request) -> Response:
        async with self._turn:
            if self._transport is None:
                self._transport = await asyncio.to_thread(self._open)
        return await asyncio.to_thread(self._transport.send, request)

    async def close(self) -> None:
        if self._transport is not None:
            await asyncio.to_thread(self._transport.close)
