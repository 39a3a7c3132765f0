"""The system engine's table of operations, which the files beside this one fill."""

from ml_secrets.contract import Engine

ENGINE = Engine(
    "system", summary="The server's own operations: mounts, policies, seal, audit, wrapping, quotas."
)
