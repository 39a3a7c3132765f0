"""`sys/`: the server's own operations. One file for each noun; each declares its operations on `ENGINE`."""

from importlib import import_module

from ml_secrets.engines.system.engine import ENGINE

__all__ = ["ENGINE"]

PARTS = tuple(
    import_module(f"{__name__}.{part}")
    for part in (
        "audit",
        "backup",
        "backups",
        "capabilities",
        "events",
        "health",
        "internal",
        "keys",
        "leases",
        "lint",
        "loggers",
        "metrics",
        "mount_trash",
        "mounts",
        "password_policies",
        "plugins",
        "policies",
        "quotas",
        "rekey",
        "remount",
        "root_token",
        "seal",
        "simulate",
        "tools",
        "tuning",
        "webhooks",
        "wrapping",
    )
)
"""What this engine is made of."""
