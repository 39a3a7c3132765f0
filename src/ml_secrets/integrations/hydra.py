"""Hydra and OmegaConf: what is dumped, printed and logged of a configuration, and the names of output folders that are made of overrides.

Masked are known values, and others under a name that says that they are secrets: `python train.py db.password=…` was typed, so nobody
handed it out. Better is to type a reference: the resolver `secret` gives the value where it is used, and dumps keep the reference.

    db:
      password: ${secret:team-a/db,password}
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ml_secrets.redaction.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.redaction.leaks import Clean


def guard(clean: Clean) -> Callable[[], None]:
    """For OmegaConf, by which Hydra writes config.yaml, hydra.yaml, overrides.yaml and multirun.yaml."""
    omegaconf = sys.modules["omegaconf"]
    patches = Patches()

    def to_yaml(original: Any, config: Any, **kwargs: Any) -> Any:
        return clean(original(_without(config, clean), **kwargs), "a dumped configuration")

    patches.around(omegaconf.OmegaConf, "to_yaml", to_yaml)
    register()
    return patches.take_off


def guard_overrides(clean: Clean) -> Callable[[], None]:
    """For Hydra: `hydra.job.override_dirname` names folders."""
    patches = Patches()

    def named(original: Any, overrides: Any, *args: Any, **kwargs: Any) -> Any:
        text = original(overrides, *args, **kwargs)
        parts = text.split(",") if isinstance(text, str) else []
        masked = clean.named(parts, "the name of an output folder")
        return text if masked == parts else ",".join(masked)

    patches.around(sys.modules["hydra._internal.config_loader_impl"], "get_overrides_dirname", named)
    return patches.take_off


def guard_launcher(clean: Clean) -> Callable[[], None]:
    """For Hydra's launcher, which logs the overrides of each job of a sweep."""
    patches = Patches()

    def told(original: Any, *args: Any, **kwargs: Any) -> Any:
        return clean.named(original(*args, **kwargs), "Hydra's launcher")

    patches.around(sys.modules["hydra.core.utils"], "filter_overrides", told)
    return patches.take_off


def register() -> None:
    """Make `${secret:NAME}` and `${secret:NAME,FIELD}` known to OmegaConf. It is asked at each use, so it follows rotation."""
    from ml_secrets.client.default import get_secret  # noqa: PLC0415 - a guard needs no client

    def secret(name: str, field: str | None = None) -> str:
        return get_secret(name, field=field).reveal()

    omegaconf = import_module("omegaconf").OmegaConf
    if not omegaconf.has_resolver("secret"):
        omegaconf.register_new_resolver("secret", secret)


def _without(config: Any, clean: Clean) -> Any:
    """The configuration, or a copy without values that are to be masked. References stay unresolved."""
    omegaconf = sys.modules["omegaconf"]
    if not isinstance(config, omegaconf.Container):
        return config
    plain = omegaconf.OmegaConf.to_container(config, resolve=False)
    masked = clean.named(plain, "a dumped configuration")
    return config if masked is plain else omegaconf.OmegaConf.create(masked)
