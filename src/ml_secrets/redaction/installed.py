"""`install` and `uninstall`: which guards there are, and which stand.

Guards of Python itself stand at once. One of a tool is put on when the tool is imported, or now if it has been; it is in `ml_secrets.integrations`, which is
reached by its dotted path: a tool that is not there costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Final

from ml_secrets.errors import Invalid
from ml_secrets.redaction import arrival
from ml_secrets.redaction.known import KNOWN
from ml_secrets.redaction.leaks import Clean, look_for_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PYTHON: Final = {
    "logging": "ml_secrets.redaction.guards.logs",
    "exceptions": "ml_secrets.redaction.guards.hooks",
    "warnings": "ml_secrets.redaction.guards.warned",
    "streams": "ml_secrets.redaction.guards.streams",
    "pickle": "ml_secrets.integrations.pickles",
}
TOOLS: Final = {
    "cloudpickle": ("cloudpickle.cloudpickle", "pickles:guard_cloudpickle"),
    "joblib": ("joblib.numpy_pickle", "pickles:guard_joblib"),
    "rich": ("rich.console", "rich"),
    "omegaconf": ("omegaconf", "hydra"),
    "hydra": ("hydra._internal.config_loader_impl", "hydra:guard_overrides"),
    "hydra-launcher": ("hydra.core.utils", "hydra:guard_launcher"),
    "mlflow": ("mlflow", "mlflow"),
    "wandb": ("wandb", "wandb"),
    "tensorboard": ("tensorboard.summary.writer.event_file_writer", "tensorboard"),
    "tensorboardx": ("tensorboardX.event_file_writer", "tensorboard:guard_tensorboardx"),
    "ray": ("ray.runtime_env.runtime_env", "ray"),
    "ray-jobs": ("ray.dashboard.modules.job.sdk", "ray:guard_jobs"),
    "ray-cloudpickle": ("ray.cloudpickle.cloudpickle", "pickles:guard_ray"),
}
"""Name -> the module that brings the tool, and where in ml_secrets.integrations its guard is."""

CLEAN: Final = Clean()
"""What all guards of this process are given."""
_standing: Final[dict[str, Callable[[], None]]] = {}
_lock: Final = Lock()


def install(
    mode: str = "mask", *, only: Iterable[str] = (), without: Iterable[str] = (), unknown: bool = False
) -> None:
    """Put guards on: all, or those named, in this mode (see leaks.py). Once more changes the mode and adds what is missing.

    only, without: names in PYTHON and TOOLS. unknown: look for secrets that nobody handed out, too, by their shape (needs the extra `detect`); not in
    the streams, which go on byte by byte.
    """
    chosen = _chosen(tuple(only), tuple(without))
    CLEAN.mode = mode
    look_for_unknown(wanted=unknown)
    KNOWN.watch()
    with _lock:
        for name in chosen:
            if name not in _standing:
                _standing[name] = _put_on(name)


def uninstall() -> None:
    """Take all guards off, and forget what is known."""
    with _lock:
        while _standing:
            _standing.popitem()[1]()
    look_for_unknown(wanted=False)
    KNOWN.forget()


def standing() -> list[str]:
    """The guards that were asked for."""
    return sorted(_standing)


def _chosen(only: tuple[str, ...], without: tuple[str, ...]) -> list[str]:
    there = {**PYTHON, **TOOLS}
    for name in (*only, *without):
        if name not in there:
            raise Invalid(f"there is no guard {name!r}", hint=f"one of {', '.join(there)}")
    return [name for name in only or there if name not in without]


def _put_on(name: str) -> Callable[[], None]:
    if name in PYTHON:
        return _guard(PYTHON[name])
    module, place = TOOLS[name]
    return arrival.when_imported(module, lambda: _guard(f"ml_secrets.integrations.{place}"))


def _guard(place: str) -> Callable[[], None]:
    module, _, function = place.partition(":")
    take_off: Callable[[], None] = getattr(import_module(module), function or "guard")(CLEAN)
    return take_off
