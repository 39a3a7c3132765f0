"""Ray: the runtime environment of a job, task or actor. Its variables are stored by the cluster and shown in its dashboard.

A worker then finds "[masked]" in the variable, so a warning says so in every mode. Let the worker fetch the secret by its name.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ml_secrets.redaction.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.redaction.leaks import Clean

_WHERE = "Ray's runtime_env"


def guard(clean: Clean) -> Callable[[], None]:
    """ray.runtime_env.RuntimeEnv, which every runtime environment becomes."""
    return _around(sys.modules["ray.runtime_env.runtime_env"].RuntimeEnv, clean)


def guard_jobs(clean: Clean) -> Callable[[], None]:
    """Requests to Ray's job server: command line, metadata (that of the client, too) and environment."""
    return _around(sys.modules["ray.dashboard.modules.job.sdk"].JobSubmitRequest, clean)


def _around(kind: Any, clean: Clean) -> Callable[[], None]:
    def init(original: Any, it: Any, *args: Any, **kwargs: Any) -> None:
        (args, kwargs), names = clean.swept((args, kwargs))
        clean.found(names, _WHERE, changes=True)
        original(it, *args, **kwargs)

    patches = Patches()
    patches.around(kind, "__init__", init)
    return patches.take_off
