"""ml-secrets: secrets for machine-learning workloads.

    from ml_secrets import get_secret

    key = get_secret("openai/api-key").reveal()

The names below are loaded when they are first used, so that importing this package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ml_secrets.client.client import Client as Client

_PLACES: Final = {
    "Client": "ml_secrets.client.client",
}
__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(place), name)
    return found
