"""What a policy's rule may grant."""

from __future__ import annotations

from enum import StrEnum


class Capability(StrEnum):
    """One right. DENY takes all others away; SUDO opens what the server guards beside the verb's own right."""

    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"
    LIST = "list"
    PATCH = "patch"
    SUDO = "sudo"
    DENY = "deny"
    SCAN = "scan"
