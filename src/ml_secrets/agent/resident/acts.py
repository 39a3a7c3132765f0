"""What is done once a file holds something new: a signal, a command, a restart of the agent's program.

Several files that change together and want the same done have it done once.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from typing import TYPE_CHECKING

from ml_secrets.agent.resident.supervise import surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from ml_secrets.agent.resident.config import Wanted


def act(
    changed: Iterable[Wanted],
    *,
    program: Callable[[int], None],
    restart: Callable[[], None],
    told: Callable[[str], None],
) -> None:
    """Do what these files want done. `program(number)` signals the agent's program, `restart` starts it anew."""
    done = set()
    for one in changed:
        what = (one.change, one.pid_file)
        if what in done:
            continue
        done.add(what)
        if one.change.restart:
            restart()
        elif one.change.command:
            _run(one.change.command, one.seconds, told)
        elif one.change.signal and one.pid_file is not None:
            _signal(one.pid_file, one.change.signal, told)
        elif one.change.signal:
            program(one.change.signal)


def _signal(pid_file: Path, number: int, told: Callable[[str], None]) -> None:
    try:
        process = int(pid_file.read_text(encoding="ascii").strip())
        if process <= 1:
            raise ValueError  # noqa: TRY301 - 0 and -1 are all of us
        os.kill(process, number)
    except (OSError, ValueError):
        told(f"{signal.Signals(number).name} reached nobody: there is no process as {pid_file} says")


def _run(command: Sequence[str], seconds: float, told: Callable[[str], None]) -> None:
    """Run a command to its end, without the agent's token and with signals as a program expects them. What it prints goes where ours goes."""
    try:
        process = os.posix_spawnp(
            command[0],
            list(command),
            surroundings(os.environ),
            setpgroup=0,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE,),
        )
    except OSError as error:
        told(f"{command[0]}: {error.strerror}")
        return
    ended = os.pidfd_open(process)
    try:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        in_time = bool(poll.poll(seconds * 1000))
    finally:
        os.close(ended)
    if not in_time:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code:
        told(
            f"{command[0]} ended with {code}"
            if in_time
            else f"{command[0]} was stopped: it took longer than {seconds:.0f} s"
        )
