"""What a run is asked to do: the command, and what it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from ml_secrets.agent.job import Job

TOKEN_VARIABLES: Final = (
    "ML_SECRETS_TOKEN",
    "ML_SECRETS_TOKEN_FILE",
    "BAO_TOKEN",
    "VAULT_TOKEN",
    "ML_SECRETS_DEV_ROOT_TOKEN_ID",
    "VAULT_DEV_ROOT_TOKEN_ID",
    "ML_SECRETS_IMPORT_TOKEN",
)
"""What would hand our own token, or another one, to the command."""
JOB_TOKEN_FILE: Final = "ML_SECRETS_TOKEN_FILE"  # noqa: S105 - a variable that holds a path


class Order(msgspec.Struct, frozen=True):
    """`job` is what is delivered to the command.

    add_mask: the runner of a CI step masks the values, too. memory: files without a place in any folder, read by descriptor; they stay as they were. job_token: a token of its own for the
    command. own_token: our variables with our token stay. fail_on_leak: what is printed and masked makes the run fail.
    """

    command: tuple[str, ...]
    job: Job
    memory: bool = False
    job_token: bool = False
    own_token: bool = False
    fail_on_leak: bool = False
    add_mask: bool = False
