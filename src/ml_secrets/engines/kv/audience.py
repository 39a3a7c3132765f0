"""Who may hear that a secret changes: whoever may read it or its metadata, and who sees its name in the list of its folder.

Where a mount filters its lists, a list shows to each only their own names: there the right to list is not enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.domain.capability import Capability
from ml_secrets.engines.kv import rows
from ml_secrets.engines.kv.engine import KV2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.contract.access import SystemAccess
    from ml_secrets.domain.mount import Mount
    from ml_secrets.registry.unit import Unit


def audience(access: SystemAccess, unit: Unit, mount: Mount, path: str) -> Iterator[tuple[str, Capability]]:
    """Rights of which one is enough, the stronger ones first."""
    yield f"{mount.path}data/{path}", Capability.READ
    yield f"{mount.path}metadata/{path}", Capability.READ
    if not rows.config(access.opaque_of(unit, mount)).filtered_lists:
        yield f"{mount.path}metadata/{path.rpartition('/')[0]}".rstrip("/"), Capability.LIST


KV2.audience = audience
