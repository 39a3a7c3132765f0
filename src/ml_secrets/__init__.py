"""ml-secrets: secrets for machine-learning workloads.

    from ml_secrets import get_secret

    key = get_secret("openai/api-key").reveal()

The names below are loaded when they are first used: importing this package costs next to nothing and pulls in neither
an HTTP library nor the server.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers know the name; `typing` costs more to import than all the rest here
if TYPE_CHECKING:
    from typing import Any, Final

    from ml_secrets.client.aio import AsyncClient
    from ml_secrets.client.client import Client
    from ml_secrets.client.default import get_secret, get_secrets, live
    from ml_secrets.client.ending import EndsEarly
    from ml_secrets.client.secret import Secret
    from ml_secrets.errors import (
        Conflict,
        Denied,
        Fault,
        Incomplete,
        Invalid,
        Limited,
        MlSecretsError,
        NotFound,
        Refusal,
        Sealed,
        TooLarge,
        Unauthenticated,
        Unreachable,
        Unsupported,
    )
    from ml_secrets.sensitive import Sensitive

__all__ = [
    "AsyncClient",
    "Client",
    "Conflict",
    "Denied",
    "EndsEarly",
    "Fault",
    "Incomplete",
    "Invalid",
    "Limited",
    "MlSecretsError",
    "NotFound",
    "Refusal",
    "Sealed",
    "Secret",
    "Sensitive",
    "TooLarge",
    "Unauthenticated",
    "Unreachable",
    "Unsupported",
    "get_secret",
    "get_secrets",
    "live",
]

_PLACES: Final = {
    "AsyncClient": "ml_secrets.client.aio",
    "Client": "ml_secrets.client.client",
    "EndsEarly": "ml_secrets.client.ending",
    "Secret": "ml_secrets.client.secret",
    "Sensitive": "ml_secrets.sensitive",
    "get_secret": "ml_secrets.client.default",
    "get_secrets": "ml_secrets.client.default",
    "live": "ml_secrets.client.default",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - slow to import, and seldom asked for

        return version("ml-secrets")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_PLACES.get(name, "ml_secrets.errors")), name)
    return found


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext ml_secrets` in a notebook: see ml_secrets/integrations/notebook.py."""
    import_module("ml_secrets.integrations.notebook").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext ml_secrets`."""
    import_module("ml_secrets.integrations.notebook").unload(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
