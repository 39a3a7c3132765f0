"""Work that is not cut short in the caller's own process.

Handlers of signals run in the main thread, wherever it is, and may raise there: Ctrl-C does. Between a commit and what is to
follow it (caches that let go, the sum over the store), or between two halves of an audit record, that would do lasting harm.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2)
"""Those that programs handle, and schedulers send."""


class _Waiting:
    """Stands in for handlers until `over`, and for any that has not been put back, after it as well."""

    def __init__(self) -> None:
        self.handlers: dict[int, Callable[..., Any]] = {}
        self.came: dict[int, Any] = {}
        self.over = False

    def __call__(self, number: int, frame: Any) -> None:
        if self.over:
            self.handlers[number](number, frame)
        else:
            self.came[number] = frame


@contextlib.contextmanager
def whole() -> Iterator[None]:
    """Signals that come meanwhile are handled at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting = _Waiting()
    try:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                waiting.handlers[number] = handler
                signal.signal(number, waiting)
        yield
    finally:
        waiting.over = True
        with contextlib.ExitStack() as stack:  # all of them, whichever raises
            for came, frame in waiting.came.items():
                stack.callback(waiting.handlers[came], came, frame)
            for handled, handler in waiting.handlers.items():
                stack.callback(signal.signal, handled, handler)
