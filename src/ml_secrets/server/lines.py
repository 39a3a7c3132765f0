"""Where requests wait that cannot be served on the event loop.

- A `Line` has threads of its own. What burns CPU, batches of reads and other long reads each have one: they hold up nobody else.
- Changes have one thread (`ChangeLine`). They take turns at the store anyway; those that have come by the time it is free
  share its next commit, and so the wait for the disk. Short ones leave to it nothing but that wait, and where the disk
  answers at once (disk.py) not even that.
- A line takes so many and no more, and no caller may fill it. What has waited too long is refused, undone; what has begun ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple

from ml_secrets.errors import Limited
from ml_secrets.server.disk import Disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ml_secrets.contract.request import Request
    from ml_secrets.pipeline.handle import Pipeline
    from ml_secrets.pipeline.outcome import Outcome

    Commit = Callable[[], Sequence[Outcome | Exception]]

MOST_TOGETHER: Final = 64
"""So many changes share a commit. More would only make the first ones wait for the last."""
MOST_ON_THE_LOOP: Final = 16
"""So many short changes are made in one go on the event loop, with everybody else's requests in between."""
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
    """Requests that change something, in the order they came. `answer` is for the event loop.

    Short ones are made on the loop: two threads that both compute would only hand the interpreter to and fro. Their commit
    waits for the disk. While that takes less time than to wake a thread and to be woken by it, the loop waits itself;
    else the thread does. All others are made in the thread.
    """

    def __init__(self, pipeline: Pipeline, places: Places) -> None:
        self._pipeline = pipeline
        self._places = places
        self._waiting: deque[_Waiting] = deque()
        self._under_way = False
        self._begun: SimpleQueue[tuple[list[_Waiting], Commit] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._disk = Disk()

    async def answer(self, request: Request, who: str, patience: float, *, short: bool = False) -> Outcome:
        """The answer to a request of that caller, which waits for its turn `patience` seconds at the most."""
        loop = asyncio.get_running_loop()
        answered = loop.create_future()
        try:
            with self._places.place(who):
                self._waiting.append(_Waiting(request, time.monotonic() + patience, answered, short))
                if not self._under_way:
                    self._under_way = True
                    loop.call_soon(self._begin)  # with those that come in the same turn
                outcome: Outcome = await answered
                return outcome
        except Limited as error:
            return self._pipeline.reject(request, error)

    def close(self) -> None:
        """Answer those that wait, and return when the work has ended. Idempotent."""
        if self._thread is not None:
            if together := list(self._waiting):
                self._waiting.clear()
                self._begun.put((together, partial(self._answers, together)))
            self._begun.put(None)
            self._thread.join()

    def _begin(self) -> None:
        """Those that may share the next commit, if any wait."""
        together = self._next()
        self._under_way = bool(together)
        if not together:
            return
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._commit, name="changes", daemon=True)
                thread.start()
                self._thread = thread
            commit = self._made(together)
            ends = None if commit is None else self._committed(commit)
        except Exception as error:  # noqa: BLE001 - whatever it is, those that come after are to be served
            _log.error("changes failed: %s", type(error).__name__)
            ends = [error] * len(together)
        if ends is None:
            self._begun.put((together, commit or partial(self._answers, together)))
        else:
            self._wake(together, ends)

    def _next(self) -> list[_Waiting]:
        """Those in front that are of one kind."""
        waiting, together = self._waiting, list[_Waiting]()
        short = bool(waiting) and waiting[0].short
        most = MOST_ON_THE_LOOP if short else MOST_TOGETHER
        while waiting and waiting[0].short is short and len(together) < most:
            together.append(waiting.popleft())
        return together

    def _made(self, together: list[_Waiting]) -> Commit | None:
        """Short ones, made but for their commit; None where that has to wait for somebody."""
        now = time.monotonic()
        if not all(waiting.short and now < waiting.until for waiting in together):
            return None
        return self._pipeline.begin_all([waiting.request for waiting in together])

    def _committed(self, commit: Commit) -> Sequence[Outcome | Exception] | None:
        """The answers, where the loop need not wait long for them."""
        if not self._pipeline.look.commits_soon or not self._disk.prompt:
            return None
        with self._disk.asked():
            return commit()

    def _commit(self) -> None:
        """The thread."""
        while (begun := self._begun.get()) is not None:
            together, commit = begun
            ends: Sequence[Outcome | Exception]
            try:
                ends = commit()
            except Exception as error:  # noqa: BLE001 - as in `_begin`
                _log.error("changes failed: %s", type(error).__name__)
                ends = [error] * len(together)
            with contextlib.suppress(RuntimeError):  # a loop that does not run any more has nobody who waits
                together[0].answered.get_loop().call_soon_threadsafe(self._wake, together, ends)

    def _answers(self, together: list[_Waiting]) -> list[Outcome]:
        now = time.monotonic()
        begun = [waiting.request for waiting in together if now < waiting.until]
        answers = iter(self._pipeline.handle_all(begun))
        return [
            next(answers) if now < waiting.until else self._pipeline.reject(waiting.request, busy())
            for waiting in together
        ]

    def _wake(self, together: list[_Waiting], ends: Sequence[Outcome | Exception]) -> None:
        for waiting, end in zip(together, ends, strict=True):
            if waiting.answered.done():  # whoever waited has gone
                continue
            if isinstance(end, Exception):
                waiting.answered.set_exception(end)
            else:
                waiting.answered.set_result(end)
        loop = asyncio.get_running_loop()
        loop.call_soon(
            loop.call_soon, self._begin
        )  # once these answers are out, and what came meanwhile is in


class _Waiting(NamedTuple):
    request: Request
    until: float
    answered: asyncio.Future[Outcome]
    short: bool


def busy() -> Limited:
    """There is no room, or it took too long."""
    return Limited("the server is busy", hint="try again in a moment", retry_after=1)
