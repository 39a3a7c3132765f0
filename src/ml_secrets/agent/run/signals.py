"""Which signals are passed on to the command, and to whom.

- All that can be caught are, but those about ourselves: our children, our faults, writing to a closed pipe.
- Interrupt and quit go to the command's whole group, as keys on a terminal would; the others to the command alone, which
  knows what to tell its own children.
- Where the command shares our group, what the kernel sent (a key on the terminal) has reached it already.
- Ctrl-Z and `fg`: we stop when the command stops, and it goes on when we do.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml_secrets.agent.run.child import Seat
    from ml_secrets.agent.run.system import Signal

_OURS: Final = frozenset(
    {
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGPIPE,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGSYS,
        signal.SIGTRAP,
        signal.SIGTTIN,
        signal.SIGTTOU,
    }
)
TAKEN: Final = frozenset(int(number) for number in signal.valid_signals() - _OURS)
"""Signals that we read instead of being interrupted by them."""
FATAL: Final = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})
"""Those that end a command which does not say otherwise."""
_TO_THE_GROUP: Final = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGCONT})


def take() -> list[int]:
    """From now on they wait to be read. Returns those that were not blocked before: a child of ours gets them as they were."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
    return sorted(TAKEN - before)


def pass_on(came: Signal, child: int, seat: Seat) -> None:
    """Send it to the command, unless that has it already."""
    if came.sender == 0 and not seat.apart:
        return
    with contextlib.suppress(ProcessLookupError):
        if came.number in _TO_THE_GROUP and seat.apart:
            os.killpg(child, came.number)
        else:
            os.kill(child, came.number)


def heeded_alone(came: Iterable[Signal]) -> int:
    """Heed them while there is no command. Gives the one that ends the run, else 0."""
    for one in came:
        if one.number in FATAL:
            return one.number
        if one.number == signal.SIGTSTP:
            stop(whole_group=False)
    return 0


def stop(*, whole_group: bool) -> None:
    """Stop here, as the shell expects of a job, until somebody lets us go on. `whole_group`: with all of our job."""
    if not whole_group:
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    signal.pthread_sigmask(
        signal.SIG_UNBLOCK, {signal.SIGTSTP}
    )  # unlike SIGSTOP it stops no job that nobody could continue
    os.killpg(os.getpgrp(), signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
