"""Which processes of this machine ask together: those that one launcher started, or that ML_SECRETS_SHARE names.

Nothing is started, opened or looked at for a process that is alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

_ON: Final = frozenset({"1", "on", "true"})
_OFF: Final = frozenset({"0", "off", "false"})


def job_of(environ: Mapping[str, str], share: str) -> str:
    """The name that they have in common; "" for one that asks for itself. `share` is the setting; raises `Invalid`."""
    if share.lower() in _OFF:
        return ""
    if not share or share.lower() in _ON:
        return _torchrun(environ) or _slurm(environ) or _mpi(environ) or ("user" if share else "")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", share, re.ASCII):
        raise Invalid(
            "ML_SECRETS_SHARE is no name", hint="write on, off, or a name of letters, digits, dots and dashes"
        )
    return f"named-{share}"


def _torchrun(environ: Mapping[str, str]) -> str:
    run = environ.get("TORCHELASTIC_RUN_ID")
    return f"torchrun-{run}" if run and _several(environ.get("LOCAL_WORLD_SIZE")) else ""


def _slurm(environ: Mapping[str, str]) -> str:
    """A task of a step; how many there are on each node is written 4 or 4(x2),3."""
    tasks = environ.get("SLURM_STEP_TASKS_PER_NODE") or environ.get("SLURM_TASKS_PER_NODE") or ""
    job = environ.get("SLURM_JOB_ID")
    if not job or "SLURM_LOCALID" not in environ:
        return ""
    return f"slurm-{job}" if any(map(_several, re.findall(r"(?:^|,)([0-9]+)", tasks))) else ""


def _mpi(environ: Mapping[str, str]) -> str:
    """Open MPI says one, MPICH and Intel MPI the other."""
    if not _several(environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") or environ.get("MPI_LOCALNRANKS")):
        return ""
    return f"mpi-{environ.get('PMIX_NAMESPACE') or environ.get('SLURM_JOB_ID', '')}"


def _several(number: str | None) -> bool:
    return bool(number and re.fullmatch(r"[0-9]{1,9}", number, re.ASCII) and int(number) > 1)
