"""A run within a step of Slurm ends with the step, also when the step's daemon was killed.

While slurmstepd lives it ends what it has started, and that tells us. When it is killed (`kill -9`, out of memory), nobody does:
Slurm takes the job for ended, and may start it anew elsewhere, while the command goes on here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DAEMON: Final = "slurmstepd"
NONE: Final = -1


def step_daemon(environ: Mapping[str, str]) -> int:
    """A descriptor that can be read once the daemon above this process has ended; `NONE` where there is no such daemon."""
    if "SLURM_JOB_ID" not in environ:
        return NONE
    daemon = next((process for process, name in _above(os.getpid()) if name == _DAEMON), 0)
    try:
        return os.pidfd_open(daemon) if daemon else NONE
    except (
        OSError,
        AttributeError,
    ):  # it has ended meanwhile; the kernel, or what Python was built on, is older than Linux 5.3
        return NONE


def _above(process: int) -> Iterator[tuple[int, str]]:
    """The processes that this one comes from, each with its name, as far as they can be seen."""
    while process > 1:
        try:
            before, _, after = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")
        except OSError:
            return
        yield process, before.partition("(")[2]
        process = int(after.split()[1])
