"""What is in this build: the dotted path of each engine and auth method. Deleting one is deleting its folder and its line.

Nothing is imported until `load` asks for it, so naming an engine here costs a client nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ml_secrets.contract import Engine

ENGINES: Final = {
    "system": "ml_secrets.engines.system:ENGINE",
    "kv-v1": "ml_secrets.engines.kv:KV1",
    "kv-v2": "ml_secrets.engines.kv:KV2",
    "cubbyhole": "ml_secrets.engines.cubbyhole:ENGINE",
}
"""Secrets engines by type. A mount of type "kv" is kv-v1 or kv-v2 by its option `version`."""

AUTH_METHODS: Final = {
    "token": "ml_secrets.auth.token:ENGINE",
    "userpass": "ml_secrets.auth.userpass:ENGINE",
    "approle": "ml_secrets.auth.approle:ENGINE",
}
"""Ways to log in, by type."""


def load(kind: str) -> Engine:
    """The engine or auth method of that type. Raises `KeyError` for one that is not in this build."""
    module, _, name = {**ENGINES, **AUTH_METHODS}[kind].partition(":")
    engine: Engine = getattr(import_module(module), name)
    return engine
