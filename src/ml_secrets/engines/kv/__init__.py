"""KV: secrets that people put in and take out. Version 1 keeps one state of each, version 2 keeps versions.

`rows.py` is where version 2 lies in the store; `state.py` has its rules, over the model in domain/version.py.
"""

from ml_secrets.engines.kv import (
    audience,
    config,
    data,
    due,
    listing,
    metadata,
    reminders,
    search,
    subkeys,
    transfer,
    trash,
    unversioned,
    upgrade,
    versions,
)
from ml_secrets.engines.kv.engine import KV1, KV2

__all__ = ["KV1", "KV2"]

PARTS = (
    audience,
    config,
    data,
    due,
    listing,
    metadata,
    reminders,
    search,
    subkeys,
    transfer,
    trash,
    unversioned,
    upgrade,
    versions,
)
"""What these engines are made of."""
