"""Where requests wait that cannot be served on the event loop.

- A `Line` has threads of its own. What burns CPU, batches of reads and other long reads each have one: they hold up nobody else.
- Changes have one thread (`ChangeLine`). They take turns at the store anyway; those that have come by the time it is free
  share its next commit, and so the wait for the disk.
- A line takes so many and no more, and no caller may fill it. What has waited too long is refused, undone; what has begun ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple

from ml_secrets.errors import Limited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ml_secrets.contract.request import Request
    from ml_secrets.pipeline.handle import Pipeline
    from ml_secrets.pipeline.outcome import Outcome

MOST_TOGETHER: Final = 64
"""So many changes share a commit. More would only make the first ones wait for the last."""
_log: Final = logging.getLogger(__name__)


class Places:
    """How many may wait in a line: at most `most`, and at most `most_of_one` of one caller."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._waiting: Counter[str] = Counter()
        self._all = 0

    @contextlib.contextmanager
    def place(self, who: str) -> Iterator[None]:
        """A place in the line. Raises `Limited` where there is none."""
        if self._all >= self._most or self._waiting[who] >= self._most_of_one:
            raise busy()
        self._all += 1
        self._waiting[who] += 1
        try:
            yield
        finally:
            self._all -= 1
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]


class Line:
    """Requests that `work` answers, each in one of so many threads."""

    def __init__(
        self, pipeline: Pipeline, work: Callable[[Request], Outcome], places: Places, *, threads: int
    ) -> None:
        self._pipeline = pipeline
        self._work = work
        self._places = places
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")

    async def answer(self, request: Request, who: str, patience: float) -> Outcome:
        """The answer to a request of that caller, which waits for its turn `patience` seconds at the most."""
        until = time.monotonic() + patience

        def begin() -> Outcome:
            late = time.monotonic() >= until
            return self._pipeline.reject(request, busy()) if late else self._work(request)

        try:
            with self._places.place(who):
                return await asyncio.get_running_loop().run_in_executor(self._threads, begin)
        except Limited as error:
            return self._pipeline.reject(request, error)

    def close(self) -> None:
        """Wait for the work to end. Idempotent."""
        self._threads.shutdown()


class ChangeLine:
    """Requests that change something, in the order they came. `answer` is for the event loop."""

    def __init__(self, pipeline: Pipeline, places: Places) -> None:
        self._pipeline = pipeline
        self._places = places
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def answer(self, request: Request, who: str, patience: float) -> Outcome:
        """The answer to a request of that caller, which waits for its turn `patience` seconds at the most."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="changes", daemon=True)
            self._thread.start()
        answered = asyncio.get_running_loop().create_future()
        try:
            with self._places.place(who):
                self._queue.put(_Waiting(request, time.monotonic() + patience, answered))
                outcome: Outcome = await answered
                return outcome
        except Limited as error:
            return self._pipeline.reject(request, error)

    def close(self) -> None:
        """Wait for the work to end. Idempotent."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def _serve(self) -> None:
        more = True
        while more:
            together, more = self._next()
            if together:
                try:
                    _deliver(together, self._answers(together))
                except Exception as error:  # noqa: BLE001 - whatever it is, those that come after are to be served
                    _log.error("changes failed: %s", type(error).__name__)
                    _deliver(together, [error] * len(together))

    def _next(self) -> tuple[list[_Waiting], bool]:
        """Those that wait now, once there is one; and whether there will be more."""
        together: list[_Waiting] = []
        one = self._queue.get()
        with contextlib.suppress(Empty):
            while one is not None:
                together.append(one)
                if len(together) == MOST_TOGETHER:
                    break
                one = self._queue.get_nowait()
        return together, one is not None

    def _answers(self, together: list[_Waiting]) -> list[Outcome]:
        now = time.monotonic()
        begun = [waiting.request for waiting in together if now < waiting.until]
        answers = iter(self._pipeline.handle_all(begun))
        return [
            next(answers) if now < waiting.until else self._pipeline.reject(waiting.request, busy())
            for waiting in together
        ]


class _Waiting(NamedTuple):
    request: Request
    until: float
    answered: asyncio.Future[Outcome]


def _deliver(together: list[_Waiting], ends: Sequence[Outcome | Exception]) -> None:
    """Hand each its answer on the event loop. One that does not run any more has nobody who waits."""
    loop = together[0].answered.get_loop()
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_wake, together, ends)


def _wake(together: list[_Waiting], ends: Sequence[Outcome | Exception]) -> None:
    for waiting, end in zip(together, ends, strict=True):
        if waiting.answered.done():  # whoever waited has gone
            continue
        if isinstance(end, Exception):
            waiting.answered.set_exception(end)
        else:
            waiting.answered.set_result(end)


def busy() -> Limited:
    """There is no room, or it took too long."""
    return Limited("the server is busy", hint="try again in a moment", retry_after=1)
