"""Runs flows with blocking calls, for threads."""

from __future__ import annotations

import copy
import time
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Any, TypeVar

from ml_secrets.client.messages import Leave, Once, Pause, Request, Take
from ml_secrets.errors import MlSecretsError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from concurrent.futures import Future

    from ml_secrets.client.messages import Flow, Step, Together
    from ml_secrets.client.wire import Transport

T = TypeVar("T")


class Driver:
    """Runs flows with blocking calls. Threads may share it; a forked child starts with a fresh one."""

    def __init__(self, connect: Callable[[], Transport]) -> None:
        self._connect = connect
        self._transport: Transport | None = None
        self._lock = RLock()  # a signal handler may come in while this very thread holds it
        self._under_way: dict[Hashable, tuple[int, Future[Any]]] = {}
        self._abandoned: list[Any] = []

    def run(self, flow: Flow[T]) -> T:
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
                result = self._carry_out(step)
            except MlSecretsError as error:
                failure = error.with_traceback(None)

    def _carry_out(self, step: Step) -> Any:
        if isinstance(step, Request):
            return self.transport().send(step)
        if isinstance(step, Take):
            return step.stream.take(step.seconds)
        if isinstance(step, Leave):
            return step.stream.close()
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        return self._once(step) if isinstance(step, Once) else self._together(step)

    def transport(self) -> Transport:
        """The connection, made on first use."""
        if self._transport is None:
            with self._lock:
                if self._transport is None:
                    self._transport = self._connect()
        return self._transport

    def _once(self, step: Once) -> Any:
        from concurrent.futures import Future  # noqa: PLC0415 - it loads `logging`, and importing us is to be quick

        with self._lock:
            thread, waiting = self._under_way.get(step.key) or (0, None)
            if waiting is None:
                mine: Future[Any] = Future()
                self._under_way[step.key] = (get_ident(), mine)
        if waiting is None:
            return self._lead(step, mine)
        if thread == get_ident():
            return self.run(step.flow())  # a signal handler asks for what this thread was just fetching
        error = waiting.exception()
        if isinstance(error, _GaveUp):
            return self._once(step)
        if error is not None:
            raise copy.copy(error)
        return waiting.result()

    def _lead(self, step: Once, mine: Future[Any]) -> Any:
        try:
            result = self.run(step.flow())
        except BaseException as error:
            self._finish(step.key)
            mine.set_exception(copy.copy(error) if isinstance(error, MlSecretsError) else _GaveUp())
            raise
        self._finish(step.key)
        mine.set_result(result)
        return result

    def _finish(self, key: Hashable) -> None:
        with self._lock:
            self._under_way.pop(key, None)

    def _together(self, step: Together) -> list[Any]:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - as above

        with ThreadPoolExecutor(max_workers=max(1, min(step.width, len(step.flows)))) as pool:
            return list(pool.map(lambda flow: self._caught(flow()), step.flows))

    def _caught(self, flow: Flow[Any]) -> Any:
        try:
            return self.run(flow)
        except MlSecretsError as error:
            return error

    def renew(self) -> None:
        """In a child process after a fork: connections, and locks that a thread of the parent may have held, are left behind."""
        self._abandoned.append(self._transport)  # closing it here could wait for such a lock
        self._transport = None
        self._lock = RLock()
        self._under_way = {}

    def close(self) -> None:
        """Close the connection. The next call opens another."""
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()


class _GaveUp(Exception):  # noqa: N818 - a message between threads, not an error
    """The thread that did it for others was interrupted: another takes over."""
