"""The loop of a run: output through the masks, keys to the command, signals passed on, stops shared; until the command ends.

One thread, which never waits for anything but the next event.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.run import signals, system
from ml_secrets.agent.run.child import reported
from ml_secrets.agent.run.streams import QUIET, Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.agent.run.again import Again
    from ml_secrets.agent.run.child import Child
    from ml_secrets.agent.run.stage import Stage
    from ml_secrets.agent.run.streams import Masks

_KEYS: Final = 1024
_LOOK: Final = 0.2


class Watch:
    """Watches one command, which runs already. `come`: where signals that were taken are read (`signals.take`)."""

    def __init__(
        self,
        child: Child,
        stage: Stage,
        mask_of: Callable[[], Masks],
        come: int,
        again: Again,
        also: dict[int, Callable[[], int]],
    ) -> None:
        """`also`: descriptors, and what is called, once, when one can be read. It gives the one to watch from then on, or -1."""
        self._also = also
        self._let_go = child.let_go
        self._child = child.process
        self._reports = child.reports
        self._stage = stage
        self._streams = [Stream(source, sink, mask_of()) for source, sink in stage.outputs]
        self._signals = come
        self._again = again
        self._kill_at: float | None = None
        self._typed = b""
        self._status: int | None = None

    def run(self) -> int:
        """Watch until the command has ended and all that it said is handed on. Returns its wait status."""
        self._come_to_front()
        try:
            self._look_at_children()
            while self._status is None:
                self._turn()
            self._drain()
        finally:
            if self._stage.keys is not None:
                self._stage.keys.take_back()
            self._stage.close()
            self._let_go()
        return self._status

    # ── the loop ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _turn(self) -> None:
        ready = self._next()
        now = time.monotonic()
        for stream in self._streams:
            self._move(stream, ready, now)
        self._move_keys(ready)
        if self._reports in ready:
            self._hear()
        if self._signals in ready:
            self._heed()
        for descriptor in self._also.keys() & ready:
            act = self._also.pop(descriptor)
            if (following := act()) >= 0:
                self._also[following] = act
        if self._again.bell in ready and self._again.heard():
            self._end_it(now)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            self._send(signal.SIGKILL)

    def _next(self) -> dict[int, int]:
        """Wait for what happens next: the descriptors at which something did."""
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        poll.register(self._again.bell, select.POLLIN)
        if self._reports >= 0:
            poll.register(self._reports, select.POLLIN)
        for descriptor in self._also:
            poll.register(descriptor, select.POLLIN)
        for stream in self._streams:
            self._register(poll, stream)
        keys = self._stage.keys
        if self._typed:
            poll.register(self._stage.entrance, select.POLLOUT)
        elif keys is not None and keys.raw:
            poll.register(keys.descriptor, select.POLLIN)
        return dict(poll.poll(self._patience()))

    def _patience(self) -> float | None:
        """Milliseconds after which to look again though nothing happened."""
        if any(stream.fed for stream in self._streams):
            return QUIET * 1000
        behind = self._stage.keys is not None and not self._stage.keys.raw
        look = self._kill_at is not None or behind  # `fg` says nothing to a job that runs already
        return _LOOK * 1000 if look else None

    def _register(self, poll: select.poll, stream: Stream) -> None:
        if stream.pending:
            poll.register(stream.sink, select.POLLOUT)
        elif not stream.ended:
            poll.register(stream.source, select.POLLIN)

    def _move(self, stream: Stream, ready: dict[int, int], now: float) -> None:
        if stream.pending:
            if stream.sink in ready:
                stream.write()
        elif not stream.ended and stream.source in ready:
            stream.read()
            stream.fed_at = now
        elif now - stream.fed_at >= QUIET:
            stream.settle()

    def _drain(self) -> None:
        """Hand on what the command had written when it ended. What it left running may write on: nobody listens to that."""
        self._stage.leave_to_the_command()
        for stream in self._streams:
            while not stream.ended:
                self._finish(stream)
                if not stream.read() and not _soon(stream):
                    stream.end()
            self._finish(stream)

    def _finish(self, stream: Stream) -> None:
        """Hand on all that is pending, as long as the reader takes; a signal that would end us ends the waiting, too."""
        while stream.pending:
            poll = select.poll()
            poll.register(stream.sink, select.POLLOUT)
            poll.register(self._signals, select.POLLIN)
            ready = dict(poll.poll())
            if self._signals in ready and any(
                came.number in signals.FATAL for came in system.signals_from(self._signals)
            ):
                stream.give_up()
            elif stream.sink in ready:
                stream.write()

    # ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _move_keys(self, ready: dict[int, int]) -> None:
        keys = self._stage.keys
        if self._typed:
            if self._stage.entrance in ready:
                self._hand_on_keys()
        elif keys is not None and keys.descriptor in ready:
            self._take_keys(keys.descriptor)
        elif keys is not None and not keys.raw:
            self._come_to_front()

    def _take_keys(self, descriptor: int) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone; a hang-up follows
            self._typed = os.read(descriptor, _KEYS)
            if self._typed:
                return
        self._stage.keys = None  # nothing to put back, nothing to read

    def _hand_on_keys(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._typed = self._typed[os.write(self._stage.entrance, self._typed) :]

    # ── signals ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _heed(self) -> None:
        for came in system.signals_from(self._signals):
            if came.number == signal.SIGCHLD:
                self._look_at_children()
            elif came.number == signal.SIGWINCH and self._stage.outer:
                self._stage.follow_size()
            elif self._status is None:
                self._pass_on(came)

    def _end_it(self, now: float) -> None:
        """It is to be started anew: ask it to end."""
        self._kill_at = now + self._again.seconds
        self._send(self._again.signal)

    def _send(self, number: int) -> None:
        """A signal of ours: to what the command started, too, where that is its group and it is to go for certain."""
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL and self._stage.seat.apart:
                os.killpg(self._child, number)
            else:
                os.kill(self._child, number)

    def _pass_on(self, came: system.Signal) -> None:
        if came.number in signals.FATAL:
            self._again.call_off()
        signals.pass_on(came, self._child, self._stage.seat)
        if came.number == signal.SIGTSTP and self._stage.keys is None:
            signals.stop(whole_group=False)
        elif came.number == signal.SIGCONT:
            self._come_to_front()

    def _look_at_children(self) -> None:
        """See how the command fares. As the first process of a container we are also given the orphans."""
        whose = -1 if os.getpid() == 1 else self._child
        with contextlib.suppress(ChildProcessError):
            while self._status is None:
                process, status = os.waitpid(whose, os.WNOHANG | os.WUNTRACED)
                if process == 0:
                    return
                if process == self._child and not os.WIFSTOPPED(status):
                    self._status = status

    def _hear(self) -> None:
        """The leader of the command's session says how it fares. Who killed the leader has killed the command."""
        status = reported(self._reports)
        if status is None:
            self._status = signal.SIGKILL
        elif os.WIFSTOPPED(status):
            self._stop_too()
        else:
            self._status = status

    def _stop_too(self) -> None:
        """The command stopped on its own terminal: stop as the job that the shell knows, and go on with it."""
        keys = self._stage.keys
        if keys is None:
            return
        for stream in self._streams:
            self._finish(stream)
        keys.take_back()
        signals.stop(whole_group=True)
        self._come_to_front()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child, signal.SIGCONT)

    def _come_to_front(self) -> None:
        if self._stage.keys is not None and self._stage.keys.hand_over():
            self._stage.follow_size()


def _soon(stream: Stream) -> bool:
    """Does more come within a moment? A terminal hands over what was written with a delay."""
    poll = select.poll()
    poll.register(stream.source, select.POLLIN)
    return not stream.ended and bool(poll.poll(QUIET * 1000))
