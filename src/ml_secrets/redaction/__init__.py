"""Guards that keep the values handed out in this process from leaving it in logs, tracebacks, streams, trackers and payloads.

    from ml_secrets import redaction

    redaction.install()                  # masks from now on; install("fail") stops the run instead

known         what was handed out: told by the SDK, or by `know`
fingerprints  how it is found without being kept
sweep         text, bytes and what is made of them, masked
leaks         the modes: mask, warn, fail
installed     which guards there are; guards/ has Python's own, ml_secrets.integrations those of tools
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as in ml_secrets/__init__.py
if TYPE_CHECKING:
    from typing import Any, Final

    from ml_secrets.redaction.installed import install, standing, uninstall
    from ml_secrets.redaction.leaks import Leaking, know, redact

_PLACES: Final = {
    "Leaking": "leaks",
    "install": "installed",
    "know": "leaks",
    "redact": "leaks",
    "standing": "installed",
    "uninstall": "installed",
}

__all__ = ["Leaking", "install", "know", "redact", "standing", "uninstall"]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{place}"), name)
    return found
