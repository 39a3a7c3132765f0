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
    patches = Patches()

    def init(original: Any, environment: Any, *args: Any, **kwargs: Any) -> None:
        original(environment, *args, **_masked(kwargs, clean))

    patches.around(sys.modules["ray.runtime_env.runtime_env"].RuntimeEnv, "__init__", init)
    return patches.take_off


def guard_jobs(clean: Clean) -> Callable[[], None]:
    """The client of Ray's job server: command line, metadata and environment."""
    patches = Patches()

    def submit(original: Any, client: Any, **kwargs: Any) -> Any:
        return original(client, **_masked(kwargs, clean))

    patches.around(sys.modules["ray.dashboard.modules.job.sdk"].JobSubmissionClient, "submit_job", submit)
    return patches.take_off


def _masked(given: dict[str, Any], clean: Clean) -> dict[str, Any]:
    masked, names = clean.swept(given)
    clean.found(names, _WHERE, changes=True)
    return masked
