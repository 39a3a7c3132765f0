"""What a policy's rule may grant."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


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


OF_FOLDERS: Final = frozenset({Capability.LIST, Capability.SCAN})
"""Asked of folders ("x/"); all others are asked of what lies in them."""

WITH_PARAMETERS: Final = frozenset({Capability.CREATE, Capability.READ, Capability.UPDATE, Capability.PATCH})
"""Those for which a request's parameters are looked at."""
