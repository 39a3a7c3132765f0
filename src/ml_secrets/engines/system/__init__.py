"""`sys/`: the server's own operations. One file for each noun; each declares its operations on `ENGINE`."""

from ml_secrets.engines.system import (
    audit,
    backup,
    capabilities,
    health,
    internal,
    keys,
    leases,
    metrics,
    mounts,
    policies,
    quotas,
    rekey,
    root_token,
    seal,
    tools,
    wrapping,
)
from ml_secrets.engines.system.engine import ENGINE

__all__ = ["ENGINE"]

PARTS = (
    audit,
    backup,
    capabilities,
    health,
    internal,
    keys,
    leases,
    metrics,
    mounts,
    policies,
    quotas,
    rekey,
    root_token,
    seal,
    tools,
    wrapping,
)
"""What this engine is made of."""
